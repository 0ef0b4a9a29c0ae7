"""When the texts in the cache are saved: now and then, one between two steps, and all of them before the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoshikage.plugins.engine_llamacpp.frames import StateStore
    from hoshikage.plugins.engine_llamacpp.worker.cache import Kept, KvCache
    from hoshikage.plugins.engine_llamacpp.worker.native import NativeModel
    from hoshikage.plugins.engine_llamacpp.worker.saved_states import SavedStates

SAVE_LIMIT_S = 8.0  # before the end; then the server's patience is over


class StateKeeper:
    """Saves what ended answers have left in the cache. What runs is saved once it has ended.

    Args:
        states: the files; `None` saves nothing.
        store: how often, and from which length on.
    """

    def __init__(
        self, model: NativeModel, cache: KvCache, states: SavedStates | None, store: StateStore | None
    ) -> None:
        self._model = model
        self._cache = cache
        self._states = states
        self._store = store
        self._due_at = self._next()
        self._queue: list[Kept] = []

    def tick(self) -> None:
        """Between two steps: save one text if it is time, so that nobody waits for more than one."""
        if self._states is None or (not self._queue and time.monotonic() < self._due_at):
            return
        if not self._queue:
            self._queue = self._unsaved()
            self._due_at = self._next()
        if self._queue:
            kept = self._queue.pop()
            if self._cache.still_keeps(kept):
                self._save(kept)

    def wait_s(self) -> float | None:
        """How long an idle worker may sleep; `None` is until somebody asks for something."""
        if self._queue:
            return 0.0
        if self._states is None or not self._cache.changed:
            return None
        return max(self._due_at - time.monotonic(), 0.0)

    def save_all(self) -> None:
        """Save the most recently used first, for as long as the server waits."""
        if self._states is None:
            return
        until = time.monotonic() + SAVE_LIMIT_S
        for kept in self._unsaved():
            if time.monotonic() > until:
                return
            self._save(kept)

    # --- inside ---

    def _next(self) -> float:
        return time.monotonic() + (self._store.interval_s if self._store is not None else 0.0)

    def _unsaved(self) -> list[Kept]:
        """Kept texts that are long enough and not on file, the most recently used first."""
        assert self._states is not None
        assert self._store is not None
        self._cache.changed = False
        least = self._store.min_tokens
        texts = self._cache.kept_texts()
        return [k for k in texts if len(k.tokens) >= least and not self._states.has(k.scope, k.tokens)]

    def _save(self, kept: Kept) -> None:
        assert self._states is not None
        memory = self._model.snapshot(kept.slot)
        if memory:
            self._states.save(kept.scope, kept.tokens, memory, replaces=self._model.cuttable)
