"""Cancelling, closing, errors, and what stands in the dock meanwhile."""

from __future__ import annotations

import logging
from importlib.metadata import version

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication
from qtpy.QtGui import QGuiApplication

from napari_edsr import kept
from napari_edsr._qt.busy import computing
from napari_edsr._qt.layers import METADATA_KEY
from napari_edsr.errors import DeviceError

WAIT = 30_000


def wait_for_end(qtbot, widget, engine):
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        engine.let_on(1000)


@pytest.mark.promise("the layer sharpens from the top as it runs")
def test_placeholder_is_the_enlarged_source_and_sharpens_in_place(
    qtbot, widget, viewer, image, engine, begin
):
    fake = engine()
    result = begin(fake, tiles=3)

    expected = image.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(result.data[3:], expected[3:])
    assert (result.data[:3] == 7).all()
    array = result.data
    wait_for_end(qtbot, widget, fake)

    assert result.data is array
    assert (array == 7).all()


@pytest.mark.promise("*Cancel* answers at once and keeps what is done")
@pytest.mark.fault(
    "Stopping: cancelled in the dock",
    "It stops within a part; what is done is kept and marked as partial.",
)
def test_cancel_stops_within_a_tile_and_keeps_what_is_done(
    qtbot, widget, viewer, image, engine, begin
):
    fake = engine()
    result = begin(fake, tiles=3)
    qtbot.waitUntil(lambda: fake.tiles_begun == 4)

    widget.panel.progress.cancel.click()
    assert widget.panel.progress.status.text() == "Stopping after this part…"
    assert not widget.panel.progress.cancel.isEnabled()
    wait_for_end(qtbot, widget, fake)

    assert fake.tiles_begun == 4
    assert fake.closed.is_set()
    assert (result.data[:4] == 7).all()
    np.testing.assert_array_equal(result.data[4:], image.repeat(2, 0).repeat(2, 1)[4:])
    about = result.metadata[METADATA_KEY]
    assert (about["partial"], about["tiles"], about["tiles_planned"]) == (True, 4, 40)
    assert about["notes"] == ["A note."]
    assert widget.panel.outcome.text() == "Stopped after 4 of 40 parts; these are kept."
    assert widget.panel.upscale.isEnabled()


@pytest.mark.fault(
    "Stopping: cancelled before the first part is done", "No layer is left."
)
def test_cancel_before_the_first_tile_leaves_no_layer(
    qtbot, widget, viewer, engine, image
):
    viewer.add_image(image)
    fake = engine(error_after=0, error=GeneratorExit())
    with qtbot.waitSignal(widget.session.runner.planned, timeout=WAIT):
        widget.panel.upscale.click()
    assert len(viewer.layers) == 2
    fake.error = DeviceError("Memory ran out.")

    widget.panel.progress.cancel.click()
    wait_for_end(qtbot, widget, fake)

    assert len(viewer.layers) == 1


@pytest.mark.fault(
    "Stopping: cancelled with more layers waiting", "None of those begins."
)
def test_cancel_empties_the_queue(qtbot, widget, viewer, engine, begin, image):
    for name in "ab":
        viewer.add_image(image, name=name)
    cells = viewer.add_image(image, name="cells")
    viewer.layers.selection = set(viewer.layers)
    fake = engine()
    begin(fake, tiles=1)

    widget.panel.progress.cancel.click()
    wait_for_end(qtbot, widget, fake)

    assert [layer.name for layer in viewer.layers] == [
        "a",
        "b",
        "cells",
        "a ×2 (tiny_x2)",
    ]
    assert cells in viewer.layers


@pytest.mark.fault(
    "Stopping: cancelled in napari's activity dock",
    "It stops as by the dock's own button.",
)
def test_cancel_in_the_activity_dock(qtbot, widget, engine, begin):
    from napari.utils.progress import progress

    fake = engine()
    begin(fake)
    (bar,) = progress._all_instances
    assert bar.desc.startswith("Upscaling of cells")

    bar.cancel()
    wait_for_end(qtbot, widget, fake)

    assert widget.panel.outcome.text().startswith("Stopped after")
    assert len(progress._all_instances) == 0


def test_controls_are_locked_and_say_why(qtbot, widget, engine, begin):
    fake = engine()
    begin(fake)

    panel = widget.panel
    assert not widget.controls.form.isEnabled()
    assert not panel.upscale.isEnabled()
    assert not panel.preview.isEnabled()
    assert panel.reason.text() == "A run is under way; cancel it to start another."
    assert panel.progress.status.text().startswith("5%, 0:")
    assert panel.progress.bar.value() == 50
    widget.upscale()
    assert widget.session.runner.waiting == 0
    wait_for_end(qtbot, widget, fake)

    assert widget.controls.form.isEnabled()
    assert panel.progress.isHidden()
    assert panel.outcome.text() == "Done: 0.1 s, CPU fp32, tiny_x2 ×2"


