"""What a comparison changes in a viewer, so that it can be put back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_GRID = ("enabled", "stride", "shape", "spacing")


class Snapshot:
    """How a viewer shows its layers, before a comparison changes that.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._grid = {name: getattr(viewer.canvas.grid, name) for name in _GRID}
        self._shown = [
            (layer, layer.visible, layer.name_overlay.visible)
            for layer in viewer.layers
        ]

    def restore(self) -> None:
        """Put everything back; layers that are gone meanwhile, or new, are left alone."""
        for name, value in self._grid.items():
            setattr(self._viewer.canvas.grid, name, value)
        for layer, visible, named in self._shown:
            if layer in self._viewer.layers:
                with suppress(Exception):  # napari could not read it; it is visible
                    set_visible(layer, visible)
                layer.name_overlay.visible = named


def set_visible(layer: Layer, visible: bool) -> None:
    """Show or hide a layer; napari would read it again where nothing changes."""
    if layer.visible != visible:
        layer.visible = visible


class Connections:
    """Signals heard, to be cut all at once."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Callable[..., object]]] = []

    def add(self, callback: Callable[..., object], *emitters: Any) -> None:
        """Let `callback` hear these."""
        for emitter in emitters:
            emitter.connect(callback)
            self._pairs.append((emitter, callback))

    def cut(self) -> None:
        """Hear nothing more."""
        for emitter, callback in self._pairs:
            emitter.disconnect(callback)
        self._pairs.clear()


class Keys:
    """Keys of the canvas that mean something else for a while.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._before: dict[Any, Any] = {}

    def bind(self, actions: Mapping[str, Callable[[], object]]) -> None:
        """Let keys do these instead of what they did."""
        self.release()
        for key, action in actions.items():
            binding = coerce_keybinding(key)
            self._before[binding] = self._viewer.keymap.get(binding)
            self._viewer.keymap[binding] = lambda viewer, act=action: act() and None

    def release(self) -> None:
        """Give all keys their meaning back."""
        for binding, before in self._before.items():
            self._viewer.keymap.pop(binding, None)
            if before is not None:
                self._viewer.keymap[binding] = before
        self._before.clear()
