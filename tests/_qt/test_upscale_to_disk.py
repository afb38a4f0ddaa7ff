"""Results that go to a file: the layer that shows it, stopping, and going on."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog
from stored_files import choose_file

from napari_edsr import files, upscale
from napari_edsr import plan as tile_plan
from napari_edsr._qt import live, planning
from napari_edsr._qt.layers import METADATA_KEY
from napari_edsr.errors import FileError
from napari_edsr.files import napari_write
from napari_edsr.stores import plan, pyramid
from napari_edsr.stores.read import read_zarr
from napari_edsr.stores.result import levels

WAIT = 30_000


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of 64 rows, in bands of four, and levels from 32 pixels; no pool of dask."""
    monkeypatch.setattr(tile_plan, "_BAND_PIXELS", 4 * 48)
    monkeypatch.setattr(plan, "_CHUNK", 128)
    monkeypatch.setattr(plan, "UNIT_PIXELS", 64 * 64)
    monkeypatch.setattr(pyramid, "_SMALLEST", 32)
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def image(rng):
    return rng.integers(0, 2**16, (300, 48), np.uint16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cells_x2.ome.zarr"


@pytest.fixture
def widget(make_widget, path):
    widget = make_widget()
    widget.controls.speed.tile.setValue(0)
    choose_file(widget, path.with_name("elsewhere.ome.zarr"))
    return widget


def pixels(path):
    """What lies on the disk, but for how it came about."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "zarr.json"
    }


def expected(widget, data, **options):
    choices = widget.controls.choices()
    return upscale(data, choices.model.key, scale=choices.scale, **options)


def stop_after(qtbot, widget, parts):
    """Begin a run, and cancel it when so many parts have been reported."""

    def on_tile(request, tile):
        if tile.done == parts:
            widget.panel.progress.cancel.click()

    tiles = widget.session.runner.tile_done
    tiles.connect(on_tile)
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.panel.upscale.click()
    tiles.disconnect(on_tile)


def extent(layer):
    """Outer edges of its pixels in the world."""
    return layer._extent_world_augmented[:, -2:]


def test_its_layer_is_there_before_it_is_drawn(widget, viewer, run, image):
    viewer.add_image(image, name="cells")
    seen = []
    viewer.layers.events.inserted.connect(
        lambda event: seen.append(event.value.visible)
    )
    run(widget)
    assert [*seen, viewer.layers[-1].visible] == [False, True]


@pytest.mark.promise("in memory, or to an OME-Zarr (`.ome.zarr`, extra `large`)")
def test_the_file_holds_the_pixels_of_a_run_in_memory(widget, viewer, run, image, path):
    source = viewer.add_image(
        image,
        name="cells",
        scale=(0.5, 0.25),
        translate=(7, 9),
        units="um",
        colormap="green",
        contrast_limits=(9, 999),
        metadata={"sample": "A1"},
    )
    run(widget)

    result = viewer.layers[-1]
    want = expected(widget, image)
    assert result.multiscale and len(result.data) > 2
    np.testing.assert_array_equal(np.asarray(result.data[0]), want)
    np.testing.assert_allclose(extent(result), extent(source))
    assert (result.colormap.name, result.contrast_limits) == ("green", [9, 999])
    assert result.metadata["sample"] == "A1"
    about = result.metadata[METADATA_KEY]
    assert (about["partial"], about["source"], about["scale"]) == (False, "cells", 2)
    file = read_zarr(path)
    np.testing.assert_array_equal(np.asarray(file.data), want)
    assert file.pixel_size == {"Y": 0.25, "X": 0.125} and file.unit == "µm"
    assert file.metadata["origin"] == {"Y": 7 - 0.125, "X": 9 - 0.0625}
    assert file.contrast_limits == [(9, 999)]
    assert "Done" in widget.panel.outcome.text()


@pytest.mark.parametrize("shape", [(90, 40, 3), (2, 60, 40)])
def test_colour_and_stacks(widget, viewer, run, rng, shape):
    data = rng.integers(0, 256, shape, np.uint8)
    source = viewer.add_image(data, rgb=shape[-1] == 3)

    run(widget)

    result = viewer.layers[-1]
    axes = "YXS" if shape[-1] == 3 else "ZYX"
    np.testing.assert_array_equal(
        np.asarray(result.data[0]), expected(widget, data, axes=axes)
    )
    assert result.rgb == source.rgb
    np.testing.assert_allclose(extent(result), extent(source))


def test_a_part_lies_where_it_was_cut(widget, viewer, run, image):
    layer = viewer.add_image(image, scale=(0.5, 0.5), rotate=30)
    layer.corner_pixels = np.array([[3, 5], [130, 37]])
    widget.controls.region.part.button("view").click()

    run(widget)

    result = viewer.layers[-1]
    whole = expected(widget, image)
    np.testing.assert_array_equal(np.asarray(result.data[0]), whole[6:262, 10:76])
    np.testing.assert_allclose(
        result.data_to_world((0.5, 0.5)), layer.data_to_world((3, 5))
    )


@pytest.mark.promise(
    "Its layer has several resolutions and fills while the run goes on."
)
def test_what_is_finished_shows_while_the_rest_is_made(
    qtbot, widget, viewer, image, path
):
    viewer.add_image(image, name="cells", contrast_limits=(0, 65535))
    want = expected(widget, image)
    seen = []

    def look(request, tile):
        layer = viewer.layers[-1]
        done = np.asarray(layer.data[0])
        filled = int((done == want).all(axis=1).sum())
        seen.append((layer.multiscale, filled, done[-1].max()))

    widget.session.runner.tile_done.connect(look)
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.panel.upscale.click()

    filled = [rows for _, rows, _ in seen]
    assert all(is_multiscale for is_multiscale, _, _ in seen)
    assert filled == sorted(filled) and filled[-1] == 600
    assert any(128 <= rows < 600 and last == 0 for _, rows, last in seen)


@pytest.mark.parametrize("level", [0, -1])
def test_redraws_show_what_was_missing(
    qtbot, widget, viewer, image, path, monkeypatch, level
):
    """At the coarsest level as well, which napari reads only once."""
    monkeypatch.setattr(live, "_FILE_PAUSE", 0.0)
    monkeypatch.setattr(live.RedrawBudget, "allows_another", lambda self: True)
    viewer.add_image(image, name="cells", contrast_limits=(0, 65535))
    shown = []

    def choose_level(request, image):
        layer = viewer.layers[-1]
        layer.data_level = range(len(layer.data))[level]
        layer.corner_pixels = np.array([(0, 0), layer.level_shapes[level] - 1])

    def look(request, tile):
        shown.append(viewer.layers[-1]._slice.image.raw.copy())

    widget.session.runner.placeholder.connect(choose_level)
    widget.session.runner.tile_done.connect(look)
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.panel.upscale.click()

    assert any(rows[0].all() and not rows[-1].any() for rows in shown)
    last = viewer.layers[-1]._slice.image.raw
    np.testing.assert_array_equal(last, np.asarray(levels(path, "YX")[level]))


@pytest.mark.parametrize("touched", [False, True])
def test_the_source_is_seen_where_nothing_is_done_yet(
    qtbot, widget, viewer, run, image, touched
):
    viewer.add_image(image, name="cells", colormap="green", contrast_limits=(0, 65535))
    stop_after(qtbot, widget, 30)
    result = viewer.layers[-1]
    assert result.colormap.low_color[3] == 0
    assert 0 < result.contrast_limits[0] < 10

    def touch(request, image):
        viewer.layers[-1].contrast_limits = (5, 500)
        viewer.layers[-1].colormap = "red"

    if touched:
        widget.session.runner.placeholder.connect(touch)
    run(widget)

    result = viewer.layers[-1]
    look = result.colormap.name, tuple(result.contrast_limits)
    assert look == (("red", (5, 500)) if touched else ("green", (0, 65535)))
    assert viewer.layers["cells"].colormap.low_color is None


@pytest.mark.promise(
    "*Cancel* keeps what is done; with the same layer, settings and file the "
    "button then reads **Resume (37 %)**",
    "the file ends with the same bytes",
)
@pytest.mark.fault(
    "Stopping: a run to a file cancelled in the dock",
    "Started again, it goes on and ends with the same bytes as a run in one go.",
)
def test_cancel_keeps_what_is_done_and_resume_ends_with_the_same_bytes(
    qtbot, widget, viewer, run, image, path, tmp_path
):
    viewer.add_image(image, name="cells")
    choose_file(widget, tmp_path / "whole.ome.zarr")
    run(widget)
    choose_file(widget, path)

    stop_after(qtbot, widget, 50)

    assert widget.panel.outcome.text() == (
        "Stopped. cells_x2.ome.zarr keeps what is done; Resume goes on from there."
    )
    assert viewer.layers[-1].metadata[METADATA_KEY]["partial"]
    label = widget.panel.upscale.text().replace("&", "")
    share = float(label.removeprefix("Resume (").removesuffix(" %)"))
    assert 0 < share < 100
    assert widget.panel.anew.isVisibleTo(widget)
    count, shares = len(viewer.layers), []
    widget.session.progressed.connect(lambda share, text: shares.append(share))

    run(widget)

    assert min(shares) >= share / 100 and shares[-1] == pytest.approx(1)
    assert len(viewer.layers) == count
    assert not viewer.layers[-1].metadata[METADATA_KEY]["partial"]
    assert pixels(path) == pixels(tmp_path / "whole.ome.zarr")


@pytest.mark.promise("after a restart too")
def test_another_dock_resumes_what_one_began(
    qtbot, widget, make_widget, viewer, run, image, path
):
    image = image[:100]
    viewer.add_image(image, name="cells")
    choose_file(widget, path)
    stop_after(qtbot, widget, 18)
    del viewer.layers[1:]
    widget.close()

    restarted = make_widget()
    restarted.controls.speed.tile.setValue(0)
    choose_file(restarted, path)
    assert "Res" in restarted.panel.upscale.text()
    shares = []
    restarted.session.progressed.connect(lambda share, text: shares.append(share))
    run(restarted)

    assert shares[0] >= 0.5
    result = np.asarray(viewer.layers[-1].data[0])
    np.testing.assert_array_equal(result, expected(restarted, image))


def test_a_finished_file_is_opened(widget, viewer, run, image, path):
    viewer.add_image(image, name="cells")
    run(widget)
    del viewer.layers[-1]
    before = pixels(path)
    assert widget.panel.upscale.text() == "Open res&ult"

    run(widget)

    assert widget.panel.outcome.text() == (
        "cells_x2.ome.zarr was complete already, and was opened."
    )
    np.testing.assert_array_equal(
        np.asarray(viewer.layers[-1].data[0]), expected(widget, image)
    )
    assert pixels(path) == before


@pytest.mark.promise("*Start anew* replaces a file made with other settings.")
def test_other_settings_are_told_and_can_start_anew(widget, viewer, run, image, path):
    viewer.add_image(image, name="cells")
    run(widget)
    widget.controls.intensities.method.set_value("dtype")

    assert not widget.panel.upscale.isEnabled()
    assert widget.panel.reason.text() == (
        "cells_x2.ome.zarr was made with normalize=auto; name another file, or start anew."
    )

    run(widget, widget.panel.anew)

    assert [layer.name for layer in viewer.layers] == ["cells", "cells ×2 (tiny_x2)"]
    np.testing.assert_array_equal(
        np.asarray(viewer.layers[-1].data[0]),
        expected(widget, image, normalize="dtype"),
    )


def test_another_image_is_told_and_can_start_anew(
    widget, viewer, run, image, path, errors_shown
):
    layer = viewer.add_image(image, name="cells")
    run(widget)
    before = pixels(path)
    layer.data = image[::-1].copy()

    run(widget)

    assert "was made with another image" in widget.panel.error.message.text()
    assert "press Start anew" in widget.panel.error.message.text()
    assert pixels(path) == before
    run(widget, widget.panel.anew)
    np.testing.assert_array_equal(
        np.asarray(viewer.layers[-1].data[0]), expected(widget, image[::-1])
    )


@pytest.mark.fault(
    "Disk: something else stands at the output",
    "It is left alone, and the dock says to choose another.",
)
def test_what_is_not_from_here_stays(widget, viewer, image, path):
    path.mkdir()
    viewer.add_image(image, name="cells")

    assert not widget.panel.upscale.isEnabled()
    assert "not from here" in widget.panel.reason.text()
    assert not widget.panel.anew.isVisibleTo(widget)


@pytest.mark.promise(
    "A result that does not fit into memory goes to a file: the dock chooses "
    "that by itself"
)
def test_where_memory_does_not_suffice_a_file_is_used(
    make_widget, viewer, image, monkeypatch, tmp_path, run
):
    widget, free = make_widget(), [10**12]
    widget.controls.speed.tile.setValue(48)  # few tiles, and few files
    monkeypatch.setattr(planning, "free_memory", lambda: free[0])
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    layer = viewer.add_image(image, name="cells")
    output = widget.controls.output
    assert output.value() == ""

    free[0] = 100_000
    layer.contrast_limits = (0, 9)

    assert output.value() == str(tmp_path / "cells_x2.ome.zarr")
    assert output.note.text() == (
        "It takes 115 kB, and 100 kB of memory are free; so it goes to a file."
    )
    assert not output.where.button("memory").isEnabled()
    assert widget.controls.settings()["output"] == "memory"
    assert "zoom in" in widget.panel.reason.text()
    run(widget)
    assert viewer.layers[-1].multiscale

    free[0] = 10**12
    layer.contrast_limits = (0, 99)
    assert output.value() == ""
    assert output.note.text() == ""


@pytest.mark.fault(
    "Disk: a result larger than the memory",
    "It is refused beforehand, with the way to a file.",
)
def test_in_memory_it_is_refused_with_the_way_out(widget, viewer, image, monkeypatch):
    viewer.add_image(image, name="cells")
    monkeypatch.setattr(planning, "free_memory", lambda: 100_000)
    choices = widget.controls.choices()
    with pytest.raises(Exception, match="let it go to a file under Result"):
        planning.plan(viewer, widget.layers(), replace(choices, output=""))


@pytest.mark.promise("the dock chooses that by itself, and names it")
def test_the_file_is_named_after_layer_and_scale(
    make_widget, model_file, viewer, image, tmp_path, monkeypatch
):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    widget = make_widget()
    widget.controls.output.where.button("file").click()
    first = viewer.add_image(image, name="a/b ×2")
    path = widget.controls.output.path
    assert path.text() == str(tmp_path / "a_b_x2_x2.ome.zarr")

    widget.controls.scale.button(3).click()
    assert path.text() == str(tmp_path / "a_b_x2_x3.ome.zarr")

    chosen = tmp_path / "elsewhere"
    chosen.mkdir()
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *a, **k: (str(chosen / "mine"), "")
    )
    widget.controls.output.browse.click()
    assert path.text() == str(chosen / "mine.ome.zarr")
    viewer.add_image(image, name="c")
    assert path.text() == str(chosen / "c_x3.ome.zarr")
    viewer.layers.selection = {first, viewer.layers["c"]}
    assert path.text() == str(chosen)


def test_several_layers_go_to_a_folder(widget, viewer, run, image, tmp_path):
    layers = [viewer.add_image(image[:90], name=name) for name in "ab"]
    choose_file(widget, tmp_path)
    viewer.layers.selection = set(layers)

    run(widget)

    for name in "ab":
        found = read_zarr(tmp_path / f"{name}_x2.ome.zarr")
        np.testing.assert_array_equal(
            np.asarray(found.data), expected(widget, image[:90])
        )


@pytest.mark.fault(
    "Disk: a place that cannot be written chosen in the dock",
    "The dock says so before the run.",
)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none/r.ome.zarr", "There is no folder"),
        ("n" * 300 + "/r.ome.zarr", "There is no folder"),
        ("n" * 300, "End the name of the file in .ome.zarr."),
        ("r.tif", "End the name of the file in .ome.zarr."),
    ],
)
def test_a_place_of_no_use_is_told(widget, viewer, image, tmp_path, name, reason):
    viewer.add_image(image, name="cells")
    choose_file(widget, tmp_path / name)

    assert not widget.panel.upscale.isEnabled()
    assert widget.panel.reason.text().startswith(reason)


def test_uncertainty_is_refused_for_files(widget, viewer, image):
    viewer.add_image(image, name="cells")
    widget.controls.quality.uncertainty.click()

    assert "leave it out under Quality" in widget.panel.reason.text()


@pytest.mark.parametrize("is_multiscale", [False, True])
@pytest.mark.parametrize("to_file", [False, True])
def test_nothing_of_a_lazy_layer_is_computed_on_the_main_thread(
    widget, viewer, run, image, is_multiscale, to_file
):
    main, by_us = threading.get_ident(), []

    def compute(block):
        by_us.append("main" if threading.get_ident() == main else "other")
        return block

    def lazy(array):
        return da.from_array(array, chunks=(64, 48)).map_blocks(
            compute, dtype=array.dtype
        )

    both = [lazy(image), lazy(image[::2, ::2])]
    viewer.add_image(
        both if is_multiscale else both[0],
        name="cells",
        multiscale=is_multiscale,
        contrast_limits=(0, 65535),
        cache=False,
    )
    if not to_file:
        widget.controls.output.where.button("memory").click()
    by_us.clear()
    widget._update()
    planning.plan_preview(viewer, widget.layers(), widget.controls.choices())
    assert by_us == []

    run(widget)
    run(widget, widget.panel.preview)

    assert set(by_us) == {"other"}
    result = viewer.layers[1]
    np.testing.assert_array_equal(
        np.asarray(result.data[0] if to_file else result.data), expected(widget, image)
    )


@pytest.mark.fault(
    "Disk: saving a layer larger than the memory",
    "An error says to save a part or to copy the file.",
)
def test_saving_what_does_not_fit_into_memory_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "free_memory", lambda: 1000)
    with pytest.raises(FileError, match="save a part of it"):
        napari_write(str(tmp_path / "r.tif"), da.zeros((50, 50)), {})
