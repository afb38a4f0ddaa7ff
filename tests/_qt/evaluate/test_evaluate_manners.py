"""What measuring costs, and how jobs and changes get along with one another."""

from __future__ import annotations

import threading

import numpy as np
from napari.layers import Image
from skimage import data

from napari_edsr._qt.layers import METADATA_KEY, result_settings
from napari_edsr.errors import ImageError
from napari_edsr.events import ImageDone
from napari_edsr.resampling import imresize

WAIT = 60_000


class OnDisk:
    """An array that notes the shape of all that is read of it."""

    def __init__(self, pixels):
        self.pixels, self.read = pixels, []
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim

    def __getitem__(self, key):
        part = self.pixels[key]
        self.read.append(part.shape)
        return part

    def __array__(self, dtype=None, copy=None):
        self.read.append(self.shape)
        return np.asarray(self.pixels, dtype)


def test_stacks_on_disk_are_read_plane_by_plane(dock, viewer, press, truth, noisy):
    stacks = [OnDisk(np.stack([plane] * 5)) for plane in (truth, noisy())]
    for stack, name in zip(stacks, ("truth", "mine"), strict=True):
        viewer.add_image(stack, name=name, contrast_limits=(0, 255))
    for stack in stacks:
        stack.read.clear()
    press(dock)
    viewer.layers["mine"].name = "other"
    for stack in stacks:
        assert [np.prod(shape) for shape in stack.read] == [truth.size] * 5


def endless(gate):
    """A job that goes on until the gate is opened, and then gives nothing."""
    done = 0
    while not gate.is_set():
        done = min(done + 1, 99)
        yield ImageDone(done, 100)
        gate.wait(0.01)
    return "made"


def test_change_waits_until_a_map_is_made(
    dock, viewer, press, qtbot, monkeypatch, truth, noisy
):
    from napari_edsr._qt.evaluate import layer_maker as module

    viewer.add_image(truth, name="truth")
    layer = viewer.add_image(noisy(), name="mine")
    press(dock)
    before, gate = dock.evaluation, threading.Event()
    monkeypatch.setattr(module, "iter_map", lambda *_: endless(gate))
    monkeypatch.setattr(module, "map_layer", lambda *_: Image(truth, name="map"))
    stopped = []
    dock.session.stopped.connect(lambda: stopped.append(True))

    with qtbot.waitSignal(dock.session.progressed, timeout=WAIT):
        dock.panel.error_map.click()
    layer.data = noisy(20)
    with qtbot.waitSignal(dock._anew.timeout, timeout=WAIT):
        assert not dock.panel.measure.isEnabled()
    assert dock.session.is_running and dock.evaluation is before
    gate.set()
    qtbot.waitUntil(lambda: dock.evaluation is not before, timeout=WAIT)
    qtbot.waitUntil(lambda: not dock.session.is_running, timeout=WAIT)
    assert "map" in viewer.layers
    assert stopped == []


def test_maps_wait_for_the_measurement(
    dock, viewer, press, qtbot, monkeypatch, truth, noisy
):
    from napari_edsr._qt.evaluate import widget as module

    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    press(dock)
    gate, panel = threading.Event(), dock.panel
    monkeypatch.setattr(module, "iter_measure", lambda _: endless(gate))
    with qtbot.waitSignal(dock.session.progressed, timeout=WAIT):
        panel.measure.click()
    assert panel.measure.isEnabled()
    assert not panel.error_map.isEnabled() and not panel.ssim_map.isEnabled()
    with qtbot.waitSignal(dock.session.stopped, timeout=WAIT):
        panel.progress.cancel.click()
    qtbot.waitUntil(lambda: not dock.session.is_running, timeout=WAIT)
    assert panel.error_map.isEnabled() and panel.ssim_map.isEnabled()


def test_shift_by_whole_pixels_is_undone_exactly(dock, viewer, press):
    scene = data.camera()[100:300, 100:340]
    viewer.add_image(scene, name="truth")
    viewer.add_image(np.roll(scene, (3, -8), (0, 1)), name="moved")
    dock.controls.rules.register.setChecked(True)
    press(dock)
    (row,) = dock.evaluation.rows
    assert row.shift == (3, -8)
    assert row.mean.psnr == np.inf


def test_new_names_need_no_new_measurement(dock, viewer, press, table, truth, noisy):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    press(dock)
    figures = table(dock)[0][1:]
    viewer.layers["mine"].name = "R&D"
    viewer.layers["truth"].name = "gt"
    assert not dock._anew.isActive()
    assert table(dock) == [["R&D", *figures]]
    press(dock, dock.panel.error_map)
    assert "R&D error" in viewer.layers


def test_without_a_truth_the_last_result_is_looked_at(dock, viewer, press, low):
    source = viewer.add_image(low, name="low")
    result = viewer.add_image(
        imresize(low, 2.0), name="low ×2", **result_settings(source, 2)
    )
    result.metadata[METADATA_KEY] = {"scale": 2, "source": "low"}
    viewer.layers.selection = {source}  # as an upscaling leaves it
    assert dock.panel.trust_reason.text() == "Maps of low ×2."
    press(dock, dock.panel.consistency)
    assert viewer.layers[-1].name == "low ×2 consistency"

    viewer.layers.selection = {result}
    source.name = "other"
    assert dock.panel.trust_reason.text() == (
        "No low-resolution layer of low ×2 is open; open the image it was made from, low."
    )


def test_figures_of_layers_that_are_gone_are_said_to_be_old(
    dock, viewer, press, table, truth, noisy
):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    press(dock)
    figures = table(dock)
    viewer.layers.remove("truth")
    assert dock.panel.reason.text() == (
        "Choose the layer that holds the truth. The figures are those of before."
    )
    assert table(dock) == figures


def test_only_what_was_asked_for_notifies_of_its_failure(
    dock, viewer, press, qtbot, monkeypatch, truth, noisy
):
    from napari_edsr._qt.evaluate import widget as module

    viewer.add_image(truth, name="truth")
    layer = viewer.add_image(noisy(), name="mine")
    press(dock)

    def fail(request):
        raise ImageError("The disk is gone.")
        yield

    monkeypatch.setattr(module, "iter_measure", fail)
    with qtbot.waitSignal(dock.session.failed, timeout=WAIT):
        layer.data = noisy()
    assert "disk is gone" in dock.panel.error.message.text()
    assert dock.errors_shown == []
    qtbot.waitUntil(lambda: not dock.session.is_running, timeout=WAIT)
    press(dock)
    assert dock.errors_shown == ["The disk is gone."]
