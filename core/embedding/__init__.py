"""What embedder plug-ins have in common: a process of their own, prefixes by model family, and the scale of cosines."""
