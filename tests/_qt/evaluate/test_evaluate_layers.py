"""What is made of the figures: maps, files, and layers for the Compare dock."""

from __future__ import annotations

import codecs
import csv

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_edsr._qt.news import layer_news
from napari_edsr.events import ImageDone
from napari_edsr.metrics import psnr, ssim_map
from napari_edsr.resampling import imresize

WAIT = 60_000


@pytest.mark.promise("as layers over the truth")
def test_maps_lie_over_the_truth(dock, viewer, press, truth, noisy):
    candidate = noisy()
    place = {"scale": (0.2, 0.4), "rotate": 10, "units": ("um", "um")}
    viewer.add_image(truth, name="truth", translate=(3, 4), **place)
    corner = viewer.layers["truth"].data_to_world((6, 9))
    viewer.add_image(candidate[6:, 9:], name="mine", translate=corner, **place)
    press(dock)
    press(dock, dock.panel.error_map)
    press(dock, dock.panel.ssim_map)

    error, similarity = viewer.layers["mine error"], viewer.layers["mine SSIM"]
    pair = candidate[6:, 9:].astype(float), truth[6:, 9:].astype(float)
    np.testing.assert_array_equal(error.data, (pair[0] - pair[1]).astype(np.float32))
    np.testing.assert_array_equal(similarity.data, ssim_map(*pair, data_range=255))
    for layer in (error, similarity):
        np.testing.assert_allclose(layer.data_to_world((0, 0)), corner)
        np.testing.assert_allclose(
            layer.data_to_world((5, 7)), viewer.layers["mine"].data_to_world((5, 7))
        )
        assert layer.units == viewer.layers["truth"].units
    low, high = error.contrast_limits
    assert low == -high
    assert tuple(similarity.contrast_limits) == (0, 1)


@pytest.mark.promise("where the chosen candidate is wrong")
def test_map_is_of_the_chosen_line(dock, viewer, press, truth, low):
    viewer.add_image(truth, name="truth")
    viewer.add_image(low, name="low")
    viewer.add_image(truth, name="mine")
    press(dock)
    dock.panel.table.setCurrentItem(dock.panel.table.topLevelItem(1))
    press(dock, dock.panel.error_map)
    expected = imresize(low, 2.0).astype(np.float32) - truth
    np.testing.assert_array_equal(viewer.layers["bicubic error"].data, expected)


def test_maps_of_a_stack_of_colours(dock, viewer, press, rng):
    truth = rng.integers(0, 256, (2, 16, 20, 3), np.uint8)
    other = rng.integers(0, 256, (2, 16, 20, 3), np.uint8)
    viewer.add_image(truth, name="truth", rgb=True)
    viewer.add_image(other, name="mine", rgb=True)
    press(dock)
    press(dock, dock.panel.error_map)
    expected = (other.astype(float) - truth).mean(axis=-1)
    np.testing.assert_allclose(viewer.layers["mine error"].data, expected, rtol=1e-6)


def test_maps_are_no_candidates(dock, viewer, press, truth, noisy):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    press(dock)
    press(dock, dock.panel.error_map)
    assert dock.controls.candidates.count() == 1


@pytest.mark.promise("can be copied or saved as CSV")
def test_csv_holds_every_figure_in_full(
    dock, viewer, press, tmp_path, monkeypatch, truth, noisy
):
    stack = np.stack([noisy(2), noisy(9)])
    viewer.add_image(np.stack([truth] * 2), name="truth")
    viewer.add_image(stack, name='µ, "mine" ×2')
    press(dock)
    path = tmp_path / "figures.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(path), ""))
    dock.panel.csv.click()

    assert path.read_bytes().startswith(codecs.BOM_UTF8)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    expected = [psnr(plane, truth, data_range=255) for plane in stack]
    assert [row["plane"] for row in rows] == ["mean", "0", "1"]
    assert {row["name"] for row in rows} == {'µ, "mine" ×2'}
    assert [float(row["psnr_db"]) for row in rows] == pytest.approx(
        [np.mean(expected), *expected], rel=1e-9
    )
    assert {row["protocol"] for row in rows} == {"microscopy"}
    assert {row["data_range"] for row in rows} == {"255.0"}