@pytest.mark.fault(
    "Layers and docks: two runs at once in one program",
    "The second is refused, saying what is under way; the first goes on.",
)
def test_second_dock_is_refused_while_one_runs(
    qtbot, widget, make_widget, viewer, engine, begin, errors_shown
):
    fake = engine()
    begin(fake)
    other = make_widget()

    with qtbot.waitSignal(other.session.ended, timeout=WAIT):
        other.panel.upscale.click()

    assert "Upscaling of cells is under way" in other.panel.error.message.text()
    assert len(viewer.layers) == 2
    wait_for_end(qtbot, widget, fake)
    with computing("A test"):
        """The lock is free again."""


@pytest.mark.fault(
    "Layers and docks: source layer deleted mid-run",
    "The run goes on to its end from the pixels it was given.",
)
def test_removed_source_does_not_stop_the_run(qtbot, widget, viewer, engine, begin):
    fake = engine()
    result = begin(fake)

    viewer.layers.remove("cells")
    wait_for_end(qtbot, widget, fake)

    assert viewer.layers[:] == [result]
    assert (result.data == 7).all()


@pytest.mark.fault(
    "Layers and docks: result layer deleted mid-run",
    "The run stops within a part, and the layer does not come back.",
)
def test_deleting_the_result_stops_the_run(qtbot, widget, viewer, engine, begin):
    fake = engine()
    result = begin(fake)
    qtbot.waitUntil(lambda: fake.tiles_begun == 3)

    viewer.layers.remove(result)
    wait_for_end(qtbot, widget, fake)

    assert fake.tiles_begun == 3
    assert result not in viewer.layers
    assert widget.panel.save.isHidden()


@pytest.mark.fault(
    "Layers and docks: any error in a run",
    "The dock shows it in a sentence with details to copy; what is done is kept.",
)
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access\nand more"),
        ZeroDivisionError("division by zero"),
        DeviceError("Memory of cpu ran out; choose a smaller tile."),
    ],
)
def test_error_in_a_run_is_shown_and_ends_it(
    qtbot, widget, viewer, engine, begin, errors_shown, error, caplog, capsys
):
    caplog.set_level(logging.INFO, "napari_edsr")
    fake = engine(error_after=2, error=error)
    result = begin(fake, tiles=2)
    wait_for_end(qtbot, widget, fake)

    view = widget.panel.error
    assert not view.isHidden()
    assert str(error).partition("\n")[0].lower() in view.message.text().lower()
    assert "Traceback" not in view.message.text()
    assert errors_shown == [view.message.text()]
    assert result.metadata[METADATA_KEY]["partial"] is True
    assert widget.panel.progress.isHidden()
    assert widget.panel.upscale.isEnabled()
    view.copy.click()
    copied = QGuiApplication.clipboard().text()
    assert type(error).__name__ in copied
    assert copied.startswith(view.message.text())
    assert f"napari {version('napari')}\n" in copied
    assert "\ncpu: " in copied  # as torch was asked for it
    (logged,) = (r for r in caplog.records if r.name == "napari_edsr._qt.failure")
    assert str(error) in logged.getMessage() + logging.Formatter().format(logged)
    expected = isinstance(error, DeviceError)
    assert logged.levelno == (logging.INFO if expected else logging.ERROR)
    assert bool(logged.exc_info) is not expected
    assert capsys.readouterr() == ("", "")


@pytest.mark.fault(
    "Layers and docks: an error before the first part is done", "No layer is left."
)
def test_error_before_the_first_tile_leaves_no_layer(
    qtbot, widget, viewer, image, engine, errors_shown
):
    viewer.add_image(image)
    fake = engine(
        error_after=0, error=DeviceError("There is no device; choose another.")
    )
    widget.panel.upscale.click()
    wait_for_end(qtbot, widget, fake)

    assert len(viewer.layers) == 1
    assert errors_shown == ["There is no device; choose another."]


def test_error_goes_with_the_next_run(
    qtbot, widget, viewer, engine, begin, errors_shown
):
    fake = engine(error_after=1, error=DeviceError("Memory ran out."))
    begin(fake, tiles=1)
    wait_for_end(qtbot, widget, fake)

    fake = engine()
    begin(fake)
    assert widget.panel.error.isHidden()
    wait_for_end(qtbot, widget, fake)


