"""Settings: their declaration, their layers, and the effective values with where each came from."""
