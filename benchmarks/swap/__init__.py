"""What it costs to change between models, to stop, and to load: `python -m benchmarks swap`."""
