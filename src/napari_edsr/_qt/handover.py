"""What one dock gives to another, opening it first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_edsr._qt.layers import show_plane
from napari_edsr._qt.news import layer_news

if TYPE_CHECKING:
    from napari.components import ViewerModel

_PLUGIN = "napari-edsr"


def open_dock(viewer: ViewerModel, name: str) -> None:
    """Show a dock of ours in front, if the viewer has a window."""
    window = getattr(viewer, "window", None)
    if window is not None:
        dock, _ = window.add_plugin_dock_widget(_PLUGIN, name, tabify=True)
        dock.show()
        dock.raise_()


def compare(
    viewer: ViewerModel, layers: Sequence[Image], place: Sequence[int] | None = None
) -> None:
    """Let the Compare dock take layers: all ticked, the first two under the curtain.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layers : sequence of Image
        Two at least.
    place : sequence of int, optional
        Indices along the leading axes of the first layer, to which the sliders go.
    """
    if place:
        show_plane(viewer.dims, layers[0], place)
    open_dock(viewer, "Compare")
    layer_news().to_compare.emit(list(layers))
