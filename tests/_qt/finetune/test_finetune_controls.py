"""What the dock says and remembers, and how it comes and goes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import QMainWindow
from test_faults_cancel import closed_at_each_yield

from napari_edsr import load_model, zoo
from napari_edsr._qt import settings
from napari_edsr._qt.busy import computing
from napari_edsr._qt.finetune import planning
from napari_edsr._qt.finetune.requests import iter_finetune
from napari_edsr.events import TrainPlanned, Validated
from napari_edsr.train_config import Degradation

WAIT = 60_000
CHECKED, UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked


def ticked(dock):
    teach = dock.controls.teach.list
    items = [teach.item(row) for row in range(teach.count())]
    return [item.text() for item in items if item.checkState() == CHECKED]


def test_importing_and_making_the_dock_needs_neither_torch_nor_pyqtgraph():
    code = (
        "import sys\n"
        "from qtpy.QtWidgets import QApplication\n"
        "from napari.components import ViewerModel\n"
        "app = QApplication([])\n"
        "from napari_edsr._qt.finetune.widget import FinetuneWidget\n"
        "viewer = ViewerModel()\n"
        "dock = FinetuneWidget(viewer)\n"
        "import numpy as np\n"
        "viewer.add_image(np.eye(40))\n"
        "assert dock.panel.start.isEnabled(), dock.panel.reason.text()\n"
        "print({'torch', 'pyqtgraph'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"


def test_ticks_follow_the_selection_until_one_is_set_by_hand(dock, viewer, photo):
    first = viewer.add_image(photo, name="first")
    second = viewer.add_image(photo, name="second")
    assert ticked(dock) == ["second"]

    viewer.layers.selection = {first, second}
    assert ticked(dock) == ["first", "second"]
    assert "2 images" in dock.controls.teach.caption.text()

    dock.controls.teach.list.item(0).setCheckState(UNCHECKED)
    viewer.layers.selection = {first}
    assert ticked(dock) == ["second"]
    assert dock.controls.name.text() == "second-x2"


def test_own_pictures_are_not_offered(dock, viewer, photo, train):
    viewer.add_image(photo, name="cells")
    train(dock)

    teach = dock.controls.teach.list
    assert [teach.item(i).text() for i in range(teach.count())] == ["cells"]


def test_reasons(dock, viewer, photo, tmp_path):
    reason = dock.panel.reason
    assert "Tick a sharp image" in reason.text() and not dock.panel.start.isEnabled()
    layer = viewer.add_image(photo, name="cells")
    assert not reason.text() and dock.panel.start.isEnabled()

    dock.controls.kept.part.button("rectangle").click()
    assert "Draw a rectangle" in reason.text()
    viewer.add_shapes([[[900, 900], [900, 910], [910, 910], [910, 900]]])
    assert "holds no pixel" in reason.text()
    dock.controls.kept.part.button("share").click()

    dock.controls.side.kind.button("real").click()
    assert "low-resolution" in reason.text()
    dock.controls.side.kind.button("made").click()

    dock.controls.name.setText("edsr-light-x2")
    dock.controls.name.textEdited.emit("edsr-light-x2")
    assert "taken" in reason.text()
    dock.controls.name.setText("a/b")
    dock.controls.name.textEdited.emit("a/b")
    assert "no model name" in reason.text()
    dock.controls.name.setText("mine")
    dock.controls.name.textEdited.emit("mine")
    assert not reason.text()

    dock.controls.scale.button(3).click()
    dock.controls.models.list.set_value("snu/edsr_baseline_x3")
    assert "Download the model first" in reason.text()
    viewer.layers.remove(layer)
    assert "Tick a sharp image" in reason.text()


def test_images_beyond_the_memory_are_refused(dock, viewer, photo, monkeypatch):
    from napari_edsr._qt.finetune import planning

    class Memory:
        available = 10_000

    monkeypatch.setattr(planning.psutil, "virtual_memory", Memory)
    viewer.add_image(photo, name="cells")

    assert "15 kB of memory" in dock.panel.reason.text()
    assert not dock.panel.start.isEnabled()


def test_name_is_free_and_a_written_one_stays(dock, viewer, photo, train):
    viewer.add_image(photo, name="my cells (2)")
    assert dock.controls.name.text() == "my-cells-2-x2"
    assert train(dock).registered
    assert dock.controls.name.text() == "my-cells-2-x2-2"

    dock.controls.name.setText("own")
    viewer.add_image(photo, name="other")
    assert dock.controls.name.text() == "own"


@pytest.mark.promise(
    "made from the sharp images: bicubic or binned, blurred (in pixels or "
    "µm), with the noise of few photons, JPEG"
)
def test_degradation_of_the_controls(dock):
    options = dock.controls.degradation
    options.shrink.set_value("area")
    options.blur.setValue(0.25)
    options.unit.set_value("um")
    options.photons.setValue(300)
    options.read_noise.setValue(2.5)
    assert options.read_noise.isEnabled()
    options.jpeg.setChecked(True)
    options.worst.setValue(50)
    options.best.setValue(90)

    assert options.value() == Degradation("area", 0.25, "um", 300.0, 2.5, (50, 90))
    assert options.summary() == "area, blur 0.25 µm, 300 photons, read noise, JPEG"


def test_blur_in_micrometres_needs_a_pixel_size(dock, viewer, photo, train):
    viewer.add_image(photo, name="cells")
    dock.controls.degradation.blur.setValue(0.25)
    dock.controls.degradation.unit.set_value("um")

    assert train(dock) is None
    assert "pixel size of the image is not known" in dock.panel.error.message.text()


@pytest.mark.promise("blurred (in pixels or µm)")
def test_blur_in_micrometres_follows_the_layer(dock, viewer, photo, qtbot):
    from napari_edsr.degradation import shrink

    viewer.add_image(photo, name="cells", scale=(100, 100), units="nm")
    dock.controls.degradation.blur.setValue(0.15)
    dock.controls.degradation.unit.set_value("um")

    dock.controls.see.click()
    qtbot.waitUntil(lambda: not dock.side_jobs.is_running, timeout=WAIT)

    expected = shrink(photo, 2, Degradation(blur=1.5))
    np.testing.assert_array_equal(viewer.layers[-1].data, expected)


def test_settings_are_remembered(make_dock):
    dock = make_dock()
    dock.controls.degradation.blur.setValue(2.5)
    dock.controls.training.steps.setValue(321)
    dock.controls.training.grey.setChecked(False)
    dock.controls.kept.share.setValue(25)
    dock.controls.sections["training"].set_open(True)

    assert settings.load("finetune")["steps"] == 321
    other = make_dock().controls
    assert other.degradation.blur.value() == 2.5
    assert other.kept.share.value() == 25
    assert not other.training.grey.isChecked()
    assert other.open_sections() == "training"


def test_controls_are_locked_while_it_runs(dock, viewer, photo, qtbot):
    viewer.add_image(photo, name="cells")
    locked = []
    dock.session.stepped.connect(
        lambda _: locked.append(
            (dock.controls.form.isEnabled(), dock.panel.start.isHidden())
        )
    )
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        dock.panel.start.click()
        dock.start()  # a second press does nothing

    assert set(locked) == {(False, True)}
    assert dock.controls.form.isEnabled() and not dock.panel.start.isHidden()


@pytest.mark.fault(
    "Layers and docks: two runs at once in one program",
    "The second is refused, saying what is under way; the first goes on.",
)
def test_two_computations_are_refused(dock, viewer, photo, train):
    viewer.add_image(photo, name="cells")
    with computing("Upscaling of scans"):
        assert train(dock) is None
    assert "Upscaling of scans is under way" in dock.panel.error.message.text()
    assert train(dock).registered


@pytest.mark.fault(
    "Layers and docks: layers deleted mid-training", "Training goes on to its end."
)
def test_source_deleted_while_it_runs(dock, viewer, photo, qtbot):
    layer = viewer.add_image(photo, name="cells")
    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        with qtbot.waitSignal(dock.session.stepped, timeout=WAIT):
            dock.panel.start.click()
        viewer.layers.remove(layer)
        viewer.layers.remove(viewer.layers["cells kept aside, before"])
    assert dock.session.outcome.result.finished
    assert [layer.name for layer in viewer.layers] == ["cells kept aside, now"]


@pytest.mark.fault(
    "Layers and docks: dock closed mid-training",
    "Training ends, and the best weights are kept if they help.",
)
def test_closing_the_dock_ends_the_run_and_keeps_the_best(
    make_dock, viewer, photo, qtbot
):
    dock = make_dock(close=False)
    window = QMainWindow()
    qtbot.addWidget(window)
    window.setCentralWidget(dock)
    dock.controls.training.steps.setValue(100_000)
    viewer.add_image(photo, name="cells")
    with qtbot.waitSignal(dock.session.validated, timeout=WAIT):
        dock.panel.start.click()

    with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
        dock.setParent(None)

    outcome = dock.session.outcome
    assert outcome.result.step < 100_000
    assert outcome.registered is (outcome.result.gain > 0)
    assert (zoo.find_card("cells-x2") is not None) is outcome.registered
    viewer.layers.clear()
    dock.setParent(window)
    assert "Tick a sharp image" in dock.panel.reason.text()


@pytest.mark.fault(
    "Layers and docks: dock destroyed mid-training",
    "Training ends, and the device is free for others.",
)
def test_destroyed_dock_stops_its_run(make_dock, viewer, photo, qtbot):
    dock = make_dock(close=False)
    dock.controls.training.steps.setValue(100_000)
    viewer.add_image(photo, name="cells")
    with qtbot.waitSignal(dock.session.stepped, timeout=WAIT):
        dock.panel.start.click()

    with qtbot.waitSignal(dock.destroyed, timeout=WAIT):
        dock.deleteLater()

    viewer.add_image(photo)  # nobody listens any more
    QThreadPool.globalInstance().waitForDone(WAIT)
    with computing("A test"):
        """The run has let go of the devices."""


def test_real_folder_needs_its_counterpart(dock, viewer, photo, tmp_path, train):
    from PIL import Image

    from napari_edsr.resampling import imresize

    for name, image in (("hr", photo), ("lr", imresize(photo, [32, 48]))):
        (tmp_path / name).mkdir()
        Image.fromarray(image).save(tmp_path / name / "a.png")
    dock.controls.teach.add_folder(str(tmp_path / "hr"))
    dock.controls.side.kind.button("real").click()
    assert "Choose the folder" in dock.panel.reason.text()
    assert not dock.controls.side.folder.isHidden()

    dock.controls.side.set_lr_folder(str(tmp_path / "lr"))

    outcome = train(dock)
    (pair,) = outcome.result.kept
    np.testing.assert_array_equal(pair.lr[2][0], imresize(photo, [32, 48])[:, -5:])


@pytest.mark.parametrize("shape", [(3, 3), (1, 40)])
def test_tiny_images_are_refused(dock, viewer, shape):
    viewer.add_image(np.zeros(shape, np.uint8), name="tiny")

    assert dock.panel.reason.text() == "tiny is too small to learn from."


def test_saved_run_is_the_last_one_until_another_is_described(
    dock, viewer, photo, train, tmp_path, monkeypatch, qtbot
):
    from napari_edsr.train_config import load_config

    paths = iter([tmp_path / "first.yaml", tmp_path / "second.yaml"])
    monkeypatch.setattr(
        "napari_edsr._qt.saving.QFileDialog.getSaveFileName",
        lambda *_: (str(next(paths)), ""),
    )
    viewer.add_image(photo, name="cells")
    train(dock)

    for change in (lambda: None, lambda: dock.controls.training.steps.setValue(7)):
        change()
        with qtbot.waitSignal(dock.side_jobs.saved, timeout=WAIT):
            dock.panel.yaml.click()
        qtbot.waitUntil(lambda: not dock.side_jobs.is_running, timeout=WAIT)

    first, second = (load_config(tmp_path / f"{n}.yaml") for n in ("first", "second"))
    assert (first.name, first.steps) == ("cells-x2", 6)
    assert (second.name, second.steps) == ("cells-x2-2", 7)


def test_moving_a_layer_frees_the_start(dock, viewer, photo):
    from napari_edsr.resampling import imresize

    sharp = viewer.add_image(photo, name="sharp", scale=(0.5, 0.5), translate=(1, 1))
    low = viewer.add_image(imresize(photo, [32, 48]), name="low", translate=(1.4, 1.25))
    viewer.layers.selection = {sharp}
    dock.controls.side.kind.button("real").click()
    assert "register them first" in dock.panel.reason.text()

    low.translate = (1.25, 1.25)

    assert dock.panel.start.isEnabled() and not dock.panel.reason.text()
    assert "low-resolution side: low" in dock.panel.estimate.text()


def test_own_low_resolution_layer_is_no_partner(dock, viewer, photo, qtbot):
    viewer.add_image(photo, name="sharp", scale=(0.5, 0.5), translate=(1, 1))
    dock.controls.see.click()
    qtbot.waitUntil(lambda: not dock.side_jobs.is_running, timeout=WAIT)
    assert len(viewer.layers) == 2

    dock.controls.side.kind.button("real").click()

    assert "Open the low-resolution layer" in dock.panel.reason.text()


def test_rectangle_beside_the_common_part_is_refused(dock, viewer, photo):
    from napari_edsr.resampling import imresize

    low = imresize(photo, [32, 48])[16:]
    sharp = viewer.add_image(photo, name="sharp", scale=(0.5, 0.5), translate=(1, 1))
    viewer.add_image(low, name="low", translate=(17.25, 1.25))
    viewer.add_shapes([[[3, 3], [3, 9], [9, 9], [9, 3]]])
    viewer.layers.selection = {sharp}
    dock.controls.side.kind.button("real").click()
    dock.controls.kept.part.button("rectangle").click()

    assert "holds no pixel" in dock.panel.reason.text()


def test_start_waits_for_a_blend_that_is_being_measured(
    dock, viewer, photo, train, qtbot
):
    viewer.add_image(photo, name="cells")
    assert train(dock).registered
    dock.blender.mix(0.5)
    assert dock.blender.is_running

    outcome = train(dock)

    assert outcome.request.config.name == "cells-x2-2"
    assert dock.errors_shown == []


def test_run_that_could_not_begin_leaves_the_one_before(dock, viewer, photo, train):
    viewer.add_image(photo, name="cells")
    before = train(dock)

    with computing("Upscaling of scans"):
        train(dock)

    assert dock.session.outcome is before
    assert not dock.panel.use.isHidden()
    assert "is under way" in dock.panel.error.message.text()


def test_nothing_is_suggested_in_this_dock(dock, viewer, photo):
    viewer.add_image(photo, name="cells")

    assert dock.controls.models.take_hint.isHidden()


def test_name_can_be_written_anew(dock, viewer, photo):
    viewer.add_image(photo, name="cells")
    name = dock.controls.name
    name.setText("")
    name.textEdited.emit("")
    assert name.text() == "" and "no model name" in dock.panel.reason.text()

    name.editingFinished.emit()

    assert name.text() == "cells-x2" and not dock.panel.reason.text()


def test_hidden_jpeg_qualities_do_not_block_real_pairs(dock):
    options = dock.controls.degradation
    options.jpeg.setChecked(True)
    options.best.setValue(70)
    options.worst.setValue(90)

    assert options.value().jpeg == (90, 90)
    options.photons.setValue(0)
    assert not options.read_noise.isEnabled()


@pytest.mark.fault(
    "Stopping: a fine-tuning of the dock cancelled at every moment",
    "What was measured to help is a model, whole; else none; the device is free.",
)
def test_a_fine_tuning_closed_at_each_yield(dock, viewer, photo):
    layer = viewer.add_image(photo, name="cells")
    dock.controls.training.steps.setValue(2)
    request = planning.plan(viewer, [layer], dock.choices())
    names = (f"cells-{number}" for number in itertools.count())
    sizes, listed = [], []

    def begin():
        listed.append(next(names))
        config = replace(request.config, name=listed[-1])
        return iter_finetune(replace(request, config=config))

    for events in closed_at_each_yield(begin):
        with computing("A test"):
            """Nothing else is under way."""
        sizes.append(len(events))
        best = [event.best for event in events if isinstance(event, Validated)]
        before = [event.before for event in events if isinstance(event, TrainPlanned)]
        if best and best[-1] > before[0] + 0.005:
            told = load_model(listed[-1]).provenance.extra["training"]
            assert told["psnr"] == pytest.approx(best[-1], abs=1e-4)
        else:
            assert zoo.find_card(listed.pop()) is None
        kept = {path.stem for path in zoo.import_target("any").parent.iterdir()}
        assert kept == set(listed)
    assert 1 < len(listed) < len(sizes)
    assert len(sizes) > 4
