"""Invented people who talk Japanese with an assistant over a year, and questions about what they said."""

from __future__ import annotations

from benchmarks.memory.people.weaving import generate

__all__ = ["generate"]
