"""Measures the server beside llama.cpp's own loop and its peers: `python -m benchmarks`, see docs/benchmarks."""