@pytest.mark.promise("can be copied or saved as CSV")
def test_copy_puts_the_table_on_the_clipboard(dock, viewer, press, qapp, truth, noisy):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mi\tne\n2")
    press(dock)
    dock.panel.copy.click()
    heading, line = qapp.clipboard().text().split("\n")
    assert heading.split("\t")[:3] == ["Name", "Plane", "PSNR dB"]
    assert line.split("\t")[:3] == [
        "mi ne 2",
        "mean",
        f"{dock.evaluation.rows[0].mean.psnr:.2f}",
    ]


def test_cancel_keeps_the_figures_of_before(
    dock, viewer, press, qtbot, monkeypatch, truth, noisy
):
    from napari_edsr._qt.evaluate import widget as module

    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    press(dock)
    before = dock.evaluation

    def endless(request):
        while True:
            yield ImageDone(1, 100)

    monkeypatch.setattr(module, "iter_measure", endless)
    with qtbot.waitSignal(dock.session.progressed, timeout=WAIT):
        dock.panel.measure.click()
    with qtbot.waitSignal(dock.session.stopped, timeout=WAIT):
        dock.panel.progress.cancel.click()
    qtbot.waitUntil(lambda: not dock.session.is_running, timeout=WAIT)
    assert dock.evaluation is before
    assert dock.panel.said.text().startswith("Stopped")


# handing over


@pytest.fixture
def handed_over():
    """What the Compare dock is given."""
    given = []
    layer_news().to_compare.connect(given.append)
    yield given
    layer_news().to_compare.disconnect(given.append)


@pytest.mark.promise(
    "opens it beside the truth in the Compare dock, at its worst plane"
)
def test_compare_takes_the_chosen_candidate_at_its_worst_plane(
    dock, viewer, press, truth, noisy, handed_over
):
    viewer.add_image(np.stack([truth] * 3), name="truth")
    viewer.add_image(np.stack([noisy(2), noisy(30), noisy(9)]), name="mine")
    press(dock)
    dock.panel.compare.click()
    assert handed_over == [[viewer.layers["truth"], viewer.layers["mine"]]]
    assert viewer.dims.current_step[0] == 1


def test_compare_makes_a_layer_of_a_baseline_once(
    dock, viewer, press, truth, low, handed_over
):
    viewer.add_image(truth, name="truth")
    source = viewer.add_image(low, name="low", colormap="green")
    press(dock)
    press(dock, dock.panel.compare)
    dock.panel.compare.click()

    made = viewer.layers["low ×2 (bicubic)"]
    np.testing.assert_array_equal(made.data, imresize(low, 2.0))
    np.testing.assert_allclose(
        made.data_to_world((0.5, 0.5)), source.data_to_world((0, 0))
    )
    assert made.colormap.name == "green"
    assert handed_over == [[viewer.layers["truth"], made]] * 2
    assert dock.controls.candidates.count() == 1


def test_compare_says_why_it_does_nothing(
    dock, viewer, press, truth, noisy, handed_over
):
    right = viewer.add_image(truth, name="truth")
    mine = viewer.add_image(noisy(), name="mine")
    viewer.add_image(noisy(), name="other")
    dock.panel.live.setChecked(False)
    press(dock)
    dock.controls.truth.set_value(id(mine))
    dock.panel.compare.click()
    assert dock.panel.said.text() == "mine is the truth now; choose another line."
    dock.controls.truth.set_value(id(right))
    viewer.layers.remove(mine)
    dock.panel.compare.click()
    assert dock.panel.said.text() == "mine is no longer open; measure again."
    viewer.layers.clear()
    dock.panel.compare.click()
    assert dock.panel.said.text() == "Choose the layer that holds the truth."
    assert handed_over == []


def test_compare_of_a_baseline_waits_for_the_job_at_work(
    dock, viewer, press, qtbot, monkeypatch, truth, low
):
    from napari_edsr._qt.evaluate import layer_maker

    viewer.add_image(truth, name="truth")
    viewer.add_image(low, name="low")
    press(dock)

    def endless(*_):
        while True:
            yield ImageDone(1, 100)

    monkeypatch.setattr(layer_maker, "iter_map", endless)
    with qtbot.waitSignal(dock.session.progressed, timeout=WAIT):
        dock.panel.error_map.click()
    dock.panel.compare.click()
    assert "Wait for what is being done" in dock.panel.said.text()
    dock.panel.progress.cancel.click()
    qtbot.waitUntil(lambda: not dock.session.is_running, timeout=WAIT)
