"""Vectors for memories and questions, behind the scenes."""
