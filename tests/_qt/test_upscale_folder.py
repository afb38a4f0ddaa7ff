"""A folder of images, upscaled from the dock into another folder."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_edsr import files, upscale
from napari_edsr._qt.folder import jobs
from napari_edsr._qt.layers import METADATA_KEY
from napari_edsr.files import ImageFile

WAIT = 30_000


@pytest.fixture(autouse=True)
def no_pool():
    """Dask's threads would outlive their test."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def folder(tmp_path, rng):
    """Two images of cells, one with colours, and a text."""
    place = tmp_path / "cells"
    place.mkdir()
    for name in ("b.tif", "a.tif"):
        pixels = rng.integers(0, 2**16, (20, 24), np.uint16)
        image = ImageFile(pixels, "YX", {"Y": 0.5, "X": 0.25}, "µm", [(10, 5000)])
        files.write_image(place / name, image)
    Pillow.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).save(place / "c.png")
    (place / "notes.txt").write_text("not an image")
    return place


@pytest.fixture
def choose(qtbot):
    """`choose(widget, folder, ...)`: fill the section in, and wait for what it finds."""

    def choose(widget, folder, *, pattern="", output=None):
        options, part = widget.controls.folder, widget.folder
        options.pattern.setText(pattern)
        with qtbot.waitSignals([part.scout.found], timeout=WAIT):
            options.source.line.setText(str(folder))
            options.source.line.editingFinished.emit()
        if output is not None:
            with qtbot.waitSignals([part.scout.found], timeout=WAIT):
                options.output.line.setText(str(output))
                options.output.line.editingFinished.emit()
        return options

    return choose


@pytest.fixture
def run_folder(qtbot):
    """`run_folder(widget)`: press the button, and wait for the end and the look after it."""

    def press(widget):
        part = widget.folder
        with qtbot.waitSignal(part.session.ended, timeout=WAIT):
            widget.controls.folder.run.click()
        qtbot.waitUntil(lambda: part.scout._job is None, timeout=WAIT)

    return press


def lines(widget):
    shown = widget.panel.files
    items = [shown.topLevelItem(i) for i in range(shown.topLevelItemCount())]
    return [(item.text(0), item.text(1)) for item in items]


def click(qtbot, widget, row):
    shown = widget.panel.files
    with qtbot.waitSignal(widget.folder.opener.opened, timeout=WAIT) as opened:
        shown.itemClicked.emit(shown.topLevelItem(row), 0)
    return opened.args[0]


@pytest.mark.promise(
    "upscales files without opening them",
    "how many images there are, and what they will take, stands there before you press",
    "Each becomes a file of the same name.",
)
def test_every_image_becomes_a_file(widget, choose, run_folder, folder, tmp_path):
    options = choose(widget, folder)
    assert options.output.path() == str(tmp_path / "cells_x2")
    assert options.found.text().startswith("3 images, 0.0012 MP – up to 10 kB")
    run_folder(widget)
    made = tmp_path / "cells_x2"
    assert sorted(path.name for path in made.iterdir()) == ["a.tif", "b.tif", "c.png"]
    model = widget.controls.choices().model.key
    for name in ("a.tif", "b.tif", "c.png"):
        before, after = files.read_image(folder / name), files.read_image(made / name)
        expected = upscale(before.data, model, scale=2, axes=before.axes)
        np.testing.assert_array_equal(after.data, expected)
    assert files.read_image(made / "a.tif").pixel_size == {"Y": 0.25, "X": 0.125}
    assert [name for name, _ in lines(widget)] == ["a.tif", "b.tif", "c.png"]
    assert all(said.endswith(" s") for _, said in lines(widget))
    assert widget.panel.outcome.text().startswith("3 of 3 images done in ")


