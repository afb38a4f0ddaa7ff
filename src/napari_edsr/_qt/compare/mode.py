"""What all ways of comparing have in common: they begin, follow, and put things back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QFont, QPalette

from napari_edsr._qt.compare.changes import Changes, Connections
from napari_edsr._qt.compare.frame import Frame, Views
from napari_edsr._qt.compare.window import check_view
from napari_edsr._qt.layers import is_preview
from napari_edsr._qt.live import file_of
from napari_edsr._qt.news import layer_news
from napari_edsr._qt.wording import sentence
from napari_edsr.errors import EDSRError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

#: Of a layer: what changes how it looks.
LOOKS = (
    *("data", "set_data", "contrast_limits", "colormap", "gamma", "opacity"),
    *("interpolation2d", "name"),
    *("scale", "translate", "rotate", "shear", "affine", "units"),
)
_LONGEST_REST = 300  # milliseconds between two drawings that take long


@dataclass(frozen=True)
class Look:
    """How a dock draws: its colours and font, and the screen's pixels in one of Qt's."""

    palette: QPalette
    font: QFont
    density: float = 1.0


class Mode(QObject):
    """A way of comparing; it is begun once, and ended once.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layers : sequence of Image

    Signals
    -------
    gave_up(str)
        It cannot go on, and why.
    """

    gave_up = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        layers: Sequence[Image],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer, self.layers = viewer, list(layers)
        self.connections, self.changes = Connections(), Changes()

    def begin(self) -> None:
        """Change what the viewer shows.

        Raises
        ------
        ImageError
            If this view cannot be compared.
        """
        check_view(self.viewer)
        dims = self.viewer.dims.events
        self.connections.add(self._on_axes, dims.ndisplay, dims.order)

    def end(self) -> None:
        """Leave the viewer as it was."""
        self.connections.cut()
        self.changes.undo()

    def hand_over(self) -> Frame | None:
        """End, but leave a picture that the next mode may use."""
        self.end()
        return None

    def attempt(self, work: Callable[[], object]) -> None:
        """Do something of which nobody else would learn that it failed."""
        try:
            work()
        except Exception as error:  # a file that can no longer be read, for one
            self.gave_up.emit(sentence(str(error) or type(error).__name__))

    def _on_axes(self, event: object = None) -> None:
        try:
            check_view(self.viewer)
        except EDSRError as error:
            self.gave_up.emit(str(error))


class PaintedMode(Mode):
    """A mode that shows a picture of layers instead of the layers.

    The picture has the canvas's pixels, so that it costs the same for all images. It is
    painted anew after everything that changes what is seen.

    Parameters
    ----------
    look : Look
    """

    name = ""

    def __init__(
        self,
        viewer: ViewerModel,
        layers: Sequence[Image],
        look: Look,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(viewer, layers, parent)
        self.look = look
        self.frame = Frame(viewer, self.name)
        self._views: Views | None = None
        self._cost = 0.0
        self._coming: WeakSet[Image] = WeakSet()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.redraw)

    def begin(self) -> None:
        """Show the picture in place of all images."""
        super().begin()
        self.changes.set(self.viewer.canvas.grid, "enabled", False)
        self._views = Views(self.viewer, self.layers, self.look.density)
        self.frame.place(self._uppermost())
        self.draw()
        for layer in self.viewer.layers:
            if isinstance(layer, Image) and layer is not self.frame.layer:
                self.changes.set(layer, "visible", False)
        self._follow()

    def _follow(self) -> None:
        viewer = self.viewer
        camera, dims = viewer.scene.camera.events, viewer.dims.events
        self.connections.add(
            self._on_view,
            *(camera.zoom, camera.center, camera.orientation),
            *(viewer.canvas.events.size, dims.point),
        )
        self.connections.add(self._on_redrawn, layer_news().redrawn)
        self.connections.add(self._on_inserted, viewer.layers.events.inserted)
        for layer in self.layers:
            emitters = (getattr(layer.events, name) for name in LOOKS)
            self.connections.add(self._on_view, *emitters)

    def end(self) -> None:
        """Take the picture away."""
        self._timer.stop()
        for layer in list(self._coming):
            self._stop_waiting(layer)
        super().end()
        self.frame.remove()

    def take(self, frame: Frame) -> None:
        """Go on with the picture of the mode before; call it before `begin`."""
        self.frame = frame.give_to(self.name)

    def hand_over(self) -> Frame | None:
        """End, but leave the picture for the next mode."""
        frame = self.frame.give_to(self.name)
        self.end()
        return frame

    def set_look(self, look: Look) -> None:
        """Draw in other colours."""
        self.look = look
        self.draw_soon()

    def _uppermost(self) -> Image:
        """Of the layers compared, the one above the others."""
        return max(self.layers, key=self.viewer.layers.index)

    def _on_view(self, event: object = None) -> None:
        assert self._views is not None
        self._views.look()
        self.draw_soon(self._cost)

    def _on_redrawn(self, layer: Image) -> None:
        if layer in self.layers:
            self._on_view()

    def _on_inserted(self, event: Any) -> None:
        """Hide an image that comes, a result for one: it would cover the picture."""
        layer = event.value
        if not isinstance(layer, Image) or is_preview(layer):
            return
        if layer.visible:
            self.changes.set(layer, "visible", False)
        elif file_of(layer):  # of which it is shown in a later turn of the event loop
            self._coming.add(layer)
            layer.events.visible.connect(self._on_shown)

    def _on_shown(self, event: Any) -> None:
        layer = event.source
        self._stop_waiting(layer)
        self.changes.set(layer, "visible", False)

    def _stop_waiting(self, layer: Image) -> None:
        self._coming.discard(layer)
        layer.events.visible.disconnect(self._on_shown)

    @property
    def is_painted(self) -> bool:
        """Whether the picture shows all that has happened."""
        return not self._timer.isActive()

    def draw_soon(self, rest: float = 0.0) -> None:
        """Draw once the events at hand are over, and some seconds after the last time."""
        if not self._timer.isActive():
            self._timer.start(min(round(1000 * rest), _LONGEST_REST))

    def redraw(self) -> None:
        """Draw, or give up where that fails."""
        self.attempt(self.draw)

    def draw(self) -> None:
        """Paint the picture and show it; nothing where none of the layers is in view."""
        views = self._views
        if any(layer not in self.viewer.layers for layer in self.layers):
            return  # one was deleted; the dock will begin anew or leave
        if views is None or views.window is None:
            self.frame.hide()
            return
        began = time.perf_counter()
        picture = self.paint(views)
        self.frame.show(views.window, picture, self._uppermost())
        self._cost = time.perf_counter() - began

    def paint(self, views: Views) -> NDArray[np.uint8]:
        """The picture, (H, W, 4), of the window of `views`."""
        raise NotImplementedError
