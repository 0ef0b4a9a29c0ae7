"""What the rows of changing between models have in common."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from benchmarks.figures import OURS
from benchmarks.rows.base import Entry, MeasureFailed, Row
from benchmarks.swap.contestants import Limit, OwnServer, Router
from benchmarks.swap.ground import SPARE_RAM_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rows.base import Surroundings
    from benchmarks.swap.ground import Ground


class SwapRow(Row):
    """A row that knows the ground.

    Attributes:
        n_ctx: the context of all contestants.
        fits: whether what the row stages has room on the RAM disk.
    """

    n_ctx = 8192

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.fits = False

    @abc.abstractmethod
    def sides(self, around: Surroundings) -> list[Entry]:
        """See `Row.entries`."""

    def stages(self) -> int:
        """Bytes that the row's servers put on the RAM disk together."""
        return sum(file.stat().st_size for file in self.ground.small.values())

    def entries(self, around: Surroundings) -> list[Entry]:
        """The sides, on a RAM disk that holds nothing of earlier rows."""
        self.ground.clear_ram()
        self.fits = self.ground.ram_free() > self.stages() + SPARE_RAM_BYTES
        return self.sides(around)

    def remarks(self) -> list[str]:
        """Where nothing could be staged."""
        if self.fits:
            return []
        if self.ground.ram_folder is None:
            return ["there is no RAM disk to write to"]
        free, needed = self.ground.ram_free(), self.stages() + SPARE_RAM_BYTES
        return [f"the RAM disk has {free / 2**20:.0f} MiB free, and this row would need {needed / 2**20:.0f}"]

    def own(
        self, around: Surroundings, models: dict[str, Path], *, label: str = OURS, ram: bool = True, state: bool = True
    ) -> OwnServer:
        """Our own server, with folders of its own."""
        name = f"{self.name}-{label}"
        setup = self.ground.setup(around, name, n_ctx=self.n_ctx)
        folder = self.ground.ram_for(name) if ram and self.fits else None
        return OwnServer(setup, models, ram_folder=folder, state=state)

    def beside(self, around: Surroundings, *, limit: bool) -> list[Entry]:
        """Ourselves, llama-server's router where it is given, and on demand the limit."""
        models = self.ground.small
        setup = self.ground.setup(around, f"{self.name}-peers", n_ctx=self.n_ctx)
        found = [Entry(OURS, self.own(around, models))]
        if binary := around.peers.llama_server:
            found.append(Entry(Router.name, Router(setup, binary, models)))
        if limit:
            found.append(Entry(Limit.name, Limit(setup, models)))
        return found


async def staged_share(server: OwnServer) -> float:
    """How many of the models are on the RAM disk, after the server was asked for it: 0 is none, 1 is all."""
    if not server.stages:
        return 0.0
    done = 0
    for model in server.files:
        try:
            await server.stage(model)
        except MeasureFailed:
            continue
        done += 1
    return done / len(server.files)
