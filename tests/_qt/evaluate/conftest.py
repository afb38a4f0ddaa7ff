from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from napari_edsr._qt.layers import layer_array, layer_axes, result_settings
from napari_edsr._qt.live import LiveResult
from napari_edsr._qt.requests import UpscaleRequest, iter_request
from napari_edsr.events import drain
from napari_edsr.resampling import imresize

WAIT = 60_000  # ms until a job that hangs fails its test


@pytest.fixture
def truth():
    """A grey image with something to see in it, (64, 96) uint8."""
    return np.ascontiguousarray(data.camera()[96:160, 200:296])


@pytest.fixture
def low(truth):
    """The same in low resolution, (32, 48) uint8."""
    return imresize(truth, 0.5)


@pytest.fixture
def noisy(truth, rng):
    """`noisy(spread)`: the truth with noise of this standard deviation."""

    def make(spread=5.0):
        return np.clip(truth + rng.normal(0, spread, truth.shape), 0, 255).astype("u1")

    return make


@pytest.fixture
def dock(qtbot, viewer, monkeypatch):
    from napari_edsr._qt.evaluate import widget as module

    dock = module.EvaluateWidget(viewer)
    qtbot.addWidget(dock)
    dock.errors_shown = []
    monkeypatch.setattr(module, "show_error", dock.errors_shown.append)
    return dock


@pytest.fixture
def press(qtbot):
    """`press(dock, button)`: press it and wait until the job it began is over."""

    def click(dock, button=None):
        def is_over():
            return not dock.session.is_running

        with qtbot.waitSignal(
            dock.session.changed, timeout=WAIT, check_params_cb=is_over
        ):
            (button or dock.panel.measure).click()

    return click


@pytest.fixture
def table():
    """`table(dock)`: texts of all lines, those of planes below their candidate's."""

    def texts(dock):
        shown = dock.panel.table
        lines = []
        for i in range(shown.topLevelItemCount()):
            item = shown.topLevelItem(i)
            for each in (item, *(item.child(j) for j in range(item.childCount()))):
                lines.append([each.text(c) for c in range(shown.columnCount())])
        return lines

    return texts


@pytest.fixture
def upscaled(viewer, model_file):
    """`upscaled(layer, region=...)`: its result as the Upscale dock leaves it."""

    def make(layer, *, scale=2, region=None, model=None, **options):
        request = UpscaleRequest(
            data=layer_array(layer),
            axes=layer_axes(layer),
            scale=scale,
            model=model or model_file(scale).key,
            options=options,
            region=region or {},
            settings=result_settings(layer, scale, region),
            name=f"{layer.name} ×{scale} (tiny)",
            source=layer.name,
            source_key=id(layer),
        )
        found = drain(iter_request(request))
        live = LiveResult(viewer, request, found.image)
        live.describe({**found.metadata, "partial": False, "source": request.source})
        return live.layer

    return make


@pytest.fixture
def same_place():
    """`same_place(one, other, inside)`: fails unless both lie at one place in the world."""

    def check(one, other, inside):
        """The same pixel of two layers lies in the same place, and so does the next one."""
        for step in (0, 1, 2):
            place = np.add(inside, step)
            np.testing.assert_allclose(
                one.data_to_world(place), other.data_to_world(place)
            )
        assert one.units == other.units

    return check
