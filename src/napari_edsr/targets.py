"""Where the tiles of a run go: an array, or a store that takes finished parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_edsr.tiling import Box, area, overlap, relative

Lead = tuple[int, ...]


class Target(Protocol):
    """Takes the planes of a result, part by part, as (H, W, S)."""

    def block(self, lead: Lead, box: Box, samples: int, dtype: np.dtype) -> NDArray:
        """An array to be filled for rows and columns of the result, (H, W, S)."""

    def put(self, lead: Lead, box: Box, block: NDArray) -> None:
        """Take what `block` gave, filled."""

    def remaining(self, lead: Lead, box: Box) -> list[slice]:
        """Rows of a box that are still to be done, from top to bottom."""

    def close(self) -> None:
        """End, finished or not."""


class ArrayTarget:
    """An array in memory, which is filled in place.

    Parameters
    ----------
    planes : ndarray, (..., Y, X, S)
        The leading axes before those of a plane.
    """

    def __init__(self, planes: NDArray) -> None:
        self._planes = planes

    def block(self, lead: Lead, box: Box, samples: int, dtype: np.dtype) -> NDArray:
        """A view."""
        return self._planes[lead][box]

    def put(self, lead: Lead, box: Box, block: NDArray) -> None:
        """It is there already."""

    def remaining(self, lead: Lead, box: Box) -> list[slice]:
        """All of them."""
        return [box[0]]

    def close(self) -> None:
        """There is nothing to end."""


@dataclass(frozen=True)
class Unit:
    """What is stored in one go.

    Attributes
    ----------
    number : int
        Counts the units of a run.
    lead : tuple of int
        Index of the plane within the result.
    box : (slice, slice)
        Rows and columns of the result.
    """

    number: int
    lead: Lead
    box: Box


@dataclass(frozen=True)
class Grid:
    """How the planes of a result are cut into units.

    Attributes
    ----------
    leading : tuple of int
        Lengths of the axes that count planes.
    rows, columns : tuple of int
        Where units begin in the wanted part of the input, and where the last one ends.
    scale : int
    """

    leading: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    scale: int

    @property
    def per_plane(self) -> int:
        """Units of a plane."""
        return (len(self.rows) - 1) * (len(self.columns) - 1)

    def __len__(self) -> int:
        """Units in all."""
        return self.per_plane * int(np.prod(self.leading, dtype=np.int64))

    def unit(self, number: int) -> Unit:
        """One of them, counted plane by plane, and row by row."""
        plane, within = divmod(number, self.per_plane)
        row, column = divmod(within, len(self.columns) - 1)
        lead = tuple(int(i) for i in np.unravel_index(plane, self.leading or (1,)))
        box = self._part(self.rows, row), self._part(self.columns, column)
        return Unit(number, lead if self.leading else (), box)

    def _part(self, edges: tuple[int, ...], number: int) -> slice:
        return slice(edges[number] * self.scale, edges[number + 1] * self.scale)

    def stripes(self) -> Iterator[range]:
        """Numbers of units that lie below one another, from left to right in each plane."""
        across = len(self.columns) - 1
        for first in range(0, len(self), self.per_plane):
            for column in range(across):
                yield range(first + column, first + self.per_plane, across)

    def touching(self, lead: Lead, box: Box) -> Iterator[Unit]:
        """Units that share pixels with a box of the result."""
        plane = int(np.ravel_multi_index(lead, self.leading)) if lead else 0
        across = len(self.columns) - 1
        for row in _touched(self.rows, box[0], self.scale):
            for column in _touched(self.columns, box[1], self.scale):
                yield self.unit(plane * self.per_plane + row * across + column)


def _touched(edges: tuple[int, ...], part: slice, scale: int) -> Iterator[int]:
    for number, (start, stop) in enumerate(pairwise(edges)):
        if start * scale < part.stop and part.start < stop * scale:
            yield number


class Store(Protocol):
    """Keeps units, and knows which it has."""

    grid: Grid

    def has(self, number: int) -> bool:
        """Whether a unit is there."""

    def write(self, unit: Unit, values: NDArray) -> None:
        """Take a unit, (H, W, S)."""


class GatheringTarget:
    """Gathers units from tiles or bands of rows, and hands those that are full to a store.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[int, tuple[NDArray, int]] = {}

    def block(self, lead: Lead, box: Box, samples: int, dtype: np.dtype) -> NDArray:
        """New."""
        return _empty(box, samples, dtype)

    def put(self, lead: Lead, box: Box, block: NDArray) -> None:
        """Share it out among the units."""
        for unit in self._store.grid.touching(lead, box):
            if self._store.has(unit.number):
                continue
            values, missing = self._open.pop(unit.number, (None, 0))
            if values is None:
                values = _empty(unit.box, block.shape[-1], block.dtype)
                missing = area(unit.box)
            part = overlap(unit.box, box)
            values[relative(part, unit.box)] = block[relative(part, box)]
            missing -= area(part)
            if missing:
                self._open[unit.number] = values, missing
            else:
                self._store.write(unit, values)

    def remaining(self, lead: Lead, box: Box) -> list[slice]:
        """Rows of which some unit is not in the store yet."""
        found: list[slice] = []
        for unit in self._store.grid.touching(lead, box):
            if self._store.has(unit.number):
                continue
            rows = overlap(unit.box, box)[0]
            if found and rows.start <= found[-1].stop:
                rows = slice(found.pop().start, rows.stop)
            found.append(rows)
        return found

    def close(self) -> None:
        """Drop what is not complete."""
        self._open.clear()


def _empty(box: Box, samples: int, dtype: np.dtype) -> NDArray:
    rows, columns = box
    return np.empty(
        (rows.stop - rows.start, columns.stop - columns.start, samples), dtype
    )
