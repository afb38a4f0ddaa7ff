"""A picture over the layers, no larger than the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_edsr._qt.compare.colours import coloured
from napari_edsr._qt.compare.sampling import sample_window
from napari_edsr._qt.compare.window import Window, World, visible_window
from napari_edsr._qt.layers import METADATA_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray


class Views:
    """What the canvas shows of layers, in the viewer's colours; each is made once.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layers : sequence of Image
    density : float
        Samples for each of the canvas's pixels.
    """

    def __init__(
        self, viewer: ViewerModel, layers: Sequence[Image], density: float
    ) -> None:
        self._viewer, self._layers, self._density = viewer, layers, density
        self._pictures: dict[Image, NDArray[np.uint8]] = {}
        self.look()

    def look(self) -> None:
        """Look anew, after a change of the view or of a layer."""
        self._pictures.clear()
        self._world = World.of(self._viewer)
        self.window: Window | None = visible_window(
            self._viewer, self._layers, self._density
        )

    def picture(self, layer: Image) -> NDArray[np.uint8]:
        """Of `window`, (H, W, 4)."""
        if layer not in self._pictures:
            assert self.window is not None
            samples = sample_window(self._world, layer, self.window)
            self._pictures[layer] = coloured(layer, samples)
        return self._pictures[layer]


class Frame:
    """The layer that shows the picture; it is in the viewer from `show` to `remove`.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    name : str
    """

    def __init__(self, viewer: ViewerModel, name: str) -> None:
        self._viewer, self.name = viewer, name
        self._window: Window | None = None
        self._point: tuple[float, ...] = ()
        self.layer: Image | None = None

    def show(self, window: Window, picture: NDArray[np.uint8], over: Image) -> None:
        """Show (H, W, 4) at its place, above the layer `over`."""
        if self.layer is None:
            self.layer = self._add(window, picture, over)
        elif window == self._window:
            self.layer.data[...] = picture
            self.layer.refresh(thumbnail=False, extent=False, highlight=False)
        else:
            self.layer.data = picture.copy()
            self.layer.scale, self.layer.translate = window.step, window.corner
        self._window = window
        if not self.layer.visible:
            self.layer.visible = True

    def hide(self) -> None:
        """Show nothing."""
        if self.layer is not None:
            self.layer.visible = False

    def _add(self, window: Window, picture: NDArray[np.uint8], over: Image) -> Image:
        layers = self._viewer.layers
        layer = Image(
            picture.copy(),
            rgb=True,
            name=self.name,
            scale=window.step,
            translate=window.corner,
            units=(layers.extent.units or over.units)[-2:],
            axis_labels=over.axis_labels[-2:],
            metadata={METADATA_KEY: {"preview": True}},
        )
        chosen = set(layers.selection)
        self._point = self._viewer.dims.point[-2:]
        layers.insert(layers.index(over) + 1, layer)
        layers.selection = chosen
        return layer

    def give_to(self, name: str) -> Frame:
        """The same layer for another mode, which gives it a name and a place.

        Drivers were seen to crash where a layer goes and one like it comes between two
        drawings of the canvas.
        """
        other = Frame(self._viewer, name)
        other.layer, self.layer = self.layer, None
        other._point = self._point
        return other

    def place(self, over: Image) -> None:
        """Put a layer that was given to this mode above `over`."""
        layers = self._viewer.layers
        if self.layer is not None:
            self.layer.name = self.name
            layers.move(layers.index(self.layer), layers.index(over) + 1)

    def remove(self) -> None:
        """Take it away, if nobody has."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
            self._put_point_back()

    def _put_point_back(self) -> None:
        """Undo what the steps of the picture did to the sliders of rows and columns.

        They are not seen until the axes are turned, and count in steps of the finest
        layer; with other steps napari has them stand elsewhere.
        """
        dims = self._viewer.dims
        dims.set_point(range(dims.ndim - 2, dims.ndim), self._point)
