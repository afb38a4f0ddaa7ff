from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

MANIFEST = Path(__file__).parents[2] / "src" / "napari_edsr" / "napari.yaml"
WAIT = 60_000  # ms until a job that hangs fails its test


@pytest.fixture(autouse=True)
def _no_worker_outlives_its_test(no_leaked_threads):
    """Every test of the widgets ends with an idle thread pool."""


@pytest.fixture(autouse=True)
def own_settings(plugin_settings, npe2pm):
    """napari knows this plugin alone, and writes its settings to a folder of the test."""
    from npe2 import PluginManifest

    npe2pm.register(PluginManifest.from_file(MANIFEST))


@pytest.fixture
def errors_shown(monkeypatch):
    """Messages that napari would show as notifications."""
    from napari_edsr._qt import upscale_widget

    shown = []
    monkeypatch.setattr(upscale_widget, "show_error", shown.append)
    return shown


@pytest.fixture
def viewer():
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def model_file(tiny_model, tmp_path):
    """`model_file(scale)`: a network of random weights that runs in no time, as a choice."""
    from napari_edsr._qt.models import ModelChoice
    from napari_edsr.checkpoints import save_model

    def make(scale=2):
        model = tiny_model(scale, n_resblocks=1, n_feats=4)
        path = save_model(model, tmp_path / f"tiny_x{scale}.safetensors")
        return ModelChoice.of_file(path, model.config)

    return make


@pytest.fixture
def make_widget(qtbot, viewer, model_file, errors_shown):
    """`make_widget(scale)`: the dock on a viewer without a window, with a quick model.

    With ``close=False`` the test destroys it.
    """
    from napari_edsr._qt.upscale_widget import UpscaleWidget

    def make(scale=2, *, close=True):
        widget = UpscaleWidget(viewer)
        if close:
            qtbot.addWidget(widget)
        widget.controls.models.add_file(model_file(scale))
        widget.controls.scale.button(scale).click()
        widget.controls.models.set_value(model_file(scale).key)
        widget.controls.speed.tile.setValue(8)
        return widget

    return make


@pytest.fixture
def engine(monkeypatch):
    """`engine(**options)`: put in the place of `iter_upscale`."""

    def make(**options):
        from fake_engine import Engine

        from napari_edsr import inference

        fake = Engine(**options)
        monkeypatch.setattr(inference, "iter_upscale", fake)
        return fake

    return make


@pytest.fixture
def widget(make_widget):
    return make_widget()


@pytest.fixture
def run(qtbot):
    """`run(widget, button)`: press a button and wait until all is done."""

    def press(widget, button=None):
        with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
            (button or widget.panel.upscale).click()

    return press


@pytest.fixture
def image(rng):
    return rng.integers(0, 2**16, (20, 24), np.uint16)


@pytest.fixture
def begin(qtbot, widget, viewer, image):
    """`begin(engine, tiles)`: a run on the layer "cells", with some tiles done."""

    def press(engine, tiles=2, button=None):
        if "cells" not in viewer.layers:
            viewer.add_image(image, name="cells")
        (button or widget.panel.upscale).click()
        engine.let_on(tiles)
        qtbot.waitUntil(lambda: widget.session._done == tiles, timeout=WAIT)
        return viewer.layers[-1]

    return press