@pytest.mark.promise("a pattern such as `*.tif` if you like, and where the results go")
def test_pattern_and_sub_folders(widget, choose, run_folder, folder, tmp_path):
    (folder / "day 2").mkdir()
    (folder / "a.tif").rename(folder / "day 2" / "a.tif")
    options = choose(
        widget, folder, pattern="**/*.tif", output=tmp_path / "out" / "of it"
    )
    assert options.found.text().startswith("2 images,")
    run_folder(widget)
    made = sorted((tmp_path / "out" / "of it").rglob("*.tif"))
    assert [path.name for path in made] == ["b.tif", "a.tif"]
    assert made[1].parent.name == "day 2"


@pytest.mark.promise("what is there already is left out")
def test_what_is_there_is_left_out_unless_it_is_to_be_replaced(
    widget, choose, run_folder, folder, tmp_path, qtbot
):
    options = choose(widget, folder)
    made = tmp_path / "cells_x2"
    made.mkdir()
    (made / "a.tif").write_bytes(b"mine")
    with qtbot.waitSignal(widget.folder.scout.found, timeout=WAIT):
        options.pattern.editingFinished.emit()
    assert options.found.text().endswith("1 are there already")
    run_folder(widget)
    assert lines(widget)[0] == ("a.tif", "was there")
    assert widget.panel.outcome.text().endswith("1 were there already.")
    assert options.found.text() == "All 3 results are there already."
    assert not options.run.isEnabled()
    with qtbot.waitSignal(widget.folder.scout.found, timeout=WAIT):
        options.skip.setChecked(False)
    run_folder(widget)
    assert len(lines(widget)) == 3
    assert files.read_image(made / "a.tif").data.shape == (40, 48)


@pytest.mark.promise("One that cannot be read does not stop the others")
def test_one_that_fails_does_not_stop_the_others(
    widget, choose, run_folder, folder, tmp_path, errors_shown
):
    (folder / "b.tif").write_bytes(b"II*\0 and nothing more")
    options = choose(widget, folder)
    assert options.found.text().endswith("1 cannot be upscaled")
    run_folder(widget)
    assert sorted(p.name for p in (tmp_path / "cells_x2").iterdir()) == [
        "a.tif",
        "c.png",
    ]
    assert lines(widget)[1] == ("b.tif", "failed")
    error = widget.panel.error
    assert not error.isHidden()
    assert error.message.text().startswith("1 image could not be upscaled. ")
    assert error.message.text().count("b.tif") == 1
    assert str(folder / "b.tif") in error.text.toPlainText()
    assert errors_shown == [error.message.text()]
    assert widget.panel.outcome.text().startswith("2 of 3 images done")
    widget.panel.files.itemClicked.emit(widget.panel.files.topLevelItem(1), 0)
    assert not widget.folder.opener.is_running


def test_cancel_keeps_what_is_done_and_the_next_run_does_the_rest(
    widget, choose, run_folder, folder, tmp_path, qtbot
):
    options = choose(widget, folder)
    session = widget.folder.session
    session.file_ended.connect(widget.panel.progress.cancel.click)
    run_folder(widget)
    session.file_ended.disconnect(widget.panel.progress.cancel.click)
    made = tmp_path / "cells_x2"
    done = sorted(path.name for path in made.iterdir())
    assert "a.tif" in done and len(done) < 3
    assert widget.panel.outcome.text() == (
        f"Stopped. {len(done)} of 3 images are done, and kept."
    )
    assert options.run.isEnabled()
    run_folder(widget)
    assert sorted(path.name for path in made.iterdir()) == ["a.tif", "b.tif", "c.png"]


def test_nothing_else_runs_meanwhile_and_results_can_be_opened(
    widget, choose, run_folder, folder, viewer
):
    choose(widget, folder)
    viewer.add_image(np.zeros((8, 8), np.uint8))
    seen = []

    def look(outcome):
        widget.upscale()
        panel = widget.panel
        seen.append(
            (
                widget.session.is_running,
                panel.upscale.isEnabled(),
                widget.controls.folder.run.isEnabled(),
                widget.controls.form.isEnabled(),
                panel.files.isEnabled(),
            )
        )

    widget.folder.session.file_ended.connect(look)
    run_folder(widget)
    assert seen == [(False, False, False, False, True)] * 3
    assert widget.panel.upscale.isEnabled()


