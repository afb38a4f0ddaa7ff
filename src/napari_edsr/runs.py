"""The parts of a run, one after the other, and what is left when memory runs out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from napari_edsr.canvas import Canvas, Output, Plane
from napari_edsr.device import is_out_of_memory, release_memory
from napari_edsr.engine import Engine
from napari_edsr.errors import DeviceError
from napari_edsr.events import PassDone, TileDone, UpscalePlanned, relay
from napari_edsr.plan import Tiling
from napari_edsr.tiling import Box, Tile

Event = UpscalePlanned | PassDone | TileDone
_Events = Generator[Event, None, None]
_TileEvents = Generator[PassDone | TileDone, None, None]


@dataclass(frozen=True, slots=True)
class Part:
    """A tile of the plane at an index along the leading axes."""

    lead: tuple[int, ...]
    tile: Tile


@dataclass
class Run:
    """Upscales every plane of a canvas.

    Parameters
    ----------
    canvas : Canvas
    engine : Engine
    tiling : Tiling
        How planes are cut.
    parts : sequence of Part, optional
        What is to be done; all that is not in the result yet by default.
    """

    canvas: Canvas
    engine: Engine
    tiling: Tiling
    parts: Sequence[Part] | None = None

    def __post_init__(self) -> None:
        if self.parts is None:
            grid = self.tiling.tiles(self.canvas.spec.plane, self.canvas.box)
            self._todo = deque(self._missing(grid))
        else:
            self._todo = deque(self.parts)
            grid = [part.tile for part in self.parts]
        self.total = self._count(part.tile for part in self._todo)
        self.done = 0
        self.flop = 0.0
        self._began = 0.0
        self._window = self._read_by(grid)
        self._opened: tuple[tuple[int, ...], Plane] | None = None

    def _missing(self, grid: Iterable[Tile]) -> Iterator[Part]:
        for lead in self.canvas.leads():
            for tile in grid:
                for rest in self.canvas.remaining(lead, tile):
                    yield Part(lead, rest)

    def events(self) -> _Events:
        """Do every tile of every plane."""
        yield self._planned()
        self._began = time.perf_counter()
        while not (yield from self._iter_try()):
            self._halve()  # by now the exception and its memory are gone
            self.total = self.done + self._count(part.tile for part in self._todo)
            yield self._planned()

    def _count(self, tiles: Iterable[Tile]) -> int:
        return sum(self.tiling.parts(tile, self.canvas.box) for tile in tiles)

    def _open(self, lead: tuple[int, ...]) -> Plane:
        """A plane, which stays open until the next one is."""
        if self._opened is None or self._opened[0] != lead:
            plane = self.canvas.plane(
                lead,
                self._window,
                reach=self.tiling.halo,
                by_rows=self.tiling.by_rows,
            )
            self._opened = lead, plane
        return self._opened[1]

    def _read_by(self, tiles: Iterable[Tile]) -> Box:
        """Rows and columns that tiles read, context included."""
        box = self.canvas.box
        sources = [part for tile in tiles for part in self.tiling.sources(tile, box)]
        if not sources:
            return box
        rows, columns = zip(*sources, strict=True)
        return (
            slice(min(r.start for r in rows), max(r.stop for r in rows)),
            slice(min(c.start for c in columns), max(c.stop for c in columns)),
        )

    def _planned(self) -> UpscalePlanned:
        engine = self.engine
        return UpscalePlanned(
            total=self.total,
            tile=self.tiling.label,
            halo=self.tiling.halo,
            device=self.devices,
            precision=engine.precision,
            notes=tuple(self.canvas.notes),
        )

    def _iter_try(self) -> Generator[PassDone | TileDone, None, bool]:
        """Do what is left, tile by tile; False if memory ran out."""
        try:
            yield from self._iter_all()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def _iter_all(self) -> _TileEvents:
        run = self._iter_rows if self.tiling.by_rows else self._iter_passes
        while self._todo:
            part = self._todo[0]
            yield from run(self._open(part.lead), part.tile)
            self._todo.popleft()

    def _iter_rows(self, plane: Plane, tile: Tile) -> _TileEvents:
        """Run its bands through the network, all feeds side by side."""
        bands = self.tiling.bands(tile, self.canvas.box)
        window = self._read_by([tile])  # what is missing may lie far apart
        plane.read_ahead(window)
        feeds = plane.feeds(window)
        runs = [
            self.engine.iter_rows(partial(plane.read, feed=feed), bands)
            for feed in feeds
        ]
        for band, *rows in zip(bands, *runs, strict=True):
            self.flop += self.engine.flop(band.source) * len(feeds)
            if band.tile is None:
                yield PassDone(self.done, self.total, self._spent)
            else:
                outputs = [Output(*pair) for pair in zip(feeds, rows, strict=True)]
                where = plane.write(band.tile, outputs)
                rest = replace(tile, y0=band.tile.y1)
                self._todo[0] = replace(self._todo[0], tile=rest)
                yield self._tile_done(where)

    def _iter_passes(self, plane: Plane, tile: Tile) -> _TileEvents:
        """Run it as a whole, as often as the engine does."""
        noted = len(self.engine.notes)
        crop, _ = tile.placed(self.canvas.box, self.engine.scale)
        feeds = plane.feeds(tile.source)
        outputs = []
        for number, feed in enumerate(feeds):
            self.flop += self.engine.flop(tile.source)
            run = self.engine.iter_run(plane.read(tile.source, feed), crop)
            seen = yield from relay(run, partial(self._pass, number, len(feeds)))
            outputs.append(Output(feed, *seen))
        for note in self.engine.notes[noted:]:
            self.canvas.note(note)
        yield self._tile_done(plane.write(tile, outputs))

    def _tile_done(self, where: tuple[slice, ...]) -> TileDone:
        self.done += 1
        return TileDone(self.done, self.total, where, self._spent)

    def _pass(self, feed: int, feeds: int, count: int) -> PassDone:
        share = (feed + count / self.engine.passes) / feeds
        return PassDone(self.done + share, self.total, self._spent)

    @property
    def devices(self) -> str:
        """Its device, as `napari_edsr.upscale` takes it."""
        return self.engine.name

    @property
    def redone(self) -> int:
        """Tiles that came out non-finite in half precision and were redone in fp32."""
        return self.engine.redone

    def close(self) -> None:
        """Give the device's memory back."""
        self.engine.close()
        release_memory(self.engine.device)

    @property
    def _spent(self) -> float:
        """Seconds since the first tile began."""
        return time.perf_counter() - self._began

    def _halve(self) -> None:
        """Smaller tiles for what is left; what is finished stays."""
        release_memory(self.engine.device)
        smaller = self.tiling.halved([part.tile for part in self._todo])
        if smaller is None:
            raise DeviceError(self._memory_advice())
        self.tiling = smaller
        self.canvas.note(f"Memory ran out: tiles were halved to {smaller.size[1]} px.")
        self._todo = deque(
            replace(part, tile=tile)
            for part in self._todo
            for tile in part.tile.split(smaller.size, equal=smaller.equal)
            if tile.intersects(self.canvas.box)
        )
        self._window = self._read_by(part.tile for part in self._todo)
        self._opened = None

    def _memory_advice(self) -> str:
        advice = "close other programs, or choose another device"
        if not self.tiling.shrinks:
            advice = "choose a smaller tile or tile='auto'"
        return (
            f"Memory of {self.engine.device} ran out with tiles of "
            f"{self.tiling.size[1]} px; {advice}."
        )

    def metadata(self) -> dict[str, Any]:
        """What was done, as plain values."""
        canvas, engine = self.canvas, self.engine
        return {
            "scale": engine.scale,
            "axes": canvas.spec.axes,
            "device": self.devices,
            "precision": engine.precision,
            "tile": self.tiling.label,
            "halo": self.tiling.halo,
            "tiles": self.done,
            "flop": self.flop,
            "tiles_redone_in_fp32": self.redone,
            "ranges": [list(limits) for limits in canvas.ranges],
            "self_ensemble": engine.ensemble,
            "region": {
                axis: [part.start, part.stop] for axis, part in canvas.slices.items()
            },
            "notes": list(canvas.notes),
        }
