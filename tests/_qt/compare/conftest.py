from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from wrapt import ObjectProxy


@pytest.fixture(autouse=True)
def errors_shown(monkeypatch):
    """Messages that napari would show as notifications."""
    from napari_edsr._qt.compare import widget

    shown = []
    monkeypatch.setattr(widget, "show_error", shown.append)
    return shown


@pytest.fixture
def pair(viewer, rng):
    """Two layers over the same place, of 50 x 60 and 100 x 120 px; two canvas pixels for
    one of the finer."""
    coarse = rng.integers(0, 2**16, (50, 60), np.uint16)
    fine = rng.integers(0, 256, (100, 120, 3), np.uint8)
    placed = {"scale": (2, 2), "translate": (0.5, 0.5)}
    first = viewer.add_image(
        coarse, name="low", contrast_limits=(0, 2**16 - 1), **placed
    )
    second = viewer.add_image(fine, name="high")
    viewer.canvas.size = (300, 400)
    viewer.scene.camera.center = (49.5, 59.5)
    viewer.scene.camera.zoom = 2
    return first, second


@pytest.fixture
def make_dock(qtbot, viewer):
    from napari_edsr._qt.compare.widget import CompareWidget

    def make():
        dock = CompareWidget(viewer)
        qtbot.addWidget(dock)
        return dock

    return make


class Mouse:
    """Moves over a canvas, in world coordinates, by the callbacks that napari calls."""

    def __init__(self, viewer):
        self.viewer = viewer

    def _event(self, kind, position, dragging):
        return ObjectProxy(  # as napari does, which puts later events into it
            SimpleNamespace(
                type=kind,
                position=position,
                is_dragging=dragging,
                modifiers=(),
                button=1,
            )
        )

    def hover(self, *position):
        event = self._event("mouse_move", position, False)
        mouse_move_callbacks(self.viewer, event)

    def press(self, *position):
        event = self._event("mouse_press", position, False)
        mouse_press_callbacks(self.viewer, event)

    def drag(self, *position):
        event = self._event("mouse_move", position, True)
        mouse_move_callbacks(self.viewer, event)

    def release(self, *position):
        event = self._event("mouse_release", position, True)
        mouse_release_callbacks(self.viewer, event)


@pytest.fixture
def mouse(viewer):
    return Mouse(viewer)


def _values(model, *left_out):
    return {k: str(v) for k, v in model.model_dump().items() if k not in left_out}


@pytest.fixture
def state():
    """`state(viewer)`: all that a comparison may change."""

    def read(viewer):
        camera = viewer.scene.camera
        return {
            "layers": [
                (
                    layer,
                    {k: str(v) for k, v in layer.as_layer_data_tuple()[1].items()},
                    np.asarray(layer.data).tobytes(),
                    _values(layer.name_overlay),
                )
                for layer in viewer.layers
            ],
            "selected": set(viewer.layers.selection),
            "active": viewer.layers.selection.active,
            "grid": _values(viewer.canvas.grid),
            "camera": _values(camera),
            "dims": _values(viewer.dims),
            "cursor": viewer.cursor.style,
            "move": list(viewer.mouse_move_callbacks),
            "drag": list(viewer.mouse_drag_callbacks),
            "keys": dict(viewer.keymap),
        }

    return read


@pytest.fixture
def painted():
    """`painted(dock)`: the picture shown, once all that happened is in it."""
    from qtpy.QtWidgets import QApplication

    def wait(dock):
        QApplication.processEvents()
        while not dock.mode.is_painted:
            QApplication.processEvents()
        return dock.mode.frame.layer.data

    return wait


@pytest.fixture
def press():
    """`press(viewer, key)`: call what a key of the canvas is bound to."""
    from napari.utils.key_bindings import coerce_keybinding

    def call(viewer, key):
        viewer.keymap[coerce_keybinding(key)](viewer)

    return call


class Counting:
    """An array on disk, as it were, that counts the pixels read of it."""

    def __init__(self, array):
        self.array, self.read = array, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        part = self.array[index]
        self.read += part.size
        return part


@pytest.fixture
def counting():
    """`counting(array)`: the array as one on disk, with `read` pixels read of it."""
    return Counting
