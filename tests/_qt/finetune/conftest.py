from __future__ import annotations

import numpy as np
import pytest
from skimage import data

WAIT = 60_000  # ms until a run that hangs fails its test


@pytest.fixture
def photo():
    """A grey image with something to learn in it, (64, 96) uint8."""
    return np.ascontiguousarray(data.camera()[96:160, 200:296])


@pytest.fixture
def make_dock(qtbot, viewer, model_file, monkeypatch):
    """`make_dock(scale)`: the dock, with a network and settings that take no time."""
    from napari_edsr._qt.finetune import widget as module

    shown = []
    monkeypatch.setattr(module, "show_error", shown.append)

    def make(scale=2, *, close=True):
        dock = module.FinetuneWidget(viewer)
        if close:
            qtbot.addWidget(dock)
        controls = dock.controls
        controls.models.add_file(model_file(scale))
        controls.scale.button(scale).click()
        controls.models.set_value(model_file(scale).key)
        training = controls.training
        quick = {"steps": 6, "every": 3, "patch": 8, "batch": 2, "rate": 20}
        for key, value in quick.items():
            getattr(training, key).setValue(value)
        training.device.set_value("cpu")
        dock.errors_shown = shown
        return dock

    return make


@pytest.fixture
def dock(make_dock):
    return make_dock()


@pytest.fixture
def train(qtbot):
    """`train(dock, button)`: press a button and wait until the run is over."""

    def press(dock, button=None):
        with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
            (button or dock.panel.start).click()
        return dock.session.outcome

    return press
