"""One text or many, as texts or as token ids: the four ways in which clients send what a model is to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hoshikage.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

Input = str | tuple[int, ...]


def several(given: str | Sequence[str | int | list[int]], field: str, *, most: int) -> tuple[Input, ...]:
    """Every input in its order; a list of numbers is one input.

    Raises:
        InvalidRequest: token ids stand beside texts, a list of token ids is empty, or there are too many inputs.
    """
    if isinstance(given, str):
        return (given,)
    numbers = tuple(item for item in given if isinstance(item, int))
    if numbers:
        if len(numbers) != len(given):
            raise InvalidRequest(f"{field}: send texts, or token ids, or lists of token ids", param=field)
        return (numbers,)
    if len(given) > most:
        raise InvalidRequest(f"{field}: {len(given)} are too many at once, at most {most}", param=field)
    return tuple(_one(item, f"{field}[{i}]") for i, item in enumerate(given))


def _one(item: str | int | list[int], field: str) -> Input:
    if isinstance(item, list):
        if not item:
            raise InvalidRequest(f"{field}: this list of token ids is empty", param=field)
        return tuple(item)
    return str(item)