@pytest.mark.promise("a click on a line of the list opens a result")
def test_a_click_opens_a_result_once(
    widget, choose, run_folder, folder, viewer, qtbot, tmp_path
):
    choose(widget, folder)
    run_folder(widget)
    (layer,) = click(qtbot, widget, 0)
    stored = files.read_image(tmp_path / "cells_x2" / "a.tif")
    np.testing.assert_array_equal(layer.data, stored.data)
    np.testing.assert_allclose(layer.scale, [0.25, 0.125])
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert layer.contrast_limits == [10, 5000]
    assert layer.metadata[METADATA_KEY]["scale"] == 2
    click(qtbot, widget, 2)
    assert viewer.layers[1].rgb
    widget.panel.files.itemActivated.emit(widget.panel.files.topLevelItem(0), 0)
    assert len(viewer.layers) == 2
    assert viewer.layers.selection == {layer}


def test_a_result_that_was_made_anew_is_read_anew(
    widget, choose, run_folder, folder, viewer, qtbot
):
    options = choose(widget, folder, pattern="a.tif")
    run_folder(widget)
    click(qtbot, widget, 0)
    with qtbot.waitSignal(widget.folder.scout.found, timeout=WAIT):
        options.skip.setChecked(False)
    run_folder(widget)
    click(qtbot, widget, 0)
    assert len(viewer.layers) == 2


def test_channels_and_stores_open_as_layers(
    widget, choose, run_folder, viewer, qtbot, tmp_path, rng
):
    from napari_edsr import drain, iter_upscale

    place = tmp_path / "channels"
    place.mkdir()
    pixels = rng.integers(0, 2**16, (2, 20, 24), np.uint16)
    image = ImageFile(
        pixels,
        "CYX",
        {"Y": 0.5, "X": 0.5},
        "µm",
        [(0, 9), (5, 60000)],
        channel_names=("DAPI", "GFP"),
        metadata={"colors": ("0000FF", "00FF00")},
    )
    model = widget.controls.choices().model.key
    drain(iter_upscale(pixels, model, axes="CYX", out=place / "n.ome.zarr", like=image))
    choose(widget, place)
    run_folder(widget)
    blue, green = click(qtbot, widget, 0)
    assert (blue.name, green.name) == ("n.ome.zarr DAPI", "n.ome.zarr GFP")
    assert green.multiscale
    assert green.data[0].shape == (80, 96)
    np.testing.assert_allclose(green.scale, [0.125, 0.125])
    np.testing.assert_allclose(green.translate, [-0.1875, -0.1875])
    assert green.contrast_limits == [5, 60000]
    np.testing.assert_allclose(blue.colormap.colors[-1], [0, 0, 1, 1])


def test_planes_and_times_keep_their_steps(rng, tmp_path):
    from napari_edsr._qt.folder.opening import layer_settings

    image = ImageFile(
        rng.random((3, 2, 4, 5), np.float32),
        "TZYX",
        {"T": 2.0, "Z": 1.0, "Y": 0.5, "X": 0.5},
        "nm",
    )
    settings = layer_settings(image, tmp_path / "a.tif")
    assert settings["scale"] == [2.0, 1.0, 0.5, 0.5]
    assert settings["units"] == ["second", "nm", "nm", "nm"]
    plain = layer_settings(ImageFile(image.data, "TZYX"), tmp_path / "a.tif")
    assert plain["units"] == ["pixel"] * 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda o, f: o.source.show_path(str(f / "no")), "There is no folder"),
        (lambda o, f: o.pattern.setText("*.jpg"), "No images in"),
        (lambda o, f: o.output.show_path(str(f)), "is the input itself"),
    ],
)
def test_what_cannot_be_done_is_said_beforehand(
    widget, choose, folder, qtbot, change, reason
):
    options = choose(widget, folder)
    with qtbot.waitSignal(widget.folder.scout.failed, timeout=WAIT):
        options.skip.setChecked(False)
        change(options, folder)
        options.changed.emit()
    assert reason in options.found.text()
    assert not options.run.isEnabled()


