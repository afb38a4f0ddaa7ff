"""The same small region of every layer, magnified, following the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_edsr._qt.compare.colours import coloured
from napari_edsr._qt.compare.mode import LOOKS, Mode
from napari_edsr._qt.compare.sampling import Lattice, sample
from napari_edsr._qt.compare.scores import Box, box_in, decibels, pair_of
from napari_edsr._qt.compare.window import (
    Window,
    World,
    corners_in_world,
    points_to_data,
)
from napari_edsr._qt.layers import layer_array
from napari_edsr.errors import ImageError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

_REST = 30  # milliseconds between two looks


@dataclass(frozen=True)
class Tile:
    """What the loupe shows of a layer.

    Attributes
    ----------
    name : str
    picture : ndarray of uint8, (H, W, 4)
    score : str
        PSNR against the truth over the part, or why there is none; empty without truth.
    """

    name: str
    picture: NDArray[np.uint8]
    score: str


class Loupe(Mode):
    """Looks at what is under the cursor, and leaves the viewer as it is.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layers : sequence of Image
    side : int
        Of the pictures, in pixels of the screen.
    magnification : int
        Pixels of the screen for one of the layer with the smallest.
    truth : Image, optional

    Signals
    -------
    seen(list of Tile)
        One for each layer, in their order.
    """

    seen = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        layers: Sequence[Image],
        side: int,
        magnification: int = 8,
        truth: Image | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(viewer, layers, parent)
        self.side, self.magnification, self.truth = side, magnification, truth
        self.place = np.array(viewer.scene.camera.center[-2:], float)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST)
        self._timer.timeout.connect(self._look_again)

    def begin(self) -> None:
        """Look at the middle of the canvas, and follow the cursor from there."""
        super().begin()
        self.viewer.mouse_move_callbacks.append(self._on_mouse)
        self.connections.add(self.look_soon, self.viewer.dims.events.point)
        for layer in self.layers:
            emitters = (getattr(layer.events, name) for name in LOOKS)
            self.connections.add(self.look_soon, *emitters)
        self.look()

    def end(self) -> None:
        """Follow no longer."""
        self._timer.stop()
        if self._on_mouse in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._on_mouse)
        super().end()

    def set(self, *, side: int, magnification: int, truth: Image | None) -> None:
        """Look with other settings."""
        self.side, self.magnification, self.truth = side, magnification, truth
        self.look_soon()

    def _on_mouse(self, viewer: ViewerModel, event: Any) -> None:
        self.place = np.array(event.position[-2:], float)
        self.look_soon()

    def look_soon(self, event: object = None) -> None:
        """Look, but not more often than the eye can follow."""
        if not self._timer.isActive():
            self._timer.start()

    @property
    def window(self) -> Window:
        """The part of the world that is magnified."""
        step = np.full(2, self._pixel() / self.magnification)
        corner = self.place - step * (self.side - 1) / 2
        shape = (self.side, self.side)
        return Window(tuple(corner.tolist()), tuple(step.tolist()), shape)

    def _pixel(self) -> float:
        """Side of the smallest pixel of all layers, in the world."""
        return min(_pixel_side(self.viewer, layer) for layer in self.layers)

    def _look_again(self) -> None:
        self.attempt(self.look)

    @property
    def world(self) -> World:
        """As it is now."""
        return World.of(self.viewer)

    def look(self) -> None:
        """Tell what is under the cursor."""
        window = self.window
        scores = self._scores(window)
        tiles = [
            Tile(layer.name, self.picture(layer, window), score)
            for layer, score in zip(self.layers, scores, strict=True)
        ]
        self.seen.emit(tiles)

    def picture(self, layer: Image, window: Window) -> NDArray[np.uint8]:
        """A layer's pixels as squares, whatever interpolation it is shown with."""
        points = points_to_data(self.world, layer, window.points())
        lattice = Lattice.of_points(points, window.shape)
        return coloured(layer, sample(self.world, layer, lattice))

    def _scores(self, window: Window) -> list[str]:
        truth = self.truth
        if truth is None:
            return [""] * len(self.layers)
        box = box_in(self.world, truth, window)
        if box is None:
            return ["beside the truth"] * len(self.layers)
        return [self._score(layer, truth, box) for layer in self.layers]

    def _score(self, layer: Image, truth: Image, box: Box) -> str:
        if layer is truth:
            return "reference"
        try:
            return decibels(pair_of(self.world, layer, truth, box).psnr())
        except ImageError as error:
            return str(error)


def _pixel_side(viewer: ViewerModel, layer: Image) -> float:
    corners = corners_in_world(World.of(viewer), layer)
    rows, columns = layer_array(layer).shape[layer.ndim - 2 : layer.ndim]
    height = np.linalg.norm(corners[2] - corners[0]) / rows
    width = np.linalg.norm(corners[1] - corners[0]) / columns
    return float(min(height, width))
