"""Small things that the tests of all slots together share."""

from __future__ import annotations

from hoshikage import ModelRecord
from hoshikage.core.demand import Demand

GIB = 1 << 30
A, B, C = (ModelRecord(name, engine="fake") for name in "abc")


def states(residence) -> list[tuple[str, str]]:
    return [(v.record.name, v.state) for v in residence.views()]


async def used(residence, record: ModelRecord):
    """Lease, load, release; returns the model."""
    lease = residence.lease(Demand(record))
    model = await lease.model()
    lease.release()
    return model
