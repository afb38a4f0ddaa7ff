"""What users, napari and the system do to the viewer while the docks are at work."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from fake_engine import Gate
from http_faults import BODY, HALF, quietly
from qtpy.QtCore import QCoreApplication, QThreadPool
from qtpy.QtWidgets import QWidget
from test_faults_cancel import closed_at_each_yield

from napari_edsr import cache, upscale, zoo
from napari_edsr._qt import planning
from napari_edsr._qt.busy import computing
from napari_edsr._qt.requests import iter_request
from napari_edsr._qt.saving import file_name
from napari_edsr.streaming import RowStream

pytestmark = pytest.mark.usefixtures("one_thread")

WAIT = 30_000
OFFICIAL = "snu/edsr_baseline_x2"


# layers


@pytest.fixture
def half_done(qtbot, widget, viewer, image, monkeypatch):
    """A real run of the layer "cells", of which a part is done; `let_on` ends it."""
    widget.controls.speed.tile.setValue(8)
    viewer.add_image(image, name="cells")
    gate = Gate(monkeypatch)
    with qtbot.waitSignal(widget.session.runner.tile_done, timeout=WAIT):
        widget.panel.upscale.click()
        gate.let_on()
    return gate


def end(qtbot, widget, gate):
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        gate.let_on(100)


def expected(widget, image):
    choices = widget.controls.choices()
    return upscale(image, choices.model.key, tile=8)


@pytest.mark.fault(
    "Layers and docks: source and result renamed mid-run",
    "The run goes on to its end; the names stay as the user wrote them.",
)
def test_layers_that_are_renamed(qtbot, widget, viewer, image, half_done):
    source, result = viewer.layers
    source.name, result.name = "nuclei", "mine"
    end(qtbot, widget, half_done)
    assert [layer.name for layer in viewer.layers] == ["nuclei", "mine"]
    np.testing.assert_array_equal(result.data, expected(widget, image))
    assert widget.panel.outcome.text().startswith("Done: ")
    assert widget.controls.layer.list.currentText() == "nuclei"


@pytest.mark.fault(
    "Layers and docks: source layer given other pixels, size and place mid-run",
    "The result is that of the pixels it had, where it lay; the next run takes the new.",
)
def test_a_source_that_changes(qtbot, widget, viewer, image, run, half_done):
    source, result = viewer.layers
    place = result.data_to_world((0, 0))
    source.data = other = np.full((9, 7), 700, np.uint16)
    source.scale, source.translate = (3, 3), (50, 60)
    end(qtbot, widget, half_done)
    np.testing.assert_array_equal(result.data, expected(widget, image))
    np.testing.assert_array_equal(result.data_to_world((0, 0)), place)
    half_done.let_on(100)
    run(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, expected(widget, other))


@pytest.mark.fault(
    "Layers and docks: all layers removed mid-run",
    "The run stops within a part, and the dock asks for an image.",
)
def test_layers_that_are_all_removed(qtbot, widget, viewer, half_done):
    viewer.layers.clear()
    end(qtbot, widget, half_done)
    assert list(viewer.layers) == []
    assert not widget.panel.upscale.isEnabled()
    assert widget.controls.layer.list.count() == 0


@pytest.mark.fault(
    "Layers and docks: view, order and visibility of layers changed mid-run",
    "The run goes on to its end.",
)
def test_a_viewer_that_is_used_meanwhile(qtbot, widget, viewer, image, half_done):
    result = viewer.layers[-1]
    viewer.layers.reverse()
    viewer.layers.selection = set()
    viewer.add_image(np.zeros((4, 5, 6)), name="a stack")
    result.visible = False
    viewer.dims.ndisplay = 3
    viewer.dims.order = (1, 0, 2)
    end(qtbot, widget, half_done)
    np.testing.assert_array_equal(result.data, expected(widget, image))


@pytest.mark.fault(
    "Stopping: a run of the dock cancelled at every moment",
    "The device is free for others, and the next run succeeds.",
)
def test_a_request_closed_at_each_yield(widget, viewer, image):
    widget.controls.speed.tile.setValue(8)
    layer = viewer.add_image(np.stack([image] * 2))
    (request,) = planning.plan(viewer, [layer], widget.controls.choices())
    closed = 0
    for _ in closed_at_each_yield(lambda: iter_request(request)):
        closed += 1
        with computing("A test"):
            """Nothing else is under way."""
    assert closed > 10


@pytest.mark.fault(
    "Devices: GPU lost in a run of the dock (injected)",
    "The dock says to start again or to choose another device; the viewer lives on.",
)
def test_a_device_that_is_lost(widget, viewer, image, run, monkeypatch, errors_shown):
    viewer.add_image(image, name="cells")

    def lost(self, rows, *, last=False):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nat 7")

    with monkeypatch.context() as patch:
        patch.setattr(RowStream, "push", lost)
        run(widget)
    (message,) = errors_shown
    assert "choose another device, such as cpu" in message
    assert [layer.name for layer in viewer.layers] == ["cells"]
    run(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, expected(widget, image))


@pytest.mark.fault(
    "Names and languages: layers with very long names, or in any letters",
    "Their files get names that every system takes.",
)
@pytest.mark.parametrize("name", ["x" * 5000, "细胞" * 200, "é" * 300, "a/b:c*?", "\n"])
def test_names_of_layers(name, widget, viewer, image, run, tmp_path):
    viewer.add_image(image, name=name)
    assert len(file_name(name).encode()) < 230
    widget.controls.output.where.button("file").click()
    widget.controls.output.path.setText(str(tmp_path))
    widget.controls.output.path.textEdited.emit(str(tmp_path))
    run(widget)
    assert widget.panel.outcome.text().startswith("Done: ")
    (written,) = tmp_path.glob("*.ome.zarr")
    assert written.name.endswith("_x2.ome.zarr")


_QUITS = """
import sys
import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari_edsr._qt.models import ModelChoice
from napari_edsr._qt.upscale_widget import UpscaleWidget
from napari_edsr.checkpoints import load_model
viewer = ViewerModel()
viewer.add_image(np.zeros((2000, 64), np.uint8))
widget = UpscaleWidget(viewer)
choice = ModelChoice.of_file(sys.argv[1], load_model(sys.argv[1]).config)
widget.controls.models.add_file(choice)
widget.controls.models.set_value(choice.key)
widget.controls.speed.tile.setValue(16)
widget.session.runner.tile_done.connect(app.quit)
widget.upscale()
app.exec()
print(widget.session.is_running, flush=True)
"""


@pytest.mark.fault(
    "Layers and docks: application quit mid-run",
    "The run stops within a part, and no thread is left.",
)
def test_a_program_that_quits_while_it_computes(model_file, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", _QUITS, model_file(2).key],
        env={
            **os.environ,
            "NAPARI_CONFIG": str(tmp_path / "settings.yaml"),
            "QT_QPA_PLATFORM": "offscreen",
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "True\n"  # it was at work


# downloads


class SlowServer:
    """Sends half of a file, and then little, until the client leaves."""

    def __init__(self, state):
        self.left = threading.Event()
        self.part = cache.folder() / f"{zoo.get_card(OFFICIAL).filename}.part"
        state.behaviours = [quietly(self.serve)]

    def serve(self, handler):
        handler.head(200, length=len(BODY))
        handler.wfile.write(BODY[:HALF])
        try:
            while not handler.server.state.go_on.wait(0.01):
                handler.wfile.write(b"\0")
        finally:
            self.left.set()

    def half_is_there(self):
        return self.part.exists() and self.part.stat().st_size >= HALF


@pytest.fixture
def downloading(qtbot, server, monkeypatch):
    """`downloading(widget)`: let it fetch a model, and wait until half of it is there."""
    monkeypatch.setenv("NAPARI_EDSR_MIRROR", server.url)

    def begin(widget):
        slow = SlowServer(server)
        widget.controls.models.set_value(OFFICIAL)
        widget.controls.models.download.click()
        qtbot.waitUntil(slow.half_is_there, timeout=WAIT)
        return slow

    return begin


def check_that_it_ended_well(qtbot, slow):
    """The connection is closed, what was there is kept, and nothing goes on."""
    qtbot.waitUntil(slow.left.is_set, timeout=WAIT)
    assert QThreadPool.globalInstance().waitForDone(WAIT)
    assert slow.part.read_bytes().startswith(BODY[:HALF])
    assert not zoo.is_available(zoo.get_card(OFFICIAL))


PROMISE = (
    "The connection closes within a piece; what is there is kept for the next try."
)


@pytest.mark.fault(
    "Layers and docks: dock closed mid-download",
    "The connection closes within a piece; what is there is kept for the next try.",
)
def test_closing_the_dock_stops_the_download(qtbot, make_widget, downloading):
    widget, dock = make_widget(), QWidget()
    qtbot.addWidget(dock)
    widget.setParent(dock)
    slow = downloading(widget)
    widget.setParent(None)
    check_that_it_ended_well(qtbot, slow)
    qtbot.waitUntil(widget.controls.models.bar.isHidden, timeout=WAIT)


@pytest.mark.fault(
    "Layers and docks: dock destroyed mid-download",
    "The connection closes within a piece; what is there is kept for the next try.",
)
def test_destroying_the_dock_stops_the_download(qtbot, make_widget, downloading):
    widget = make_widget(close=False)
    slow = downloading(widget)
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()
    check_that_it_ended_well(qtbot, slow)


@pytest.mark.fault(
    "Layers and docks: application quit mid-download",
    "The connection closes within a piece; what is there is kept for the next try.",
)
def test_quitting_the_application_stops_the_download(qtbot, widget, downloading):
    slow = downloading(widget)
    QCoreApplication.instance().aboutToQuit.emit()
    check_that_it_ended_well(qtbot, slow)


@pytest.mark.gui
@pytest.mark.fault(
    "Layers and docks: viewer closed mid-download",
    "The connection closes within a piece; what is there is kept for the next try.",
)
def test_closing_the_viewer_stops_the_download(
    qtbot, make_napari_viewer, errors_shown, downloading
):
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Upscale")
    slow = downloading(widget)
    viewer.close()
    check_that_it_ended_well(qtbot, slow)
