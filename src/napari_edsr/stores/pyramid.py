"""An image at several sizes in a zarr group, written box by box."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.tiling import Box

#: Pixels of the longer side from which no coarser level is made.
_SMALLEST = 512
#: Chunks a side of what is made coarser in one go.
_CHUNKS = 8


def level_factors(height: int, width: int) -> list[int]:
    """Pixels of the finest level in one of each level, along Y and X."""
    factors = [1]
    while max(height, width) // factors[-1] > _SMALLEST:
        if min(height, width) // (2 * factors[-1]) < 1:
            break
        factors.append(2 * factors[-1])
    return factors


def halved(values: NDArray) -> NDArray:
    """Means of two by two pixels of (..., Y, X); an odd last row or column is left out."""
    height, width = (n // 2 for n in values.shape[-2:])
    quads = values[..., : 2 * height, : 2 * width].reshape(
        *values.shape[:-2], height, 2, width, 2
    )
    if values.dtype.kind == "f":
        return quads.mean((-3, -1), dtype=np.float64).astype(values.dtype)
    means = np.floor(quads.mean((-3, -1), dtype=np.float64) + 0.5)
    return means.astype(values.dtype)


class Pyramid:
    """Levels of one image, the finest first; the last two axes are Y and X.

    Parameters
    ----------
    levels : sequence of zarr.Array
    """

    def __init__(self, levels: Sequence[Any]) -> None:
        self.levels = list(levels)

    def write(self, lead: tuple[Any, ...], box: Box, values: NDArray) -> None:
        """Write a box of the finest level, and bring the others up to date.

        Parameters
        ----------
        lead : tuple of int or slice
            Index along the axes before Y and X.
        box : (slice, slice)
        values : ndarray
        """
        self.write_finest(lead, box, values)
        for level in range(1, len(self.levels)):
            box = _coarser(box, self.levels[level].shape[-2:])
            if any(part.start >= part.stop for part in box):
                return
            self.coarsen(level, lead, box)

    def write_finest(self, lead: tuple[Any, ...], box: Box, values: NDArray) -> None:
        """As `write`, but leave the others as they are."""
        self.levels[0][(*lead, *box)] = values

    def coarsen(self, level: int, lead: tuple[Any, ...], box: Box) -> None:
        """Make a box of a level from the finer one."""
        source = tuple(slice(2 * part.start, 2 * part.stop) for part in box)
        finer = np.asarray(self.levels[level - 1][(*lead, *source)])
        self.levels[level][(*lead, *box)] = halved(finer)

    def boxes(self, level: int) -> Iterator[Box]:
        """Parts of a level that are made in one go, along Y and X."""
        array = self.levels[level]
        height, width = array.shape[-2:]
        side = _CHUNKS * (array.shards or array.chunks)[-1]
        corners = range(0, height, side), range(0, width, side)
        for y, x in itertools.product(*corners):
            yield slice(y, min(y + side, height)), slice(x, min(x + side, width))

    def chunk_files(
        self, root: Path, lead: tuple[Any, ...], box: Box
    ) -> Iterator[Path]:
        """Files in which a box of the finest level lies, at all levels."""
        for number, level in enumerate(self.levels):
            yield from self.files_of(number, root, (*lead, *box))
            box = _coarser(box, [n // 2 for n in level.shape[-2:]])

    def files_of(
        self, level: int, root: Path, index: tuple[Any, ...]
    ) -> Iterator[Path]:
        """Files in which a part of one level lies."""
        array = self.levels[level]
        sizes = array.shards or array.chunks
        spans = [
            _chunks(part, size, length)
            for part, size, length in zip(index, sizes, array.shape, strict=True)
        ]
        for place in itertools.product(*spans):
            yield root.joinpath(array.basename, "c", *map(str, place))


def _coarser(box: Box, limits: Sequence[int]) -> Box:
    rows, columns = (
        slice(part.start // 2, min((part.stop + 1) // 2, limit))
        for part, limit in zip(box, limits, strict=True)
    )
    return rows, columns


def _chunks(part: int | slice, size: int, length: int) -> range:
    if isinstance(part, int):
        return range(part // size, part // size + 1)
    start, stop, _ = part.indices(length)
    return range(start // size, (max(stop, start + 1) - 1) // size + 1)
