"""Queues, layers on disk, remembered files and what is said of them at the end."""

import dask
import dask.array as da
import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QWidget

from napari_edsr import zoo
from napari_edsr._qt import planning, settings
from napari_edsr._qt.background import DevicesFound
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.requests import UpscaleRequest, iter_request
from napari_edsr._qt.tally import Tally
from napari_edsr._qt.upscale_widget import UpscaleWidget
from napari_edsr._qt.worker import Job, JobFailedError
from napari_edsr.errors import DownloadError
from napari_edsr.events import BytesDone

WAIT = 20_000


def request(height, **changes):
    return UpscaleRequest(np.zeros((height, 10), np.uint8), "YX", 2, "edsr-light-x2",
                          **changes)  # fmt: skip


DONE = {"seconds": 2.0, "device": "cpu", "precision": "fp32", "notes": ["a note"]}


@pytest.mark.promise("with progress and time left")
def test_progress_is_that_of_the_whole_queue():
    tally = Tally([request(10), request(30)], number=2, finished={1: DONE})
    share, words = tally.progress(0.5, 3.0)
    assert share == pytest.approx((100 + 0.5 * 300) / 400)
    assert words == "62%, 0:03 left – layer 2 of 2"
    assert Tally([request(10)], number=1).progress(0.25, 1.0)[1] == "25%, 0:03 left"


def test_what_was_not_done_does_not_count_as_fast():
    tally = Tally([request(90), request(10)], number=2, failed=1)
    assert tally.progress(0.1, 1.0)[1] == "91%, 0:09 left – layer 2 of 2"


ONE, THREE = [request(9)], [request(9)] * 3


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        (Tally(ONE, finished={1: DONE}), "Done: 2.0 s, CPU fp32, light ×2\nA note."),
        (
            Tally(THREE, finished={1: DONE, 2: DONE, 3: DONE}),
            "Done: 6.0 s, CPU fp32, light ×2 – 3 layers\nA note.",
        ),
        (
            Tally(THREE, finished={2: DONE}, partial=[(2, 9), (1, 9)], failed=1),
            "1 of 3 layers are done, 2 in part, 1 failed.",
        ),
        (Tally(THREE, finished={1: DONE}), "1 of 3 layers are done."),
        (Tally(ONE, partial=[(2, 9)]), "Stopped after 2 of 9 parts; these are kept."),
        (
            Tally(ONE, partial=[(2, 9)], failed=1),
            "What was done is kept: 2 of 9 parts.",
        ),
        (Tally(ONE, failed=1), ""),
        (Tally(ONE, deleted=True), "Stopped, as its result was deleted."),
        (Tally(ONE), "Stopped; nothing was done yet."),
    ],
)
def test_what_is_said_at_the_end(tally, words):
    assert tally.words() == words


def test_where_the_uncertainty_is(widget, viewer, run, image):
    viewer.add_image(image)
    widget.controls.quality.uncertainty.click()
    run(widget)
    assert "The uncertainty is in a hidden layer" in widget.panel.outcome.text()
    assert not viewer.layers[-1].visible


@pytest.fixture(autouse=True)
def no_threads_of_dask():
    with dask.config.set(scheduler="synchronous"):
        yield


class Disk:
    """Planes that are made when they are asked for, and counted."""

    def __init__(self, planes, side=16):
        self.read = set()
        base = np.arange(side * side, dtype=np.uint16).reshape(side, side)

        def load(block_info=None):
            plane = block_info[None]["chunk-location"][0]
            self.read.add(plane)
            return (base + 10 * plane)[np.newaxis]

        self.array = da.map_blocks(
            load, dtype=np.uint16, chunks=((1,) * planes, (side,), (side,)),
            meta=np.empty((0, 0, 0), np.uint16),
        )  # fmt: skip


def test_one_plane_of_a_stack_on_disk_is_read_alone(widget, viewer, run):
    disk = Disk(30)
    layer = viewer.add_image(disk.array, contrast_limits=(0, 255))
    viewer.dims.set_point(0, 7)
    widget.controls.region.all_planes.setChecked(False)
    widget.controls.intensities.set_value("dtype", 0, 1)
    disk.read.clear()
    run(widget)
    assert disk.read == {7}
    run(widget, widget.panel.preview)
    assert disk.read == {7}
    widget.controls.region.all_planes.setChecked(True)
    widget.controls.intensities.set_value("auto", 0, 1)
    run(widget)
    result = viewer.layers[-1].data
    assert result.shape == (30, 32, 32)
    viewer.add_image(np.asarray(layer.data), name="in memory")
    run(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, result)


@pytest.mark.fault(
    "Stopping: cancelled while a stack is read", "It stops within a plane."
)
def test_a_stack_on_disk_can_be_given_up_while_it_is_read(widget, viewer):
    disk = Disk(40)
    viewer.add_image(disk.array, contrast_limits=(0, 255))
    (wanted,) = planning.plan(viewer, widget.layers(), widget.controls.choices())
    disk.read.clear()
    run = iter_request(wanted)
    assert [next(run), next(run)] == [None, None]
    run.close()
    assert disk.read == {0, 1}


def test_the_range_of_the_contrast_slider_is_kept(widget, viewer, run, image):
    source = viewer.add_image(image, contrast_limits=(1000, 5000))
    source.contrast_limits_range = (2, 59883)
    run(widget)
    result = viewer.layers[-1]
    assert isinstance(result, Image)
    assert result.contrast_limits_range == [2, 59883]
    assert result.contrast_limits == [1000, 5000]


