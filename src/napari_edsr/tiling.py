"""Pure geometry: how a plane is cut into tiles, and where each one goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_edsr.errors import ImageError

Box = tuple[slice, slice]


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
    """

    y0: int
    y1: int
    x0: int
    x1: int
    shape: tuple[int, int]
    halo: int

    @property
    def source(self) -> Box:
        """What the network reads: the tile and its halo, cut at the plane's edges.

        Nothing is padded: there the network pads with zeros as it does untiled.
        """
        return (
            slice(max(0, self.y0 - self.halo), min(self.shape[0], self.y1 + self.halo)),
            slice(max(0, self.x0 - self.halo), min(self.shape[1], self.x1 + self.halo)),
        )

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
        parts = [
            slice(max(start, limits.start), min(stop, limits.stop))
            for start, stop, limits in (
                (self.y0, self.y1, box[0]),
                (self.x0, self.x1, box[1]),
            )
        ]
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

    def split(self, tile: int) -> list[Tile]:
        """Cut it into tiles no larger than `tile`, with the same halo."""
        return [
            Tile(y0, y1, x0, x1, self.shape, self.halo)
            for y0, y1 in _cut(self.y0, self.y1, tile)
            for x0, x1 in _cut(self.x0, self.x1, tile)
        ]


def plan_tiles(shape: tuple[int, int], *, tile: int, halo: int) -> list[Tile]:
    """Cut a plane into near-equal tiles, row by row from the top left.

    The tiles are counted first and then made equal to within a pixel, so that no
    sliver is left at an edge.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels, each at least 1.
    tile : int
        Largest side of a tile in input pixels, its halo not counted.
    halo : int
        Context on each side in input pixels; the network's receptive field makes
        the tiled result equal to the untiled one.

    Returns
    -------
    list of Tile
        They cover the plane exactly once.
    """
    if tile < 1 or halo < 0 or min(shape) < 1:
        raise ImageError(
            f"No tiles of {tile} px with halo {halo} fit a plane of {shape}."
        )
    height, width = int(shape[0]), int(shape[1])
    whole = Tile(0, height, 0, width, (height, width), halo)
    return whole.split(tile)


def _scaled(part: slice, origin: int, scale: int) -> slice:
    return slice((part.start - origin) * scale, (part.stop - origin) * scale)


def _cut(start: int, stop: int, largest: int) -> list[tuple[int, int]]:
    count = math.ceil((stop - start) / largest)
    edges = [start + (stop - start) * i // count for i in range(count + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))
