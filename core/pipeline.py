"""The way of one request: filters, admission, residency, engine, observers."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.contracts import Chunk, Done, Receipt, Usage
from hoshikage.core.errors import EngineFailed, HoshikageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from hoshikage.core.admission import Admission
    from hoshikage.core.contracts import (
        Caller,
        ChatRequest,
        ModelRecord,
        Observer,
        Outcome,
        RequestFilter,
        StreamEvent,
    )
    from hoshikage.core.receipts import ReceiptBook

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Account:
    """What is known of a running request, until its receipt is written."""

    request: ChatRequest
    model: str
    caller: Caller
    arrived_at: float = field(default_factory=time.time)
    arrived: float = field(default_factory=time.monotonic)
    admitted: float | None = None
    loaded: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answer: list[str] = field(default_factory=list)
    receipt: Receipt | None = None

    def note(self, event: StreamEvent) -> None:
        """Take down what an event adds."""
        match event:
            case Chunk():
                self.answer.append(event.text)
                self.completion_tokens += event.tokens
            case Done():
                pass
            case started:
                self.prompt_tokens = started.prompt_tokens

    def close(self, outcome: Outcome, *, done: Done | None = None, error_code: str | None = None) -> Receipt:
        """Write the receipt; only the first call counts."""
        if self.receipt is None:
            now = time.monotonic()
            admitted = self.admitted if self.admitted is not None else now
            loaded = self.loaded if self.loaded is not None else now
            self.receipt = Receipt(
                request_id=self.request.request_id,
                model=self.model,
                caller=self.caller,
                outcome=outcome,
                started_at=self.arrived_at,
                queue_s=admitted - self.arrived,
                load_s=max(loaded - admitted, 0.0),
                total_s=now - self.arrived,
                usage=done.usage if done else Usage(self.prompt_tokens, self.completion_tokens),
                finish_reason=done.finish_reason if done else None,
                error_code=error_code,
            )
        return self.receipt


class Pipeline:
    """Takes each request through the five steps and accounts for it, however it ends."""

    def __init__(
        self,
        *,
        filters: Sequence[RequestFilter],
        admission: Admission,
        observers: Sequence[Observer],
        receipts: ReceiptBook,
    ) -> None:
        self._filters = filters
        self._admission = admission
        self._observers = observers
        self._receipts = receipts
        self._observing: set[asyncio.Task[None]] = set()

    async def chat(
        self, request: ChatRequest, record: ModelRecord, caller: Caller
    ) -> AsyncGenerator[StreamEvent, None]:
        """Answer one request; see `ServerApi.chat`."""
        account = Account(request, record.name, caller)
        try:
            account.request = await self._filtered(request, record, caller)
            async with aclosing(self._answer(account, record)) as events:
                async for event in events:
                    yield event
        except HoshikageError as error:
            self._end(account, "error", error_code=error.code)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self._end(account, "cancelled")
            raise
        except Exception:
            self._end(account, "error", error_code="internal_error")
            raise

    async def load(self, record: ModelRecord, *, keep_alive_s: float | None) -> None:
        """Load a model in its turn, without asking it anything."""
        lease = await self._admission.enter(record)
        try:
            await lease.model()
        finally:
            self._admission.leave(lease, keep_alive_s=keep_alive_s, served_s=0.0)

    async def stop(self) -> None:
        """Wait for the observers that still write."""
        await asyncio.gather(*self._observing, return_exceptions=True)

    async def _answer(self, account: Account, record: ModelRecord) -> AsyncGenerator[StreamEvent, None]:
        lease = await self._admission.enter(record)
        account.admitted = time.monotonic()
        try:
            model = await lease.model()
            account.loaded = time.monotonic()
            async with aclosing(model.generate(account.request)) as events:
                async for event in events:
                    account.note(event)
                    if isinstance(event, Done):
                        receipt = self._end(account, "done", done=event)
                        yield replace(event, receipt=receipt)
                        return
                    yield event
            raise EngineFailed(f"the engine of model {record.name!r} ended its answer without saying why")
        finally:
            self._admission.leave(
                lease,
                keep_alive_s=account.request.keep_alive_s,
                served_s=time.monotonic() - account.admitted,
            )

    async def _filtered(self, request: ChatRequest, record: ModelRecord, caller: Caller) -> ChatRequest:
        for item in self._filters:
            try:
                request = await item.apply(request, record, caller)
            except HoshikageError:
                raise
            except Exception:
                log.exception("request_filter_failed", filter=item.name)
        return request

    def _end(
        self, account: Account, outcome: Outcome, *, done: Done | None = None, error_code: str | None = None
    ) -> Receipt:
        if account.receipt is not None:
            return account.receipt
        receipt = account.close(outcome, done=done, error_code=error_code)
        self._receipts.add(receipt)
        task = asyncio.create_task(self._observe(account.request, "".join(account.answer), receipt))
        self._observing.add(task)
        task.add_done_callback(self._observing.discard)
        return receipt

    async def _observe(self, request: ChatRequest, answer: str, receipt: Receipt) -> None:
        for observer in self._observers:
            try:
                await observer.observe(request, answer, receipt)
            except Exception:
                log.exception("observer_failed", observer=observer.name)
