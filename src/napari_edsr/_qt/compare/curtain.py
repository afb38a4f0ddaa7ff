"""One layer at one side of a line that can be dragged, another at the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QRectF, Signal
from qtpy.QtGui import QFontMetricsF, QPainter

from napari_edsr._qt.compare.changes import Changes, Keys
from napari_edsr._qt.compare.frame import Views
from napari_edsr._qt.compare.mode import Look, PaintedMode
from napari_edsr._qt.compare.painting import paint_divider, paint_name, painted
from napari_edsr._qt.compare.window import Window, canvas_window

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

VERTICAL, HORIZONTAL = "vertical", "horizontal"
_REACH = 7.0  # pixels of the canvas from which the line can be taken hold of
_KEY_STEP = 0.01  # of the canvas
_TOP = 10.0  # pixels above the names


class Curtain(PaintedMode):
    """A divider between two layers, vertical or horizontal.

    It stays where it is on the canvas while the view moves, and within what is seen of
    the layers.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layers : sequence of Image
        Two: the one at the left or top, and the other.
    look : Look
    direction : {"vertical", "horizontal"}
        Of the line.
    position : float
        Of the line, from 0 to 1 over the canvas.

    Signals
    -------
    moved(float)
        The line is at this position now.
    swap_asked
        The sides are to be swapped.
    """

    name = "Compare: curtain"
    moved = Signal(float)
    swap_asked = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        layers: Sequence[Image],
        look: Look,
        direction: str = VERTICAL,
        position: float = 0.5,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(viewer, layers, look, parent)
        self.direction, self.position = direction, position
        self._keys = Keys(viewer)
        self._held: Changes | None = None

    @property
    def axis(self) -> int:
        """Axis along which the line moves: 1 for columns, 0 for rows."""
        return 1 if self.direction == VERTICAL else 0

    def begin(self) -> None:
        """Show it, and listen to the mouse and the keys."""
        super().begin()
        self.viewer.mouse_move_callbacks.append(self._on_hover)
        self.viewer.mouse_drag_callbacks.append(self._on_drag)
        active = self.viewer.layers.selection.events.active
        self.connections.add(self._bind_keys, active)
        self._bind_keys()

    def end(self) -> None:
        """Let go of the mouse and the keys as well."""
        self._keys.release()
        self._hold(False)
        for callbacks, callback in (
            (self.viewer.mouse_move_callbacks, self._on_hover),
            (self.viewer.mouse_drag_callbacks, self._on_drag),
        ):
            if callback in callbacks:
                callbacks.remove(callback)
        super().end()

    # what can be changed

    def move_to(self, position: float) -> None:
        """Put the line at a position from 0 to 1 over the canvas."""
        position = float(np.clip(position, 0, 1))
        if position != self.position:
            self.position = position
            self.draw_soon()
            self.moved.emit(position)

    def swap(self) -> None:
        """Exchange the layers of the two sides."""
        self.layers.reverse()
        self.draw_soon()

    def turn(self, direction: str) -> None:
        """Make the line vertical or horizontal."""
        self.direction = direction
        self._bind_keys()
        self.draw_soon()

    def _bind_keys(self, event: object = None) -> None:
        back, forth = ("Left", "Right") if self.axis else ("Up", "Down")
        self._keys.bind(
            {
                back: lambda: self.move_to(self.position - _KEY_STEP),
                forth: lambda: self.move_to(self.position + _KEY_STEP),
                "X": self.swap_asked.emit,
            }
        )

    # the mouse

    def _on_hover(self, viewer: ViewerModel, event: Any) -> None:
        self._hold(self._is_near(event.position))

    def _on_drag(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        if not self._is_near(event.position):
            return
        self._hold(True)
        yield
        while event.type == "mouse_move" and self._held:
            self.move_to(self._position_of(event.position))
            yield
        self._hold(False)

    def _hold(self, held: bool) -> None:
        """Let the mouse move the line and not the view, and look like it."""
        if held and self._held is None:
            self._held = Changes()
            self._held.set(self.viewer.scene.camera, "mouse_pan", False)
            self._held.set(self.viewer.cursor, "style", "pointing")
        elif not held and self._held is not None:
            self._held.undo()
            self._held = None

    def _position_of(self, place: tuple[float, ...]) -> float:
        """Position of a place in the world."""
        whole, axis = canvas_window(self.viewer), self.axis
        samples = (place[axis - 2] - whole.corner[axis]) / whole.step[axis] + 0.5
        return float(samples / whole.shape[axis])

    def _is_near(self, place: tuple[float, ...]) -> bool:
        if self._views is None or self._views.window is None:
            return False
        window, axis = self._views.window, self.axis
        line = (window.offset[axis] + self._cut(window)) / window.canvas[axis]
        away = abs(self._position_of(place) - line)
        return away * window.canvas[axis] <= _REACH * self.look.density

    # the picture

    def _cut(self, window: Window) -> int:
        """The first row or column of the second layer."""
        axis = self.axis
        whole = round(self.position * window.canvas[axis]) - window.offset[axis]
        return int(np.clip(whole, 0, window.shape[axis]))

    def paint(self, views: Views) -> NDArray[np.uint8]:
        """Both layers' parts, the line and the names."""
        assert views.window is not None
        window, density = views.window, self.look.density
        first, second = (views.picture(layer) for layer in self.layers)
        picture, cut = self._halves((first, second), window), self._cut(window)
        return painted(
            picture,
            density,
            lambda painter: self._paint_marks(painter, picture.shape, cut),
        )

    def _halves(
        self, pictures: Sequence[NDArray[np.uint8]], window: Window
    ) -> NDArray[np.uint8]:
        """The first picture up to the line, and the second from there."""
        ahead = [slice(None), slice(None)]
        ahead[self.axis] = slice(self._cut(window), None)
        picture = pictures[0].copy()
        picture[tuple(ahead)] = pictures[1][tuple(ahead)]
        return picture

    def joined(
        self, pictures: Sequence[NDArray[np.uint8]], window: Window, density: float
    ) -> NDArray[np.uint8]:
        """Both sides of the line, which is drawn, in a window of the canvas."""
        picture = self._halves(pictures, window)
        place = self._cut(window) / density
        length = picture.shape[1 - self.axis] / density

        def paint(painter: QPainter) -> None:
            upright = bool(self.axis)
            paint_divider(painter, self.look, place, length, upright=upright)

        return painted(picture, density, paint)

    def _paint_marks(self, painter: QPainter, shape: Sequence[int], cut: int) -> None:
        look, upright = self.look, bool(self.axis)
        height, width = (size / look.density for size in shape[:2])
        place = cut / look.density
        rooms = (_beside if upright else _above_and_below)(place, width, height, look)
        for layer, room in zip(self.layers, rooms, strict=True):
            paint_name(painter, look, layer.name, room)
        length = height if upright else width
        paint_divider(painter, look, place, length, upright=upright)


def _beside(
    place: float, width: float, height: float, look: Look
) -> tuple[QRectF, QRectF]:
    """Left and right of an upright line, at the top."""
    room = QRectF(place, _TOP, width - place, height - _TOP)
    return QRectF(place, _TOP, -place, height - _TOP), room


def _above_and_below(
    place: float, width: float, height: float, look: Look
) -> tuple[QRectF, QRectF]:
    """Above and below a level line, at the left."""
    line = QFontMetricsF(look.font).height() + 2 * _TOP
    above = QRectF(0, place - line, width, line if place >= line else 0)
    below = QRectF(0, place + _TOP, width, height - place - _TOP)
    return above, below
