"""Pure geometry: how a plane is cut into tiles, and where each one goes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from napari_edsr.errors import ImageError

Box = tuple[slice, slice]
Size = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A rectangle of the input, ``y0:y1, x0:x1`` in input pixels, and its context.

    Parameters
    ----------
    y0, y1, x0, x1 : int
        The pixels this tile is responsible for; tiles neither overlap nor leave gaps.
    shape : (int, int)
        Height and width of the plane, at which the context stops.
    halo : int
        Context on each side, in input pixels.
    least : (int, int), optional
        Rows and columns that are read in any case, of a plane that has as many.
    """

    y0: int
    y1: int
    x0: int
    x1: int
    shape: tuple[int, int]
    halo: int
    least: Size = (0, 0)

    @property
    def box(self) -> Box:
        """Its rows and columns, without context."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def source(self) -> Box:
        """What the network reads: the tile and its halo, cut at the plane's edges.

        Nothing is padded: there the network pads with zeros as it does untiled.
        """
        return self._around(self.y0, self.y1, 0), self._around(self.x0, self.x1, 1)

    def _around(self, start: int, stop: int, axis: int) -> slice:
        length, least = self.shape[axis], self.least[axis]
        start = max(0, min(start - self.halo, length - least))
        return slice(start, min(length, max(stop + self.halo, start + least)))

    def placed(self, box: Box, scale: int) -> tuple[Box, Box]:
        """Where its part inside a box lies, in output pixels.

        Parameters
        ----------
        box : (slice, slice)
            Rows and columns of the plane, in input pixels, which it intersects.
        scale : int

        Returns
        -------
        crop, target : (slice, slice)
            The part within the upscaled `source`, and within the upscaled box.
        """
        parts = overlap(self.box, box)
        crop = [
            _scaled(part, source.start, scale)
            for part, source in zip(parts, self.source, strict=True)
        ]
        target = [
            _scaled(part, limits.start, scale)
            for part, limits in zip(parts, box, strict=True)
        ]
        return (crop[0], crop[1]), (target[0], target[1])

    def intersects(self, box: Box) -> bool:
        """Whether it shares pixels with ``rows, columns``, in input pixels."""
        rows, cols = box
        return (
            self.y0 < rows.stop
            and rows.start < self.y1
            and self.x0 < cols.stop
            and cols.start < self.x1
        )

    def split(self, size: Size, *, equal: bool = False, step: int = 1) -> list[Tile]:
        """Cut it into tiles no larger than so many rows and columns, with the same halo.

        See `plan_tiles`; they begin at multiples of `step` from the first row and column.
        """
        rows = _cut(self.y0, self.y1, size[0], step)
        columns = _cut(self.x0, self.x1, size[1], step)
        halos = 2 * self.halo
        least = (_longest(rows) + halos, _longest(columns) + halos) if equal else (0, 0)
        return [
            Tile(y0, y1, x0, x1, self.shape, self.halo, least)
            for y0, y1 in rows
            for x0, x1 in columns
        ]

    def within(self, box: Box) -> Tile:
        """The part of it inside ``rows, columns``, in input pixels, which it intersects."""
        rows, columns = overlap(self.box, box)
        return replace(
            self, y0=rows.start, y1=rows.stop, x0=columns.start, x1=columns.stop
        )


@dataclass(frozen=True)
class Band:
    """Rows that a network takes in one go, and those of its result that are then done.

    Attributes
    ----------
    source : (slice, slice)
        Rows and columns of the plane to read.
    last : bool
        Whether the plane ends with them.
    tile : Tile or None
        What is done of the tile; None while its first rows wait for those below.
    skip : int
        Rows done before those of `tile`, which are only context.
    """

    source: Box
    last: bool
    tile: Tile | None
    skip: int

    def crop(self, scale: int) -> Box:
        """Where its tile lies in what the network gives."""
        assert self.tile is not None
        rows = slice(self.skip, self.skip + self.tile.y1 - self.tile.y0)
        return (
            _scaled(rows, 0, scale),
            _scaled(slice(self.tile.x0, self.tile.x1), self.source[1].start, scale),
        )


def plan_bands(tile: Tile, height: int) -> list[Band]:
    """Cut what a tile reads into bands, from top to bottom.

    They are some of those of a tile from the first row of the plane to the last, and so
    the pixels are the same to the last bit; they begin one band early, for the first
    band of a run is computed otherwise.

    Parameters
    ----------
    tile : Tile
        Its halo is the network's receptive field, by which results lag behind.
    height : int
        Rows of a band.

    Returns
    -------
    list of Band
        The rows of their tiles follow one another and make up the tile.
    """
    _, columns = tile.source
    bands = []
    for top, end, done, y0, y1 in _band_rows(tile, height):
        part = replace(tile, y0=y0, y1=y1) if y0 < y1 else None
        read = slice(top, end), columns
        bands.append(Band(read, end == tile.shape[0], part, y0 - done))
    return bands


@lru_cache(maxsize=64)  # what a dock asks for does not change with every question
def count_bands(tile: Tile, height: int) -> tuple[int, int]:
    """Rows that `plan_bands` would have read, and how many bands give a part of it."""
    read = parts = 0
    for top, end, _, y0, y1 in _band_rows(tile, height):
        read += end - top
        parts += y0 < y1
    return read, parts


def _band_rows(tile: Tile, height: int) -> Iterator[tuple[int, int, int, int, int]]:
    """First row and end of each band, rows done before, and what of the tile it gives."""
    rows, _ = tile.source
    start = max(0, rows.start // height - 1) * height
    stop = min(tile.shape[0], math.ceil(rows.stop / height) * height)
    done = start
    for top in range(start, stop, height):
        end = min(top + height, stop)
        finished = end if end == tile.shape[0] else max(done, end - tile.halo)
        yield top, end, done, max(done, tile.y0), min(finished, tile.y1)
        done = finished


def plan_tiles(
    shape: tuple[int, int], *, tile: int | Size, halo: int, equal: bool = False
) -> list[Tile]:
    """Cut a plane into near-equal tiles, row by row from the top left.

    The tiles are counted first and then made equal to within a pixel, so that no
    sliver is left at an edge.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels, each at least 1.
    tile : int or (int, int)
        Largest side of a tile, or its most rows and columns, in input pixels, the halo
        not counted.
    halo : int
        Context on each side in input pixels; the network's receptive field makes
        the tiled result equal to the untiled one.
    equal : bool
        Read as many rows and columns for each tile, with more context at the edges.

    Returns
    -------
    list of Tile
        They cover the plane exactly once.
    """
    size = (tile, tile) if isinstance(tile, int) else tile
    if min(size) < 1 or halo < 0 or min(shape) < 1:
        raise ImageError(
            f"No tiles of {tile} px with halo {halo} fit a plane of {shape}."
        )
    height, width = int(shape[0]), int(shape[1])
    whole = Tile(0, height, 0, width, (height, width), halo)
    return whole.split(size, equal=equal)


def area(box: Box) -> int:
    """Pixels of a box."""
    rows, columns = box
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def holds(outer: Box, inner: Box) -> bool:
    """Whether a box lies within another."""
    pairs = zip(outer, inner, strict=True)
    return all(o.start <= i.start and i.stop <= o.stop for o, i in pairs)


def grown(box: Box, margin: int, limits: Box) -> Box:
    """A box with a margin on each side, as far as the limits allow."""
    rows, columns = (
        slice(max(part.start - margin, end.start), min(part.stop + margin, end.stop))
        for part, end in zip(box, limits, strict=True)
    )
    return rows, columns


def overlap(box: Box, other: Box) -> Box:
    """The part two boxes share, if they do."""
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(box, other, strict=True)
    )
    return rows, columns


def relative(box: Box, around: Box) -> Box:
    """A box as the index of an array that begins where another one does."""
    rows, columns = (
        slice(part.start - origin.start, part.stop - origin.start)
        for part, origin in zip(box, around, strict=True)
    )
    return rows, columns


def _scaled(part: slice, origin: int, scale: int) -> slice:
    return slice((part.start - origin) * scale, (part.stop - origin) * scale)


def _cut(start: int, stop: int, largest: int, step: int) -> list[tuple[int, int]]:
    """Near-equal parts, each but the last a multiple of `step` long."""
    steps = math.ceil((stop - start) / step)
    count = math.ceil(steps / max(1, largest // step))
    edges = [start + step * (steps * i // count) for i in range(count)]
    return list(zip(edges, [*edges[1:], stop], strict=True))


def _longest(parts: list[tuple[int, int]]) -> int:
    return max(stop - start for start, stop in parts)
