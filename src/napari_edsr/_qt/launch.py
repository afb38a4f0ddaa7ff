"""napari with the dock open and an image to try it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_edsr import samples

if TYPE_CHECKING:
    import napari

    from napari_edsr._qt.upscale_widget import UpscaleWidget

_PLUGIN, _WIDGET = "napari-edsr", "Upscale"


def open_demo(block: bool = True) -> tuple[napari.Viewer, UpscaleWidget]:
    """Open napari with the sample photograph and the Upscale dock, which has its defaults.

    What the dock remembers is neither used nor changed while this function runs.

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

    from napari_edsr._qt import settings

    viewer = napari.Viewer()
    for data in samples.napari_photo():
        viewer.add_layer(Layer.create(*data))
    _keep_fitted(viewer)
    with settings.set_aside():
        _, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, _WIDGET)
        if block:
            napari.run()
    return viewer, widget


def _keep_fitted(viewer: napari.Viewer) -> None:
    """Fit the view to every size of the canvas, until somebody moves it.

    The dock takes its width, and a desktop gives the window its size, a moment later.
    """
    camera = viewer.scene.camera
    fitted = camera.zoom, camera.center

    def fit() -> None:
        nonlocal fitted
        if (camera.zoom, camera.center) == fitted:
            viewer.fit_to_view()
            fitted = camera.zoom, camera.center

    viewer.canvas.events.size.connect(fit)