def test_nothing_runs_on_another_model_while_a_remembered_file_is_read(
    viewer, qtbot, model_file, image
):
    settings.save(model=model_file(2).key)
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    viewer.add_image(image)
    assert not widget.panel.upscale.isEnabled()
    assert widget.panel.reason.text() == "Wait: tiny_x2.safetensors is being read."
    with qtbot.waitSignal(widget.model_source.recognised, timeout=WAIT):
        widget._on_devices(DevicesFound(("cpu",), "cpu"))
    assert widget.panel.upscale.isEnabled()
    assert widget.controls.models.value().key == model_file(2).key


def test_a_choice_made_meanwhile_goes_before_the_remembered_file(
    viewer, qtbot, model_file, image
):
    settings.save(model=model_file(2).key)
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    viewer.add_image(image)
    widget._on_devices(DevicesFound(("cpu",), "cpu"))
    chosen = widget.controls.models.list
    chosen.setCurrentIndex(chosen.index_of("openmmlab/edsr_x2c64b16"))
    chosen.setCurrentIndex(chosen.index_of("edsr-light-x2"))
    with qtbot.waitSignal(widget.model_source.recognised, timeout=WAIT):
        widget.model_source.recognise(model_file(3).key)
    widget.controls.scale.button(2).click()
    assert widget.controls.models.value().key == "edsr-light-x2"


@pytest.mark.fault(
    "Settings: the remembered weights file is damaged",
    "The dock says so and offers the built-in model.",
)
def test_a_remembered_file_that_is_damaged_frees_the_dock(
    viewer, qtbot, tmp_path, image, errors_shown
):
    path = tmp_path / "bad.pth"
    path.write_bytes(b"no weights at all, but as long as a header")
    settings.save(model=str(path))
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    viewer.add_image(image)
    with qtbot.waitSignal(widget.model_source.failed, timeout=WAIT):
        widget._on_devices(DevicesFound(("cpu",), "cpu"))
    assert widget.panel.upscale.isEnabled()
    assert "is not a weights file" in widget.panel.error.message.text()


def test_an_error_goes_when_something_else_is_chosen_or_works(widget, viewer, image):
    viewer.add_image(image)
    widget._on_saved("/tmp/a.tif")
    widget._on_failure(Failure("It failed.", "details"))
    assert (widget.panel.outcome.isHidden(), widget.panel.error.isHidden()) == (
        True,
        False,
    )
    widget._on_saved("/tmp/a.tif")
    assert widget.panel.error.isHidden()
    widget._on_failure(Failure("It failed.", "details"))
    widget.controls.scale.button(3).click()
    assert widget.panel.error.isHidden()


@pytest.mark.fault(
    "Layers and docks: a job that is told to exit",
    "The job ends with an error, and the dock is told.",
)
def test_a_worker_that_is_told_to_exit_ends_its_job(qtbot):
    def leaves():
        yield
        raise SystemExit(3)

    job, failures = Job(leaves()), []
    job.failed.connect(failures.append)
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
    (failure,) = failures
    assert isinstance(failure, JobFailedError)


def test_the_button_stays_in_its_place_when_it_is_pressed(
    qtbot, widget, viewer, image, engine
):
    fake = engine()
    viewer.add_image(image)
    widget.resize(360, 640)
    widget.show()
    qtbot.waitExposed(widget)
    before = widget.panel.upscale.mapTo(widget, widget.panel.upscale.rect().topLeft())
    widget.panel.upscale.click()
    qtbot.waitUntil(lambda: widget.session.is_running, timeout=WAIT)
    qtbot.waitUntil(widget.panel.progress.isVisible, timeout=WAIT)
    after = widget.panel.upscale.mapTo(widget, widget.panel.upscale.rect().topLeft())
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        fake.let_on(1000)
    assert after == before


@pytest.mark.fault(
    "Network: a download that fails in the dock",
    "The dock says why until something else works.",
)
def test_a_failed_download_stays_said(widget, viewer, qtbot, monkeypatch, errors_shown):
    def broken(card):
        yield BytesDone(0, 10)
        raise DownloadError("The server is gone; try again later.")

    monkeypatch.setattr(zoo, "iter_download", broken)
    with qtbot.waitSignal(widget.model_source.updated, timeout=WAIT):
        widget.model_source.download("openmmlab/edsr_x2c64b16")
    assert widget.panel.error.message.text() == "The server is gone; try again later."
    assert not widget.panel.error.isHidden()


def test_a_bad_file_does_not_make_the_dock_forget_another(
    viewer, qtbot, model_file, tmp_path, errors_shown
):
    settings.save(model=model_file(2).key)
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    (tmp_path / "bad.pth").write_bytes(b"no weights at all, but as long as a header")
    with qtbot.waitSignal(widget.model_source.failed, timeout=WAIT):
        widget.model_source.recognise(str(tmp_path / "bad.pth"))
    assert widget.controls.models.pending == model_file(2).key


def test_another_scale_goes_before_the_remembered_file(
    viewer, qtbot, model_file, image
):
    settings.save(model=model_file(2).key)
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    viewer.add_image(image)
    widget.controls.scale.button(3).click()
    assert widget.panel.upscale.isEnabled()
    assert widget.controls.models.value().key == "edsr-light-x3"


def test_a_dock_that_was_closed_hears_nothing_and_catches_up(widget, viewer, image):
    viewer.add_image(image, name="old")
    window = QWidget()
    widget.setParent(window)
    widget.setParent(None)
    old = viewer.layers[0]
    heard = len(old.events.data.callbacks)
    widget._update()
    assert len(old.events.data.callbacks) == heard
    viewer.layers.clear()
    viewer.add_image(image, name="new")
    widget.setParent(window)
    chooser = widget.controls.layer.list
    assert [chooser.itemText(i) for i in range(chooser.count())] == ["new"]
    widget.setParent(None)