@pytest.mark.fault(
    "Layers and docks: an error with more layers waiting", "The others are upscaled."
)
def test_queue_goes_on_after_an_error(
    qtbot, widget, viewer, engine, begin, image, errors_shown
):
    viewer.add_image(image, name="a")
    viewer.add_image(image, name="cells")
    viewer.layers.selection = set(viewer.layers)
    fake = engine(error_after=0, error=DeviceError("Not this one."))
    began = []
    widget.session.runner.began.connect(lambda request: began.append(request.source))
    widget.panel.upscale.click()
    wait_for_end(qtbot, widget, fake)

    assert began == ["a", "cells"]
    assert errors_shown == ["Not this one."] * 2


def stopped(engine, qtbot):
    engine.let_on()
    qtbot.waitUntil(engine.closed.is_set, timeout=WAIT)
    return engine.tiles_begun


@pytest.mark.fault(
    "Layers and docks: dock closed mid-run",
    "The run stops within a part; what is done stays, and the viewer lives on.",
)
def test_taking_the_widget_out_of_its_dock_stops_the_run(qtbot, widget, engine, begin):
    from qtpy.QtWidgets import QWidget

    dock = QWidget()
    qtbot.addWidget(dock)
    widget.setParent(dock)
    fake = engine()
    begin(fake)
    qtbot.waitUntil(lambda: fake.tiles_begun == 3)

    widget.setParent(None)

    assert stopped(fake, qtbot) == 3


@pytest.mark.fault(
    "Layers and docks: dock destroyed mid-run",
    "The run stops within a part; what is done stays, and the viewer lives on.",
)
def test_destroying_the_widget_stops_the_run(qtbot, viewer, image, engine, make_widget):
    widget = make_widget(close=False)
    viewer.add_image(image)
    fake = engine()
    widget.panel.upscale.click()
    fake.let_on(2)
    qtbot.waitUntil(lambda: fake.tiles_begun == 3)

    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()

    assert stopped(fake, qtbot) == 3
    viewer.add_image(image)
    viewer.layers.clear()


@pytest.mark.fault(
    "Layers and docks: application quit mid-run",
    "The run stops within a part, and no thread is left.",
)
def test_quitting_the_application_stops_the_run(qtbot, widget, engine, begin):
    fake = engine()
    begin(fake)
    qtbot.waitUntil(lambda: fake.tiles_begun == 3)

    QCoreApplication.instance().aboutToQuit.emit()

    assert stopped(fake, qtbot) == 3
    qtbot.waitUntil(lambda: not widget.session.is_running)


def test_redraws_stay_within_their_share_and_the_last_one_comes(
    qtbot, widget, viewer, engine, begin
):
    fake = engine()
    result = begin(fake, tiles=1)
    live = widget.session.live
    refreshed = []
    result.events.set_data.connect(lambda: refreshed.append((result.data == 7).all()))
    live.budget.spent = 1e6

    wait_for_end(qtbot, widget, fake)

    assert refreshed == [True]
    assert live.budget.count >= 2


def test_warnings_and_notes_reach_the_user(widget, viewer, run, monkeypatch):
    said = []
    widget.session.warned.connect(said.append)
    image = np.full((12, 12), 0.5, np.float32)
    image[3, 4] = np.nan
    viewer.add_image(image, contrast_limits=(0, 1))

    run(widget)

    notes = viewer.layers[-1].metadata[METADATA_KEY]["notes"]
    assert any("NaN" in text for text in [*said, *notes])
    assert all(note.rstrip(".") in widget.panel.outcome.text() for note in notes)
    assert np.isnan(viewer.layers[-1].data).sum() == 4


def test_deleted_result_is_let_go(widget, viewer, run, image):
    viewer.add_image(image)
    run(widget)
    assert not widget.panel.save.isHidden()

    viewer.layers.remove(viewer.layers[-1])

    assert widget.session.results == []
    assert widget.panel.save.isHidden()


def test_the_kept_model_is_released_when_no_run_follows(
    qtbot, widget, monkeypatch, engine, begin
):
    released = []
    monkeypatch.setattr(kept, "release", lambda: released.append(True))
    widget.idle_model.setInterval(0)
    fake = engine()
    begin(fake, tiles=1)
    assert not widget.idle_model.isActive()
    with qtbot.waitSignal(widget.idle_model.timeout, timeout=WAIT):
        wait_for_end(qtbot, widget, fake)
    assert released == [True]
    widget.stop_all()
    assert released == [True, True]
