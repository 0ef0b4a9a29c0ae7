"""The way of one request: filters, chat format, admission, residency, engine, observers."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from hoshikage.core.account import Account
from hoshikage.core.answers import AnswerReader
from hoshikage.core.capabilities import generates
from hoshikage.core.contracts import Done, Usage
from hoshikage.core.errors import EngineFailed, HoshikageError, NotSupported
from hoshikage.core.formats import choose_format, prepare
from hoshikage.core.recall import NO_MEMORY, items_of, with_block
from hoshikage.core.vectors import check_dimensions, shortened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

    from hoshikage.core.admission import Admission
    from hoshikage.core.catalog import Catalog
    from hoshikage.core.contracts import (
        Caller,
        ChatFormat,
        ChatRequest,
        Embeddings,
        EmbedRequest,
        FinishReason,
        LoadedModel,
        MemoryStore,
        ModelRecord,
        Observer,
        Outcome,
        Receipt,
        RequestFilter,
        RerankRequest,
        Scores,
        StreamEvent,
    )
    from hoshikage.core.receipts import ReceiptBook
    from hoshikage.core.residence import Residence

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Extensions:
    """What plug-ins offer for the way of a request; filters and formats lowest `order` first."""

    filters: Sequence[RequestFilter] = ()
    formats: Sequence[ChatFormat] = ()
    observers: Sequence[Observer] = ()
    memory: MemoryStore | None = None


@dataclass(slots=True)
class _Exchange:
    """A request for text on its way, as filters and format have made it so far.

    Attributes:
        asked: as the client sent it, which is what is remembered.
    """

    asked: ChatRequest
    request: ChatRequest
    account: Account
    reader: AnswerReader | None = None


class Pipeline:
    """Takes each request through its steps and accounts for it, however it ends."""

    def __init__(
        self,
        *,
        extensions: Extensions,
        catalog: Catalog,
        residence: Residence,
        admission: Admission,
        receipts: ReceiptBook,
    ) -> None:
        self._extensions = extensions
        self._catalog = catalog
        self._residence = residence
        self._admission = admission
        self._receipts = receipts
        self._observing: set[asyncio.Task[None]] = set()

    async def chat(
        self, request: ChatRequest, record: ModelRecord, caller: Caller
    ) -> AsyncGenerator[StreamEvent, None]:
        """Answer one request; see `ServerApi.chat`."""
        account = Account(request.request_id, record.name, caller)
        exchange = _Exchange(request, replace(request, caller_key=caller.key), account)
        try:
            with self._accounted(account):
                await self._prepare(exchange, record)
                async with aclosing(self._answer(exchange, record)) as events:
                    async for event in events:
                        yield event
        finally:
            if account.receipt is not None:
                self._tell_observers(exchange, account.receipt)

    async def embed(self, request: EmbedRequest, record: ModelRecord, caller: Caller) -> tuple[Embeddings, Receipt]:
        """Turn texts into vectors; see `ServerApi.embed`.

        Engines give whole vectors; `dimensions` is done here. Neither filters nor observers are told of requests for
        numbers, whose shapes they do not know: each has a receipt and the log line `vectors_done`.
        """
        account = Account(request.request_id, record.name, caller)
        with self._accounted(account, kind="embed", inputs=len(request.inputs)):
            facts = await self._catalog.facts_or_none(record)
            check_dimensions(request.dimensions, facts.embedding_length)
            async with self._turn(record, request.keep_alive_s, account) as model:
                embeddings = shortened(await model.embed(request), request.dimensions)
            receipt = self._end(account, "done", usage=Usage(embeddings.prompt_tokens))
        return embeddings, receipt

    async def rerank(self, request: RerankRequest, record: ModelRecord, caller: Caller) -> tuple[Scores, Receipt]:
        """Score documents against a query; see `ServerApi.rerank` and, for what is told to whom, `embed`."""
        account = Account(request.request_id, record.name, caller)
        with self._accounted(account, kind="rerank", inputs=len(request.documents)):
            async with self._turn(record, request.keep_alive_s, account) as model:
                scores = await model.rerank(request)
            receipt = self._end(account, "done", usage=Usage(scores.prompt_tokens))
        return scores, receipt

    async def tokenize(self, text: str, record: ModelRecord, *, special: bool) -> tuple[int, ...]:
        """The token ids of a text. It computes nothing, so there is no receipt."""
        async with self._turn(record) as model:
            return await model.tokenize(text, special=special)

    async def detokenize(self, tokens: tuple[int, ...], record: ModelRecord) -> str:
        """The text of token ids; no receipt either."""
        async with self._turn(record) as model:
            return await model.detokenize(tokens)

    async def load(self, record: ModelRecord, *, keep_alive_s: float | None, context_length: int | None = None) -> None:
        """Load a model in its turn, without asking it anything."""
        async with self._turn(record, keep_alive_s, context_length=context_length):
            pass

    async def stop(self) -> None:
        """Wait for the observers that still write."""
        await asyncio.gather(*self._observing, return_exceptions=True)

    # --- inside ---

    @asynccontextmanager
    async def _turn(
        self,
        record: ModelRecord,
        keep_alive_s: float | None = None,
        account: Account | None = None,
        *,
        context_length: int | None = None,
    ) -> AsyncIterator[LoadedModel]:
        """Wait for the turn and for the model; leaving gives both back."""
        demand = await self._residence.demand(record, context_length or 0)
        lease = await self._admission.enter(demand)
        admitted = loaded = time.monotonic()
        if account is not None:
            account.admitted = admitted
        try:
            model = await lease.model()
            loaded = time.monotonic()
            if account is not None:
                account.loaded = loaded
                account.notes = lease.notes
            yield model
        finally:
            self._admission.leave(lease, keep_alive_s=keep_alive_s, served_s=time.monotonic() - admitted)

    @contextmanager
    def _accounted(self, account: Account, **logged: object) -> Iterator[None]:
        """Write the receipt of whatever fails or is cancelled within; with `logged`, also a line in the log."""
        try:
            yield
        except HoshikageError as error:
            self._end(account, "error", error_code=error.code)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self._end(account, "cancelled")
            raise
        except Exception:
            self._end(account, "error", error_code="internal_error")
            raise
        finally:
            if logged and account.receipt is not None:
                _log_numbers(account.receipt, logged)

    async def _prepare(self, exchange: _Exchange, record: ModelRecord) -> None:
        """Let filters and the model's chat format make of the request what the engine gets."""
        exchange.request = await self._filtered(exchange.request, record, exchange.account.caller)
        await self._recall(exchange)
        facts = await self._catalog.facts_or_none(record)
        if not generates(facts):
            raise NotSupported(
                f'"{record.name}" does not support chat: it turns texts into vectors and writes none', param="model"
            )
        chat_format = choose_format(self._extensions.formats, facts.chat_template)
        exchange.request = prepare(exchange.request, chat_format, facts.chat_template)
        if chat_format is not None and exchange.request.prompt is None:
            exchange.reader = AnswerReader(exchange.request, chat_format)

    async def _answer(self, exchange: _Exchange, record: ModelRecord) -> AsyncGenerator[StreamEvent, None]:
        request, account, reader = exchange.request, exchange.account, exchange.reader
        async with (
            self._turn(record, request.keep_alive_s, account, context_length=request.context_length) as model,
            aclosing(model.generate(request)) as events,
        ):
            async for event in events:
                for piece in reader.read(event) if reader else (event,):
                    account.note(piece)
                    if isinstance(piece, Done):
                        receipt = self._end(account, "done", usage=piece.usage, finish_reason=piece.finish_reason)
                        yield replace(piece, receipt=receipt)
                        return
                    yield piece
            raise EngineFailed(f"the engine of model {record.name!r} ended its answer without saying why")

    async def _filtered(self, request: ChatRequest, record: ModelRecord, caller: Caller) -> ChatRequest:
        for item in self._extensions.filters:
            try:
                request = await item.apply(request, record, caller)
            except HoshikageError:
                raise
            except Exception:
                log.exception("request_filter_failed", filter=item.name)
        return request

    async def _recall(self, exchange: _Exchange) -> None:
        """Put into the prompt what memory has to say; no failure of memory is one of the chat."""
        store, caller = self._extensions.memory, exchange.account.caller
        if store is None and caller.memory.mode in ("on", "read"):
            log.warning("recall_failed", reason=NO_MEMORY)
        if store is None or exchange.request.prompt is not None or store.mode_of(caller) == "off":
            return
        began = time.monotonic()
        try:
            recall = await store.recall(exchange.asked, caller)
        except Exception as error:
            log.warning("recall_failed", store=store.name, reason=str(error) or type(error).__name__)
            return
        finally:
            exchange.account.recall_s = time.monotonic() - began
        exchange.account.recalled = items_of(recall)
        exchange.request = replace(exchange.request, messages=with_block(exchange.request.messages, recall.text))

    async def _remember(self, exchange: _Exchange, receipt: Receipt) -> None:
        store = self._extensions.memory
        if store is None or exchange.asked.prompt is not None or store.mode_of(receipt.caller) != "on":
            return
        if receipt.outcome == "error":
            return
        try:
            await store.remember(exchange.asked, exchange.account.answer, receipt)
        except Exception as error:
            log.warning("not_remembered", store=store.name, reason=str(error) or type(error).__name__)

    def _end(
        self,
        account: Account,
        outcome: Outcome,
        *,
        usage: Usage | None = None,
        finish_reason: FinishReason | None = None,
        error_code: str | None = None,
    ) -> Receipt:
        """File the receipt; only the first end of a request counts."""
        if account.receipt is not None:
            return account.receipt
        receipt = account.close(outcome, usage=usage, finish_reason=finish_reason, error_code=error_code)
        self._receipts.add(receipt)
        return receipt

    def _tell_observers(self, exchange: _Exchange, receipt: Receipt) -> None:
        task = asyncio.create_task(self._observe(exchange, receipt))
        self._observing.add(task)
        task.add_done_callback(self._observing.discard)

    async def _observe(self, exchange: _Exchange, receipt: Receipt) -> None:
        await self._remember(exchange, receipt)
        for observer in self._extensions.observers:
            try:
                await observer.observe(exchange.request, exchange.account.answer, receipt)
            except Exception:
                log.exception("observer_failed", observer=observer.name)


def _log_numbers(receipt: Receipt, logged: dict[str, object]) -> None:
    log.info(
        "vectors_done",
        request_id=receipt.request_id,
        model=receipt.model,
        caller=receipt.caller.address,
        outcome=receipt.outcome,
        error_code=receipt.error_code,
        **logged,
        prompt_tokens=receipt.usage.prompt_tokens,
        queue_s=round(receipt.queue_s, 3),
        load_s=round(receipt.load_s, 3),
        total_s=round(receipt.total_s, 3),
    )
