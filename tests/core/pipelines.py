"""A pipeline and all that stands around it."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from hoshikage import Caller, ChatRequest, Message, ModelRecord, Receipt
from hoshikage.core.admission import Admission
from hoshikage.core.budget import Budget
from hoshikage.core.memory import MainMemory
from hoshikage.core.pins import Pins
from hoshikage.core.pipeline import Extensions, Pipeline
from hoshikage.core.receipts import ReceiptBook
from hoshikage.core.residence import Residence
from hoshikage.core.settings import AdmissionSettings, ResidencySettings
from hoshikage.core.storage import Storage
from tests.fakes import FakeObserver

PLENTY = MainMemory(10**15, 10**15)
RECORD = ModelRecord("a", engine="fake")
REQUEST = ChatRequest("r1", "A", messages=(Message("user", "hello"),))
CALLER = Caller("10.0.0.1")


def residence_of(catalog, folder: Path, *, memory: MainMemory = PLENTY, stagers=(), **settings) -> Residence:
    """Slots over a catalogue, in as much memory as the test says."""
    chosen = ResidencySettings(**settings)
    budget = Budget(chosen, measure_ram=lambda: memory, measure_gpus=lambda: ())
    return Residence(chosen, catalog, storage=Storage(stagers), budget=budget, pins=Pins(folder / "pins.json"))


class World:
    """A pipeline and all that stands around it."""

    def __init__(self, residence, *, filters=(), formats=(), observers=(), memory=None, **admission: float) -> None:
        self.residence = residence
        self.admission = Admission(AdmissionSettings(**admission), residence)
        self.book = ReceiptBook(10)
        self.observer = FakeObserver()
        self.pipeline = Pipeline(
            extensions=Extensions(filters, formats, [*observers, self.observer], memory),
            catalog=residence._catalog,
            residence=residence,
            admission=self.admission,
            receipts=self.book,
        )

    def chat(self, request: ChatRequest = REQUEST, record: ModelRecord = RECORD, *, caller: Caller = CALLER):
        return self.pipeline.chat(request, record, caller)

    async def answer(
        self, request: ChatRequest = REQUEST, record: ModelRecord = RECORD, *, caller: Caller = CALLER
    ) -> list:
        """All events of one request."""
        async with aclosing(self.chat(request, record, caller=caller)) as events:
            return [event async for event in events]

    async def failure(self, record: ModelRecord = RECORD) -> BaseException:
        """The error that one request ends with."""
        with pytest.raises(BaseException) as error:
            await self.answer(record=record)
        await self.pipeline.stop()
        return error.value

    def receipt(self) -> Receipt:
        """The one receipt there is."""
        (receipt,) = self.book.newest()
        return receipt

    def places(self) -> tuple[int, int, int]:
        """Running requests, waiting ones, and leases: all 0 when nothing goes on."""
        return self.admission.running, self.admission.waiting, sum(s.leases for s in self.residence._all())
