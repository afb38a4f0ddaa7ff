"""Layers side by side, each with its name, under one camera."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_edsr._qt.compare.mode import Mode
from napari_edsr._qt.compare.window import visible_window

_SPACING = 6  # pixels between two parts
_FORWARD = 1  # napari's stride for the order of the layer list


class Grid(Mode):
    """napari's own grid, with nothing but the layers compared."""

    _zooms: tuple[float, float] | None = None  # before, and in the grid

    def begin(self) -> None:
        """Lay them out so that they are as large as can be; what is in view stays so."""
        super().begin()
        viewer, grid = self.viewer, self.viewer.canvas.grid
        for layer in viewer.layers:
            self.changes.set(layer, "visible", layer in self.layers)
        for layer in self.layers:
            self.changes.set(layer.name_overlay, "visible", True)
        whole = np.array(viewer.canvas.viewbox_size(viewer.layers))
        shape = best_shape(len(self.layers), viewer.canvas.size, self._sides())
        self.changes.set(grid, "stride", _FORWARD)
        self.changes.set(grid, "spacing", _SPACING)
        self.changes.set(grid, "shape", shape)
        self.changes.set(grid, "enabled", True)
        part = np.array(viewer.canvas.viewbox_size(viewer.layers))
        before = viewer.scene.camera.zoom
        viewer.scene.camera.zoom = before * float((part / whole).min())
        self._zooms = before, viewer.scene.camera.zoom

    def end(self) -> None:
        """Show as much of the world as the parts did."""
        super().end()
        if self._zooms is not None:
            (before, within), camera = self._zooms, self.viewer.scene.camera
            camera.zoom = before * (camera.zoom / within)

    def _sides(self) -> tuple[float, float]:
        """Height and width of what is in view, or of the canvas if nothing is."""
        window = visible_window(self.viewer, self.layers)
        return window.shape if window else self.viewer.canvas.size


def best_shape(
    count: int, canvas: Sequence[float], image: Sequence[float]
) -> tuple[int, int]:
    """Rows and columns for which images of one shape are largest.

    Parameters
    ----------
    count : int
    canvas, image : (float, float)
        Height and width.

    Returns
    -------
    (int, int)
    """

    def size(columns: int) -> float:
        rows = math.ceil(count / columns)
        return min(canvas[0] / rows / image[0], canvas[1] / columns / image[1])

    columns = max(range(1, count + 1), key=size)
    return math.ceil(count / columns), columns
