"""The connections between a dock and its viewer, so that all can be cut at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from napari.layers import Shapes

from napari_edsr._qt.garbage import old_objects

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_PLACE_EVENTS = ("scale", "translate", "rotate", "shear", "affine")
_LAYER_EVENTS = ("data", *_PLACE_EVENTS, "contrast_limits", "axis_labels", "units")
#: Of a Shapes layer; the highlight follows what is selected in it.
_SHAPE_EVENTS = ("data", "highlight", *_PLACE_EVENTS)


class ViewerLink:
    """Calls back when the layer list, the view or the watched layers change.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    on_layers, on_view : callable
        Without arguments, for changes of the list or selection, and of the view or
        the shapes drawn in it.
    on_removed : callable
        With the layer that was removed.
    on_data : callable
        With a watched image whose pixels are others now.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        on_layers: Callable[[], object],
        on_view: Callable[[], object],
        on_removed: Callable[[Layer], object],
        on_data: Callable[[Layer], object],
    ) -> None:
        self._viewer = viewer
        self._on_layers, self._on_view = on_layers, on_view
        self._on_removed, self._on_data = on_removed, on_data
        self._watched: tuple[Layer, ...] = ()
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
            self.watch(())
            for emitter, callback in self._pairs():
                emitter.disconnect(callback)
            self.is_connected = False

    def watch(self, layers: Iterable[Layer]) -> None:
        """Listen to these images and shapes instead of those before."""
        layers = tuple(layers)
        if layers == self._watched or (layers and not self.is_connected):
            return
        for emitter, callback in self._pairs_of(self._watched):
            emitter.disconnect(callback)
        self._watched = layers
        for emitter, callback in self._pairs_of(layers):
            emitter.connect(callback)

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

    def _pairs_of(
        self, layers: Iterable[Layer]
    ) -> list[tuple[Any, Callable[[Any], None]]]:
        pairs: list[tuple[Any, Callable[[Any], None]]] = []
        for layer in layers:
            drawn = isinstance(layer, Shapes)
            callback = self._view_changed if drawn else self._layers_changed
            names = _SHAPE_EVENTS if drawn else _LAYER_EVENTS
            pairs += [(getattr(layer.events, name), callback) for name in names]
            if not drawn:
                pairs.append((layer.events.data, self._data_changed))
        return pairs

    def _layers_changed(self, event: object = None) -> None:
        self._on_layers()

    def _view_changed(self, event: object = None) -> None:
        self._on_view()

    def _data_changed(self, event: Any) -> None:
        self._on_data(event.source)

    def _layer_removed(self, event: Any) -> None:
        old_objects.release()  # an image can be most of what the process holds
        self._on_removed(event.value)