def test_a_model_that_is_missing_is_said_until_there_is_one(
    widget, choose, folder, model_file
):
    options = choose(widget, folder)
    models = widget.controls.models
    models.set_value("snu/edsr_baseline_x2")
    assert options.found.text().startswith("Download the model first")
    assert not options.run.isEnabled()
    models.set_value(model_file().key)
    assert options.found.text().startswith("3 images,")
    assert options.run.isEnabled()


def test_nothing_is_asked_for_before_a_folder_is_chosen(widget):
    options = widget.controls.folder
    assert options.found.text() == "Choose a folder of images."
    assert not options.run.isEnabled()
    widget.controls.scale.button(3).click()
    assert options.output.path() == ""


def test_the_place_of_the_results_follows_the_scale_until_it_is_chosen(
    widget, choose, folder, tmp_path
):
    options = choose(widget, folder)
    widget.controls.scale.button(3).click()
    assert options.output.path() == str(tmp_path / "cells_x3")
    options.output.line.setText(str(tmp_path / "mine"))
    options.output.line.editingFinished.emit()
    widget.controls.scale.button(4).click()
    assert options.output.path() == str(tmp_path / "mine")
    options.output.line.setText("")
    options.output.line.editingFinished.emit()
    assert options.output.path() == str(tmp_path / "cells_x4")


def test_folders_are_chosen_in_a_dialog(widget, folder, monkeypatch, qtbot, tmp_path):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(folder))
    options = widget.controls.folder
    with qtbot.waitSignal(widget.folder.scout.found, timeout=WAIT):
        options.source.browse.click()
    assert options.source.path() == str(folder)
    assert widget.controls.folder.summary() == "cells"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: "")
    options.output.browse.click()
    assert options.output.path() == str(tmp_path / "cells_x2")


def test_closing_the_dock_ends_the_run(widget, choose, folder, qtbot, monkeypatch):
    choose(widget, folder)
    session = widget.folder.session
    with qtbot.waitSignal(session.ended, timeout=WAIT):
        with qtbot.waitSignal(session.file_ended, timeout=WAIT):
            widget.controls.folder.run.click()
        widget.stop_all()
    assert not widget.is_running


def test_a_full_disk_is_told_before_it_is_filled(
    widget, choose, folder, qtbot, monkeypatch
):
    from napari_edsr import disk

    choose(widget, folder)
    monkeypatch.setattr(disk, "free_bytes", lambda path: 1000)
    options = widget.controls.folder
    with qtbot.waitSignal(widget.folder.scout.failed, timeout=WAIT):
        options.changed.emit()
    assert "1.0 kB are free" in options.found.text()


def test_progress_counts_pixels():
    from napari_edsr.events import TileDone

    half = jobs._progress(0.0, 2, [30, 10, 0], 40, TileDone(1, 2, ()))
    assert (half.share, half.number, half.total) == (35 / 40, 2, 3)
    unfit = jobs._progress(0.0, 3, [30, 10, 0], 40, TileDone(2, 2, ()))
    assert unfit.share == 1


def test_old_tiffs_of_others_are_read(widget, choose, run_folder, tmp_path, rng):
    place = tmp_path / "others"
    place.mkdir()
    tifffile.imwrite(place / "plain.tif", rng.integers(0, 255, (9, 7), np.uint8))
    choose(widget, place)
    run_folder(widget)
    assert files.read_image(tmp_path / "others_x2" / "plain.tif").data.shape == (18, 14)


def test_long_names_leave_room_for_what_became_of_them(widget, qtbot):
    from pathlib import Path

    from napari_edsr.file_jobs import Job

    shown = widget.panel.files
    path = Path("/a") / ("x" * 200 + ".tif")
    shown.add(jobs.FileOutcome(Job(path, path), jobs.DONE, "2.3 s"))
    shown.resize(280, 100)
    assert shown.horizontalScrollBarPolicy() != Qt.ScrollBarPolicy.ScrollBarAlwaysOn
    assert shown.columnWidth(0) + shown.columnWidth(1) <= shown.viewport().width()
