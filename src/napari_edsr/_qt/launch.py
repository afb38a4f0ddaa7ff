"""napari with the dock open and an image to try it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_edsr import samples

if TYPE_CHECKING:
    import napari

    from napari_edsr._qt.upscale_widget import UpscaleWidget

_PLUGIN, _WIDGET = "napari-edsr", "Upscale"


def open_demo(block: bool = True) -> tuple[napari.Viewer, UpscaleWidget]:
    """Open napari with the sample photograph and the Upscale dock.

    Parameters
    ----------
    block : bool
        Return only when the window is closed.

    Returns
    -------
    napari.Viewer, UpscaleWidget
    """
    import napari
    from napari.layers import Layer

    viewer = napari.Viewer()
    for data in samples.napari_photo():
        viewer.add_layer(Layer.create(*data))
    _, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, _WIDGET)
    if block:
        napari.run()
    return viewer, widget
