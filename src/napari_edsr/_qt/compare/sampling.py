"""The values of a layer at given places, read from no more of it than they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_edsr._qt.compare.window import Window, World, points_to_data
from napari_edsr._qt.layers import current_plane, layer_array, layer_axes
from napari_edsr.images import read_plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT = 1e-3  # pixels that a place may be off over the whole of a lattice


@dataclass(frozen=True)
class Samples:
    """Values at the places of a lattice.

    Attributes
    ----------
    values : ndarray, (H, W, S)
        In the layer's type; those nearest to them where places lie outside.
    inside : ndarray of bool, (H, W)
        Which places lie in the layer.
    """

    values: NDArray
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Lattice:
    """Places in a layer's plane: where the first is, and the steps down and across."""

    origin: NDArray
    down: NDArray
    across: NDArray
    shape: tuple[int, int]

    @classmethod
    def of_points(cls, points: NDArray, shape: tuple[int, int]) -> Lattice:
        """From the first place, the one below it and that beside it."""
        origin, below, beside = points
        return cls(origin, below - origin, beside - origin, shape)

    @property
    def step(self) -> float:
        """Pixels of the layer from a place to the next, in the direction of the least."""
        return float(min(np.linalg.norm(self.down), np.linalg.norm(self.across)))

    def shrunk(self, factors: NDArray) -> Lattice:
        """The same places in a layer of pixels `factors` times as large."""
        origin = (self.origin + 0.5) / factors - 0.5
        return Lattice(origin, self.down / factors, self.across / factors, self.shape)

    def coordinates(self) -> tuple[NDArray, NDArray]:
        """Rows and columns, (H, 1) and (1, W) where the lattice lies straight."""
        height, width = self.shape
        i, j = np.arange(height)[:, np.newaxis], np.arange(width)[np.newaxis]
        places = self.origin[:, np.newaxis, np.newaxis]
        rows, columns = places[0], places[1]
        rows = rows + self.down[0] * i
        columns = columns + self.across[1] * j
        if abs(self.across[0]) * width > _EXACT:
            rows = rows + self.across[0] * j
        if abs(self.down[1]) * height > _EXACT:
            columns = columns + self.down[1] * i
        return rows, columns


def sample_window(world: World, layer: Image, window: Window) -> Samples:
    """What the canvas shows of a layer, at the plane that the sliders are at."""
    points = points_to_data(world, layer, window.points())
    lattice = Lattice.of_points(points, window.shape)
    smooth = layer.interpolation2d != "nearest"
    return sample(world, layer, lattice, smooth=smooth)


def sample(
    world: World, layer: Image, lattice: Lattice, *, smooth: bool = False
) -> Samples:
    """Values of a layer's present plane.

    Parameters
    ----------
    world : World
    layer : Image
    lattice : Lattice
        In pixels of the layer's full resolution.
    smooth : bool
        Interpolate between pixels rather than take the nearest one.
    """
    array, lattice = _level(layer, lattice)
    axes = layer_axes(layer)
    size = np.array([array.shape[axes.index(axis)] for axis in "YX"])
    rows, columns = lattice.coordinates()
    stride = _stride(array, lattice)
    lead = [start for start, _ in current_plane(world.dims, layer).values()]
    box = (_span(rows, size[0], stride), _span(columns, size[1], stride))
    part = read_plane(array, axes, lead, box)
    places = (
        (rows - box[0].start) / stride,
        (columns - box[1].start) / stride,
    )
    values = (_between if smooth else _nearest)(part, *places)
    inside = _within(rows, size[0]) & _within(columns, size[1])
    return Samples(values, np.broadcast_to(inside, lattice.shape))


def _level(layer: Image, lattice: Lattice) -> tuple[Any, Lattice]:
    """The coarsest level of a pyramid that has a pixel for each place."""
    if not layer.multiscale:
        return layer_array(layer), lattice
    factors = np.asarray(layer.downsample_factors)[:, -2:]
    fine = [i for i, pair in enumerate(factors) if pair.max() <= max(1, lattice.step)]
    level = max(fine, default=0)
    return layer.data[level], lattice.shrunk(factors[level])


def _stride(array: Any, lattice: Lattice) -> int:
    """Of an array that is not in memory, read no more pixels than there are places."""
    return 1 if isinstance(array, np.ndarray) else max(1, math.floor(lattice.step))


def _span(places: NDArray, size: int, stride: int) -> slice:
    """The pixels around some places, of which there is at least one."""
    start = int(np.clip(np.floor(places.min()), 0, size - 1))
    stop = int(np.clip(np.floor(places.max()) + 2, start + 1, size))
    return slice(start, stop, stride)


def _within(places: NDArray, size: int) -> NDArray[np.bool_]:
    return (places >= -0.5) & (places < size - 0.5)


def _nearest(part: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Pixels of (Y, X, S) nearest to places; of one sample each, in one go."""
    y, x = (
        np.clip(np.floor(places + 0.5).astype(np.intp), 0, size - 1)
        for places, size in zip((rows, columns), part.shape, strict=False)
    )
    if part.shape[2] == 1:
        return part[:, :, 0][y, x][..., np.newaxis]
    return part[y, x]


def _between(part: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
    """Values between pixels, by bilinear interpolation."""
    from scipy.ndimage import map_coordinates

    places = np.broadcast_arrays(rows, columns)
    kind = np.result_type(part, np.float32) if part.dtype.kind == "f" else np.float32
    part = part.astype(kind, copy=False)  # scipy knows neither half precision
    planes = [
        map_coordinates(part[..., i], places, output=kind, order=1, mode="nearest")
        for i in range(part.shape[2])
    ]
    return np.stack(planes, axis=-1)
