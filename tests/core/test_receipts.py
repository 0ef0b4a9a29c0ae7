"""The book of receipts."""

from __future__ import annotations

import pytest

from hoshikage import Caller, Receipt
from hoshikage.core.receipts import ReceiptBook


def receipt(number: int) -> Receipt:
    return Receipt(str(number), "m", Caller(), "done", started_at=0, queue_s=0, load_s=0, total_s=0)


def test_empty_book():
    """A new book has no receipts."""
    assert () == ReceiptBook(3).newest()


@pytest.mark.parametrize(("keep", "kept"), [(0, []), (1, ["4"]), (3, ["4", "3", "2"]), (9, ["4", "3", "2", "1", "0"])])
def test_newest_are_kept(keep: int, kept: list[str]):
    """The last receipts are kept, newest first; older ones are forgotten."""
    book = ReceiptBook(keep)
    for number in range(5):
        book.add(receipt(number))

    assert kept == [r.request_id for r in book.newest()]


def test_list_does_not_change_behind_the_reader():
    """What a reader was given stays as it was."""
    book = ReceiptBook(3)
    before = book.newest()
    book.add(receipt(1))

    assert () == before
