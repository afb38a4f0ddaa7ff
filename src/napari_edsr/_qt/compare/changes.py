"""What a comparison changes in a viewer, so that it can be put back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Changes:
    """Attributes that were changed, with what they were before.

    What the user changes meanwhile, and nothing else did, stays as the user wants it.
    """

    def __init__(self) -> None:
        self._before: list[tuple[object, str, object]] = []

    def set(self, owner: object, name: str, value: object) -> None:
        """Change an attribute, unless it is so already."""
        before = getattr(owner, name)
        if before != value:
            self._before.append((owner, name, before))
            setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back, the last change first."""
        while self._before:
            owner, name, value = self._before.pop()
            with suppress(Exception):  # napari cannot read a layer that it is to show
                setattr(owner, name, value)


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
        self._before: list[tuple[dict, Any, Any]] = []

    def bind(self, actions: Mapping[str, Callable[[], object]]) -> None:
        """Let keys do these instead of what they did.

        Those of the active layer come before those of the viewer, so bind again when
        another one becomes active.
        """
        self.release()
        active = self._viewer.layers.selection.active
        for keymap in (self._viewer.keymap, *([active.keymap] if active else [])):
            for key, action in actions.items():
                binding = coerce_keybinding(key)
                self._before.append((keymap, binding, keymap.get(binding)))
                keymap[binding] = lambda owner, act=action: act() and None

    def release(self) -> None:
        """Give all keys their meaning back."""
        for keymap, binding, before in self._before:
            keymap.pop(binding, None)
            if before is not None:
                keymap[binding] = before
        self._before.clear()
