"""Which part of the world is looked at, and with which pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_edsr._qt.layers import layer_array, unit_factor, world_to_data
from napari_edsr.errors import ImageError

if TYPE_CHECKING:
    from napari.components import Dims, ViewerModel
    from numpy.typing import NDArray
    from pint import Unit


@dataclass(frozen=True)
class Window:
    """Samples in rows and columns over a part of the world's last two axes.

    Attributes
    ----------
    corner : (float, float)
        Where the first sample has its centre, in world units.
    step : (float, float)
        From a sample to the next; negative where the canvas turns an axis round.
    shape : (int, int)
        Rows and columns.
    offset, canvas : (int, int)
        Place of the first sample in the canvas, and the canvas's size, in samples.
    """

    corner: tuple[float, float]
    step: tuple[float, float]
    shape: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    canvas: tuple[int, int] = (0, 0)

    def points(self) -> NDArray:
        """World positions of the first sample, the one below it and that beside it."""
        (y, x), (dy, dx) = self.corner, self.step
        return np.array([[y, x], [y + dy, x], [y, x + dx]])

    def outline(self) -> NDArray:
        """World positions of the four corners, from the first sample's clockwise."""
        start, step = np.array(self.corner) - np.array(self.step) / 2, self.step
        end = start + np.multiply(self.shape, step)
        return np.array([start, [start[0], end[1]], end, [end[0], start[1]]])

    def clipped(self, low: NDArray, high: NDArray) -> Window | None:
        """The samples whose centres lie between two corners; None if there are none."""
        ends = (np.array([low, high]) - self.corner) / self.step
        first = np.maximum(np.ceil(ends.min(axis=0) - 1e-6), 0).astype(int)
        stop = np.minimum(np.floor(ends.max(axis=0) + 1e-6) + 1, self.shape).astype(int)
        if np.any(stop <= first):
            return None
        corner = np.array(self.corner) + first * self.step
        return replace(
            self,
            corner=_pair(corner),
            shape=_whole(stop - first),
            offset=_whole(first + self.offset),
        )

    def denser(self, factor: int) -> Window:
        """The same part of the world with `factor` times as many rows and columns."""
        step = np.array(self.step) / factor
        corner = np.array(self.corner) - (np.array(self.step) - step) / 2
        return replace(
            self,
            corner=_pair(corner),
            step=_pair(step),
            shape=_whole(np.multiply(self.shape, factor)),
            offset=_whole(np.multiply(self.offset, factor)),
            canvas=_whole(np.multiply(self.canvas, factor)),
        )


@dataclass(frozen=True)
class World:
    """Where the sliders of a viewer are, and what its axes count in; they may go on.

    Attributes
    ----------
    dims : Dims
        A copy.
    units : tuple of pint.Unit or None
        None where those of the layers do not agree.
    """

    dims: Dims
    units: tuple[Unit, ...] | None

    @classmethod
    def of(cls, viewer: ViewerModel) -> World:
        """As it is now."""
        return cls(viewer.dims.model_copy(), viewer.layers.extent.units)


def check_view(viewer: ViewerModel) -> None:
    """Only flat views of rows and columns can be compared.

    Raises
    ------
    ImageError
        Saying how to get one.
    """
    dims = viewer.dims
    if dims.ndisplay != 2:
        raise ImageError("Switch the viewer to 2D to compare layers.")
    if tuple(dims.displayed) != (dims.ndim - 2, dims.ndim - 1):
        raise ImageError(
            "Turn the viewer's axes back to rows and columns to compare layers."
        )


def visible_window(
    viewer: ViewerModel, layers: Sequence[Image], density: float = 1.0
) -> Window | None:
    """What the canvas shows of layers, None if that is nothing.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layers : sequence of Image
    density : float
        Samples for each of the canvas's pixels, which may be larger than the screen's.
    """
    whole, world = canvas_window(viewer, density), World.of(viewer)
    corners = np.concatenate([corners_in_world(world, layer) for layer in layers])
    return whole.clipped(corners.min(axis=0), corners.max(axis=0))


def canvas_window(viewer: ViewerModel, density: float = 1.0) -> Window:
    """All that the canvas shows, or each part of it in a grid."""
    camera = viewer.scene.camera
    size = np.rint(np.multiply(viewer.canvas.viewbox_size(viewer.layers), density))
    vertical, horizontal = (str(way) for way in camera.orientation2d)
    signs = np.array(
        [1 if vertical == "down" else -1, 1 if horizontal == "right" else -1]
    )
    step = signs / (camera.zoom * density)
    corner = np.array(camera.center[-2:]) + (1 - size) / 2 * step
    shape = _whole(size)
    return Window(_pair(corner), _pair(step), shape, canvas=shape)


def corners_in_world(world: World, layer: Image) -> NDArray:
    """The four corners of a layer, on the outer edges of its pixels."""
    rows, columns = layer_array(layer).shape[layer.ndim - 2 : layer.ndim]
    edges = [(y, x) for y in (-0.5, rows - 0.5) for x in (-0.5, columns - 0.5)]
    return data_to_world(world, layer, edges)


def data_to_world(
    world: World, layer: Image, places: Sequence[Sequence[float]]
) -> NDArray:
    """Rows and columns of a layer's present plane, in the units of the world."""
    lead = world_to_data(layer, world.dims.point)[:-2]
    found = [layer.data_to_world([*lead, *place])[-2:] for place in places]
    return np.array(found) * world_units(world, layer)


def points_to_data(world: World, layer: Image, points: NDArray) -> NDArray:
    """Positions in the world, as rows and columns of a layer's present plane."""
    lead = world.dims.point[:-2]
    own = points / world_units(world, layer)
    return np.array([world_to_data(layer, [*lead, *point])[-2:] for point in own])


def world_units(world: World, layer: Image) -> NDArray:
    """A unit of a layer in those of the canvas, which has them only where all agree."""
    units = world.units
    if units is None:
        return np.ones(2)
    pairs = zip(layer.units[-2:], units[-2:], strict=True)
    return np.array([unit_factor(*pair) or 1.0 for pair in pairs])


def _pair(values: NDArray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _whole(values: NDArray) -> tuple[int, int]:
    return int(values[0]), int(values[1])
