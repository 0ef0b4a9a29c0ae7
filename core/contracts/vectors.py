"""Requests for numbers about texts instead of texts: embeddings, relevance, tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Ask for one vector per input.

    Attributes:
        inputs: texts, or token ids.
        dimensions: keep only the first so many numbers of each vector; `None` keeps all.
        truncate: cut an input that is too long instead of refusing it.
    """

    request_id: str
    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    truncate: bool = False
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per input, in their order, each of Euclidean length 1."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Ask how relevant each document is to a query."""

    request_id: str
    model: str
    query: str
    documents: tuple[str, ...]
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """One score per document, in their order; higher is more relevant."""

    scores: tuple[float, ...]
    prompt_tokens: int
