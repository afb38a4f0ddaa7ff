"""What the workers of a cluster run: units of a job, and coarser levels of its result."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import dask
from distributed import Worker, WorkerPlugin, get_worker

from napari_edsr.errors import EDSRError, EDSRWarning, FileError
from napari_edsr.events import drain
from napari_edsr.kept import KeptModel
from napari_edsr.model import EDSR, MDSR
from napari_edsr.runs import Part
from napari_edsr.stores.plan import Settled, probe
from napari_edsr.stores.result import Opened
from napari_edsr.storing import StoredJob
from napari_edsr.targets import Grid, Lead, Unit
from napari_edsr.tiling import Box


class Model(WorkerPlugin):
    """A model, which every worker gets once; its name is the hash of its weights."""

    idempotent = True

    def __init__(self, name: str, model: EDSR | MDSR) -> None:
        self.name, self.model = name, model

    @cached_property
    def kept(self) -> KeptModel:
        """With what is made of its weights here."""
        return KeptModel(self.model)


class Plan(WorkerPlugin):
    """A job, which only workers take part in that compute as it was settled.

    Those have one piece of the resource that has the plan's name, and so do one task at
    a time.

    Parameters
    ----------
    name : str
    model : str
        Name of the `Model`.
    job : StoredJob
    settled : Settled, optional
        All workers take part without it.

    Attributes
    ----------
    refusal : EDSRError or None
        Why this worker does not take part.
    """

    def __init__(
        self, name: str, model: str, job: StoredJob, settled: Settled | None
    ) -> None:
        self.name, self.settled = name, settled
        self.refusal: EDSRError | None = None
        self._model, self._probe = model, probe(job.image, job.spec)
        self._job = replace(job, kept=None)  # type: ignore[arg-type]

    async def setup(self, worker: Worker) -> None:
        """Take part, or say why not."""
        model = worker.plugins[self._model]
        assert isinstance(model, Model)
        self.job = replace(self._job, kept=model.kept)
        try:
            await asyncio.to_thread(self._check)
        except EDSRError as error:
            self.refusal = error
        else:
            await worker.set_resources(**{self.name: 1})

    def _check(self) -> None:
        """See whether the image is the same here, and the numbers will be."""
        with dask.config.set(scheduler="threads"):
            seen = probe(self.job.image, self.job.spec)
        if seen != self._probe:
            raise FileError(
                f"{self.job.named} is made of an image that reads otherwise on other "
                "machines; put it where all of them find it, and name it in full."
            )
        if self.settled is not None:
            self.job.settled_engines(self.settled)

    async def teardown(self, worker: Worker) -> None:
        """Take part no more."""
        await worker.set_resources(**{self.name: 0})

    @cached_property
    def opened(self) -> Opened:
        """The result."""
        return Opened(self.job.path, self.job.unit_spec.axes)

    @cached_property
    def grid(self) -> Grid:
        """Its units."""
        assert self.settled is not None
        return self.job.grid(self.settled)

    def do(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Store some units, and return how they were made."""
        assert self.settled is not None
        engines = self.job.settled_engines(self.settled)
        store = _Finest(self.opened, self.grid, numbers)
        parts = _parts(self.job, self.settled, map(self.grid.unit, numbers))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EDSRWarning)  # they are among the notes
            return drain(self.job.iter_run(self.settled, engines, store, parts))


class _Finest:
    """Some units of a result, of which only the finest level is written."""

    def __init__(self, opened: Opened, grid: Grid, numbers: Iterable[int]) -> None:
        self._opened, self.grid, self._missing = opened, grid, set(numbers)

    def has(self, number: int) -> bool:
        """Whether a unit is there, or others see to it."""
        return number not in self._missing

    def write(self, unit: Unit, values: Any) -> None:
        """Bring a unit to the disk."""
        self._opened.write_finest(unit, values)
        self._missing.remove(unit.number)


def _parts(job: StoredJob, settled: Settled, units: Iterable[Unit]) -> list[Part]:
    """What is to be run for units; rows that follow one another go together."""
    box = job.slices["Y"], job.slices["X"]
    tiles = settled.tiling.tiles(job.spec.plane, box)
    found: list[Part] = []
    for unit in units:
        part = _part(job, unit, box)
        tile = next(tile for tile in tiles if tile.intersects(part)).within(part)
        lead = _in_image(job, unit.lead)
        above = found[-1] if found else None
        if settled.tiling.by_rows and above and _is_above(above, lead, tile.y0):
            tile = replace(tile, y0=found.pop().tile.y0)
        found.append(Part(lead, tile))
    return found


def _part(job: StoredJob, unit: Unit, box: Box) -> Box:
    """Rows and columns of the image that become a unit."""
    scale = job.wanted.scale
    rows, columns = (
        slice(origin.start + part.start // scale, origin.start + part.stop // scale)
        for part, origin in zip(unit.box, box, strict=True)
    )
    return rows, columns


def _in_image(job: StoredJob, lead: Lead) -> Lead:
    starts = (job.slices[axis].start for axis in job.unit_spec.leading)
    return tuple(index + start for index, start in zip(lead, starts, strict=True))


def _is_above(part: Part, lead: Lead, row: int) -> bool:
    return part.lead == lead and part.tile.y1 == row


def _plan(name: str) -> Plan:
    plan = get_worker().plugins[name]
    assert isinstance(plan, Plan)
    return plan


def settle(plan: str) -> Settled:
    """Choose what holds for a job, as this worker computes."""
    job = _plan(plan).job
    with dask.config.set(scheduler="threads"):
        return job.settled_for(job.engines(job.wanted.precision))


def do(plan: str, numbers: Sequence[int]) -> dict[str, Any]:
    """Store some units of the finest level, and return how they were made."""
    with dask.config.set(scheduler="threads"):  # not on other workers
        return _plan(plan).do(numbers)


def coarsen(plan: str, level: int, lead: Lead, box: Box) -> None:
    """Make a part of a level from the finer one."""
    _plan(plan).opened.coarsen(level, lead, box)


def refusal(plan: str, dask_worker: Worker) -> EDSRError | None:
    """Why a worker does not take part; None if it does."""
    found = dask_worker.plugins[plan]
    assert isinstance(found, Plan)
    return found.refusal
