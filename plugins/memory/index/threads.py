"""The threads in which Chroma works: one changes collections, another one searches them."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import structlog

from hoshikage.plugins.memory.index.chroma import IndexFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from hoshikage.plugins.memory.index.chroma import Collection

log = structlog.get_logger(__name__)

T = TypeVar("T")


class IndexThreads:
    """Runs blocking calls off the event loop, those of a kind one after the other."""

    def __init__(self) -> None:
        self._changing = ThreadPoolExecutor(1, "memory index")
        self._asking = ThreadPoolExecutor(1, "memory meaning")

    def ask(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Search; the answer may be given up, and comes all the same."""
        return asyncio.get_running_loop().run_in_executor(self._asking, call)

    async def change(self, call: Callable[[], T]) -> T:
        """Make, open or drop something."""
        return await asyncio.get_running_loop().run_in_executor(self._changing, call)

    async def gently(self, call: Callable[[], T]) -> T:
        """A step of long work, which takes every second moment: models compute on the same cores."""
        started = time.monotonic()
        result = await self.change(call)
        await asyncio.sleep(time.monotonic() - started)
        return result

    async def close(self, collection: Collection) -> None:
        """Close a collection."""
        await self.change(lambda: _close(collection))

    def let_go(self, collection: Collection) -> None:
        """Close a collection, and wait for nothing."""
        self._changing.submit(_close, collection)

    def stop(self) -> None:
        """Take no more calls; those that hang end by their own limits."""
        self._changing.shutdown(wait=False)
        self._asking.shutdown(wait=False)


def _close(collection: Collection) -> None:
    try:
        collection.close()
    except IndexFailed as error:
        log.warning("vector_index_not_closed", reason=str(error))
