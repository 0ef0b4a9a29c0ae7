"""The accounts of past requests, in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoshikage.core.contracts import Receipt


class ReceiptBook:
    """Keeps the last receipts; older ones are forgotten.

    Args:
        keep: how many.
    """

    def __init__(self, keep: int) -> None:
        self._receipts: deque[Receipt] = deque(maxlen=keep)

    def add(self, receipt: Receipt) -> None:
        """File a receipt."""
        self._receipts.appendleft(receipt)

    def newest(self) -> tuple[Receipt, ...]:
        """All that are kept, newest first."""
        return tuple(self._receipts)
