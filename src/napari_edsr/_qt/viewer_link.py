"""The connections between a dock and its viewer, so that all can be cut at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_LAYER_EVENTS = ("data", "scale", "contrast_limits", "axis_labels", "units")


class ViewerLink:
    """Calls back when the layer list, the view or the watched layer changes.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    on_layers, on_view : callable
        Without arguments, for changes of the list or selection, and of the view.
    on_removed : callable
        With the layer that was removed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        on_layers: Callable[[], object],
        on_view: Callable[[], object],
        on_removed: Callable[[Layer], object],
    ) -> None:
        self._viewer = viewer
        self._on_layers, self._on_view = on_layers, on_view
        self._on_removed = on_removed
        self._watched: Layer | None = None
        self.is_connected = False

    def connect(self) -> None:
        """Begin to listen."""
        if not self.is_connected:
            self.is_connected = True
            for emitter, callback in self._pairs():
                emitter.connect(callback)

    def disconnect(self) -> None:
        """Hear nothing more."""
        if self.is_connected:
            self.watch(None)
            for emitter, callback in self._pairs():
                emitter.disconnect(callback)
            self.is_connected = False

    def watch(self, layer: Layer | None) -> None:
        """Listen to this layer instead of the one before."""
        if layer is self._watched:
            return
        for emitter in self._emitters_of(self._watched):
            emitter.disconnect(self._layers_changed)
        self._watched = layer
        for emitter in self._emitters_of(layer):
            emitter.connect(self._layers_changed)

    def _pairs(self) -> list[tuple[Any, Callable[[Any], None]]]:
        layers, dims = self._viewer.layers.events, self._viewer.dims.events
        lists = (layers.inserted, layers.removed, layers.reordered, layers.renamed)
        views = (
            self._viewer.scene.camera.events,
            dims.current_step,
            dims.ndisplay,
            dims.order,
        )
        return [
            *((emitter, self._layers_changed) for emitter in lists),
            (self._viewer.layers.selection.events.changed, self._layers_changed),
            (layers.removed, self._layer_removed),
            *((emitter, self._view_changed) for emitter in views),
        ]

    @staticmethod
    def _emitters_of(layer: Layer | None) -> list[Any]:
        if layer is None:
            return []
        return [getattr(layer.events, name) for name in _LAYER_EVENTS]

    def _layers_changed(self, event: object = None) -> None:
        self._on_layers()

    def _view_changed(self, event: object = None) -> None:
        self._on_view()

    def _layer_removed(self, event: Any) -> None:
        self._on_removed(event.value)
