"""Layers shown in turn at one place, where the eye finds what changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QRectF, QTimer, Signal

from napari_edsr._qt.compare.frame import Views
from napari_edsr._qt.compare.mode import Look, PaintedMode
from napari_edsr._qt.compare.painting import paint_name, painted

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

_CORNER = 10.0  # pixels above the name


class Blink(PaintedMode):
    """Shows each layer in turn, with its name.

    What is flipped is a picture of the canvas's size: making a layer of 4096 x 4096 px
    visible again costs an upload of all of it, and opacity is not heeded by layers that
    are blended as opaque or by minimum.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layers : sequence of Image
        In the order they are shown.
    look : Look
    rate : float
        Layers a second.

    Signals
    -------
    showing(str)
        The name of the layer that is seen now.
    """

    name = "Compare: blink"
    showing = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        layers: Sequence[Image],
        look: Look,
        rate: float = 2.0,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(viewer, layers, look, parent)
        self._shown = 0
        self._clock = QTimer(self)
        self._clock.timeout.connect(self.flip)
        self.set_rate(rate)

    def begin(self) -> None:
        """Show the first, and go on by itself."""
        super().begin()
        self._clock.start()
        self.showing.emit(self.current.name)

    def end(self) -> None:
        """Stop."""
        self._clock.stop()
        super().end()

    @property
    def current(self) -> Image:
        """The layer that is seen."""
        return self.layers[self._shown]

    @property
    def is_paused(self) -> bool:
        """Whether it waits."""
        return not self._clock.isActive()

    def pause(self, paused: bool) -> None:
        """Stay at a layer, or go on."""
        self._clock.stop() if paused else self._clock.start()

    def set_rate(self, rate: float) -> None:
        """Layers a second."""
        self._clock.setInterval(round(1000 / rate))

    def flip(self) -> None:
        """Show the next."""
        self._shown = (self._shown + 1) % len(self.layers)
        self.showing.emit(self.current.name)
        self.redraw()

    def paint(self, views: Views) -> NDArray[np.uint8]:
        """The layer and its name."""
        picture, look = views.picture(self.current), self.look
        height, width = (size / look.density for size in picture.shape[:2])
        room = QRectF(0, _CORNER, width, height - _CORNER)
        return painted(
            picture,
            look.density,
            lambda painter: paint_name(painter, look, self.current.name, room),
        )
