"""How well long-term memory finds what was said, how fast, and that it loses nothing: `python -m benchmarks memory`."""
