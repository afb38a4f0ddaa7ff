"""A run on accelerators: equal tiles in batches, on several devices by turns."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, groupby, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.accelerator import takes
from napari_edsr.canvas import Canvas, Feed, Output, Plane
from napari_edsr.device import free_memory, release_memory
from napari_edsr.engine import Engine
from napari_edsr.events import TileDone
from napari_edsr.pipeline import Batch, Flight, Pipeline
from napari_edsr.plan import Tiling, batch_size
from napari_edsr.runs import Part, Run
from napari_edsr.tiling import Tile

_TileEvents = Generator[TileDone, None, None]


@dataclass(frozen=True)
class _Ready:
    """A tile of a plane that was opened."""

    plane: Plane
    tile: Tile

    @cached_property
    def feeds(self) -> list[Feed]:
        return self.plane.feeds(self.tile.source)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What must be the same in a batch."""
        shape = [part.stop - part.start for part in self.tile.source]
        return (*shape, *((feed.samples, _limits(feed) is None) for feed in self.feeds))


class BatchedRun(Run):
    """Upscales every plane of a canvas, several tiles at a time.

    Each device has one batch to compute and one that waits or is copied back.

    Parameters
    ----------
    canvas : Canvas
    engines : sequence of Engine
        Of one model and precision, each on a device of its own.
    tiling : Tiling
    parts : sequence of Part, optional
        As for `Run`.
    """

    def __init__(
        self,
        canvas: Canvas,
        engines: Sequence[Engine],
        tiling: Tiling,
        parts: Sequence[Part] | None = None,
    ) -> None:
        super().__init__(canvas, engines[0], tiling, parts)
        self._engines = engines
        self._begin_anew()
        self._size = self._batch_size()

    def _begin_anew(self) -> None:
        """Without what was recorded for batches of another shape."""
        self._pipelines = [Pipeline(engine) for engine in self._engines]

    def _batch_size(self) -> int:
        """The same for a preview as for the whole image, while memory allows both."""
        spec, config = self.canvas.spec, self.engine.config
        rows, columns = spec.plane
        tiles = self.tiling.tiles(spec.plane, (slice(0, rows), slice(0, columns)))
        planes = math.prod(spec.size(axis) for axis in spec.leading)
        free = min(free_memory(engine.device) for engine in self._engines)
        count = math.ceil(len(tiles) * planes / len(self._engines))
        return batch_size(tiles[0], count, config, self.engine.scale, free)

    def _iter_all(self) -> _TileEvents:
        flying: deque[tuple[list[_Ready], list[Flight]]] = deque()
        for group, pipeline in zip(self._groups(), cycle(self._pipelines)):
            flying.append((group, self._begin(group, pipeline)))
            if len(flying) >= 2 * len(self._pipelines):
                yield from self._land(*flying.popleft())
        while flying:
            yield from self._land(*flying.popleft())

    def _groups(self) -> Iterator[list[_Ready]]:
        """What is left, in batches; planes are opened when their turn comes."""
        parts = tuple(self._todo)  # from which those that land are taken
        ready = (_Ready(self._open(part.lead), part.tile) for part in parts)
        for _, alike in groupby(ready, key=lambda each: each.kind):
            while group := list(islice(alike, self._size)):
                yield group

    def _begin(self, group: list[_Ready], pipeline: Pipeline) -> list[Flight]:
        feeds = range(len(group[0].feeds))
        return [pipeline.begin(self._batch(group, index)) for index in feeds]

    def _batch(self, group: list[_Ready], index: int) -> Batch:
        """One feed of each tile; the last tile again where there are too few."""
        filled = group + group[-1:] * (self._size - len(group))
        inputs = [self._input(each, each.feeds[index]) for each in filled]
        values, limits = zip(*inputs, strict=True)
        box, scale = self.canvas.box, self.engine.scale
        crops = [each.tile.placed(box, scale)[0] for each in group]
        return Batch(np.stack(values), crops, np.stack(limits, 1))

    def _input(self, ready: _Ready, feed: Feed) -> tuple[NDArray, NDArray[np.float32]]:
        """Values as they are sent, (H, W, C), and their limits, (2, C)."""
        box = ready.tile.source
        limits = _limits(feed)
        if takes(self.engine.device, self.canvas.spec.dtype) and limits is not None:
            return ready.plane.read_levels(box, feed), limits
        values = np.moveaxis(ready.plane.read(box, feed), 0, -1)
        return values, np.array([[0], [1]], np.float32).repeat(values.shape[-1], 1)

    def _land(self, group: list[_Ready], flights: list[Flight]) -> _TileEvents:
        landed = [flight.land() for flight in flights]
        for number, each in enumerate(group):
            outputs = [
                Output(feed, np.moveaxis(parts[number], -1, 0))
                for feed, parts in zip(each.feeds, landed, strict=True)
            ]
            self.flop += self.engine.flop(each.tile.source) * len(outputs)
            where = each.plane.write(each.tile, outputs)
            self._todo.popleft()
            yield self._tile_done(where)

    def _halve(self) -> None:
        """Fewer tiles at a time, and then smaller ones."""
        self._begin_anew()
        if self._size == 1:
            super()._halve()
            return
        release_memory(self.engine.device)
        self._size //= 2
        self.canvas.note(f"Memory ran out: {self._size} tiles go at a time.")

    @property
    def devices(self) -> str:
        """Their names, as `napari_edsr.upscale` takes them."""
        return ",".join(engine.name for engine in self._engines)

    @property
    def redone(self) -> int:
        """Tiles that came out non-finite in half precision and were redone in fp32."""
        return sum(engine.redone for engine in self._engines)

    def close(self) -> None:
        """Give the devices' memory back."""
        for pipeline in self._pipelines:  # an exception may still hold on to them
            pipeline.close()
        for engine in self._engines:
            engine.close()
        release_memory(self.engine.device)


def make_run(
    canvas: Canvas,
    engines: Sequence[Engine],
    tiling: Tiling,
    parts: Sequence[Part] | None = None,
) -> Run:
    """The run that suits the tiling."""
    if tiling.equal:
        return BatchedRun(canvas, engines, tiling, parts)
    if len(engines) > 1:
        canvas.note(f"Only {engines[0].name} is used for rows and for an ensemble.")
    return Run(canvas, engines[0], tiling, parts)


def _limits(feed: Feed) -> NDArray[np.float32] | None:
    """The range of each sample, (2, C); None where float32 cannot tell its ends apart."""
    with np.errstate(over="ignore"):
        low, high = np.array(feed.limits).astype(np.float32).T
    fine = np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()
    return np.stack([low, high]) if fine else None
