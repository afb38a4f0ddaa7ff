"""What the dock measures, against figures computed by hand."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy import ndimage
from skimage import data
from skimage.metrics import structural_similarity

from napari_edsr._qt.layers import METADATA_KEY, result_settings
from napari_edsr.metrics import score
from napari_edsr.resampling import imresize

WAIT = 60_000


def decibels(a, b, white=255):
    error = np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(white**2 / error)


def near(value):
    return pytest.approx(value, rel=1e-9)


def values(one):
    """All numbers of a score."""
    return {k: v for k, v in asdict(one).items() if not isinstance(v, str)}


def choose(dock, **values):
    """Set rules by their controls."""
    for name, value in values.items():
        control = getattr(dock.controls.rules, name)
        setter = getattr(control, "set_value", None) or control.setValue
        setter(value)


@pytest.mark.promise(
    "compares layers with one that is right",
    "Choose it, and press **Measure**.",
    "bicubic interpolation and repeated pixels of the low-resolution layer as "
    "baselines",
    "PSNR, SSIM, decibels over bicubic, errors",
)
def test_figures_of_candidates_and_baselines(
    dock, viewer, press, table, truth, low, noisy
):
    viewer.add_image(truth, name="truth")
    viewer.add_image(low, name="low")
    candidate = noisy()
    viewer.add_image(candidate, name="mine")
    dock.controls.nearest.setChecked(True)
    press(dock)

    bicubic, nearest = imresize(low, 2.0), low.repeat(2, 0).repeat(2, 1)
    expected = [
        ("mine", candidate),
        ("bicubic", bicubic),
        ("nearest", nearest),
    ]
    lines = table(dock)
    assert [line[0] for line in lines] == [name for name, _ in expected]
    for line, (_, image) in zip(lines, expected, strict=True):
        gain = decibels(image, truth) - decibels(bicubic, truth)
        similarity = structural_similarity(
            image.astype(float),
            truth.astype(float),
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert float(line[1]) == pytest.approx(decibels(image, truth), abs=0.006)
        assert float(line[2]) == pytest.approx(similarity, abs=6e-5)
        assert float(line[3]) == pytest.approx(gain, abs=0.006)


def test_result_is_measured_against_a_truth_that_knows_no_place(
    dock, viewer, press, table, truth, low
):
    viewer.add_image(truth, name="gt")
    source = viewer.add_image(low, name="low")
    result = imresize(low, 2.0)
    viewer.add_image(result, name="low ×2", **result_settings(source, 2))
    press(dock)

    assert table(dock)[0][:4] == [
        "low ×2",
        table(dock)[1][1],
        table(dock)[1][2],
        "0.00",
    ]
    assert "aligned by size" in dock.controls.described.text()


@pytest.mark.promise("they are laid on the truth by their place in the world")
def test_only_the_overlap_in_the_world_is_measured(dock, viewer, press, truth, noisy):
    candidate = noisy()
    viewer.add_image(truth, name="truth", scale=(0.1, 0.1))
    viewer.add_image(
        candidate[8:, 10:], name="part", scale=(0.1, 0.1), translate=(0.8, 1.0)
    )
    press(dock)
    (row,) = dock.evaluation.rows
    assert row.mean.psnr == near(decibels(candidate[8:, 10:], truth[8:, 10:]))
    assert "86 × 56 px" in dock.controls.described.text()


@pytest.mark.promise("only what all of them cover is measured")
def test_all_candidates_are_measured_on_what_they_share(
    dock, viewer, press, truth, noisy
):
    one, two = noisy(3), noisy(6)
    viewer.add_image(truth, name="truth")
    viewer.add_image(one, name="one")
    viewer.add_image(two[:40], name="two")
    press(dock)
    row = dock.evaluation.row(id(viewer.layers["one"]))
    assert row.mean.psnr == near(decibels(one[:40], truth[:40]))


@pytest.mark.promise("a stack folds out into its planes")
def test_planes_fold_out_and_show_themselves(dock, viewer, press, table, truth, noisy):
    stack = np.stack([noisy(2), truth, noisy(9)])
    viewer.add_image(np.stack([truth] * 3), name="truth", translate=(10, 0, 0))
    viewer.add_image(stack, name="stack", translate=(10, 0, 0))
    press(dock)

    lines = table(dock)
    expected = [decibels(plane, truth) for plane in stack]
    assert [line[0] for line in lines] == ["stack", "plane 0", "plane 1", "plane 2"]
    assert [line[1] for line in lines[1:]] == [f"{value:.2f}" for value in expected]
    assert lines[0][1] == "inf"

    shown = dock.panel.table
    shown.setCurrentItem(shown.topLevelItem(0).child(2))
    assert viewer.dims.current_step[0] == 2


@pytest.mark.promise("sorts by any column")
def test_lines_sort_by_number(dock, viewer, press, table, truth, noisy):
    viewer.add_image(truth, name="truth")
    for name, spread in (("far", 30), ("near", 1), ("same", 0), ("middle", 9)):
        viewer.add_image(noisy(spread), name=name)
    press(dock)
    shown = dock.panel.table
    shown.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert [line[0] for line in table(dock)] == ["same", "near", "middle", "far"]
    press(dock)
    assert [line[0] for line in table(dock)] == ["same", "near", "middle", "far"]


@pytest.mark.promise("border, colour, data range")
def test_border_and_data_range_are_those_set(dock, viewer, press, truth, noisy):
    candidate = noisy()
    viewer.add_image(truth, name="truth")
    viewer.add_image(candidate, name="mine")
    choose(dock, border=7, data_range="given", white=100)
    press(dock)
    inner = (slice(7, -7), slice(7, -7))
    (row,) = dock.evaluation.rows
    assert row.mean.psnr == near(decibels(candidate[inner], truth[inner], 100))
    assert (row.mean.border, row.mean.data_range) == (7, 100)


def test_range_of_floats_is_that_of_the_whole_truth(dock, viewer, press, truth):
    stack = np.stack([truth / 4.0, truth * 2.0])
    viewer.add_image(stack, name="truth")
    viewer.add_image(stack + 1, name="mine")
    press(dock)
    white = float(stack.max() - stack.min())
    (row,) = dock.evaluation.rows
    assert [plane.score.data_range for plane in row.planes] == [white, white]
    assert row.planes[0].score.psnr == pytest.approx(20 * math.log10(white))


@pytest.mark.promise("what is done to the images first")
def test_protocols_of_the_literature(dock, viewer, press, truth, low):
    colours = np.stack([truth, truth[::-1], truth[:, ::-1]], axis=-1)
    small = imresize(colours, 0.5)
    viewer.add_image(colours, name="truth")
    viewer.add_image(small, name="low")
    for protocol in ("mmagic", "edsr-y", "edsr-div2k"):
        dock.controls.protocol.set_value(protocol)
        press(dock)
        expected = score(imresize(small, 2.0), colours, scale=2, protocol=protocol)
        (row,) = dock.evaluation.rows
        assert values(row.mean) == near(values(expected))
        assert (row.mean.protocol, row.mean.colour) == (protocol, expected.colour)


@pytest.mark.promise("border, colour, data range")
def test_luma_is_measured_if_asked_for(dock, viewer, press, truth, noisy):
    colours = np.stack([truth, truth[::-1], truth[:, ::-1]], axis=-1)
    other = np.stack([noisy(), noisy()[::-1], noisy()[:, ::-1]], axis=-1)
    viewer.add_image(colours, name="truth")
    viewer.add_image(other, name="mine")
    choose(dock, colour="Y")
    press(dock)
    (row,) = dock.evaluation.rows
    expected = score(other, colours, protocol="microscopy", colour="Y")
    assert values(row.mean) == near(values(expected))


@pytest.mark.promise(
    "*Register first* finds shifts to parts of a pixel, undoes them and says "
    "what they were"
)
def test_registration_undoes_a_shift_and_says_it(dock, viewer, press):
    scene = data.camera()[100:300, 100:340].astype(np.float32)
    shifted = ndimage.shift(scene, (0.6, -1.3), order=3, mode="mirror")
    viewer.add_image(scene, name="truth")
    viewer.add_image(shifted, name="moved")
    press(dock)
    before = dock.evaluation.rows[0].mean.psnr
    dock.controls.rules.register.setChecked(True)
    press(dock)
    (row,) = dock.evaluation.rows
    np.testing.assert_allclose(row.shift, (0.6, -1.3), atol=0.06)
    assert row.mean.psnr > before + 10
    assert dock.evaluation.request.region == {"Y": (2, 198), "X": (2, 238)}
    assert "Moved was shifted by +0.6" in dock.panel.summary.text()


def test_too_large_a_shift_is_refused(dock, viewer, press):
    scene = data.camera()[:300, :300].astype(np.float32)
    viewer.add_image(scene, name="truth")
    viewer.add_image(np.roll(scene, (50, 0), (0, 1)), name="moved")
    dock.controls.rules.register.setChecked(True)
    press(dock)
    assert dock.errors_shown == [
        "Moved seems to lie 50 rows and 0 columns off; correct its position, or do not "
        "register it."
    ]


def test_place_between_pixels_is_interpolated(dock, viewer, press):
    scene = data.camera()[100:200, 100:240].astype(np.float32)
    half = ndimage.shift(scene, (0, -0.5), order=3, mode="mirror")
    viewer.add_image(scene, name="truth")
    viewer.add_image(half, name="half", translate=(0, 0.5))
    choose(dock, border=12)
    press(dock)
    inner = (slice(12, -12), slice(12, -12))
    (row,) = dock.evaluation.rows
    assert row.mean.psnr > decibels(half[inner], scene[inner], row.mean.data_range) + 5
    assert "what lies between pixels is interpolated" in dock.controls.described.text()


# what follows from a change


@pytest.mark.promise("follows the layers")
def test_figures_follow_the_pixels(dock, viewer, press, qtbot, truth, noisy):
    viewer.add_image(truth, name="truth")
    layer = viewer.add_image(noisy(), name="mine")
    press(dock)
    other = noisy(20)
    layer.data = other
    qtbot.waitUntil(
        lambda: dock.evaluation.rows[0].mean.psnr == near(decibels(other, truth)),
        timeout=WAIT,
    )


def test_figures_stay_if_they_are_not_to_follow(dock, viewer, press, truth, noisy):
    viewer.add_image(truth, name="truth")
    layer = viewer.add_image(noisy(), name="mine")
    dock.panel.live.setChecked(False)
    press(dock)
    layer.data = noisy(20)
    assert not dock._anew.isActive()


def test_change_while_they_were_not_to_follow_is_measured_when_they_are(
    dock, viewer, press, qtbot, truth, noisy
):
    viewer.add_image(truth, name="truth")
    layer = viewer.add_image(noisy(), name="mine")
    press(dock)
    dock.panel.live.setChecked(False)
    other = layer.data = noisy(20)
    dock.panel.live.setChecked(True)
    qtbot.waitUntil(
        lambda: dock.evaluation.rows[0].mean.psnr == near(decibels(other, truth)),
        timeout=WAIT,
    )


def test_masks_are_measured_without_bicubic(dock, viewer, press, table, truth, low):
    viewer.add_image(truth > 100, name="truth")
    viewer.add_image(truth > 110, name="mine")
    viewer.add_image(low > 100, name="low")
    dock.controls.nearest.setChecked(True)
    press(dock)
    assert [line[0] for line in table(dock)] == ["mine", "nearest"]
    assert "Bicubic is left out" in dock.controls.described.text()
    assert dock.errors_shown == []


@pytest.mark.fault(
    "Layers and docks: measured layer deleted", "It leaves the table; the others stay."
)
def test_deleted_candidate_leaves_the_table(
    dock, viewer, press, qtbot, table, truth, noisy
):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="one")
    viewer.add_image(noisy(), name="two")
    press(dock)
    viewer.layers.remove("one")
    qtbot.waitUntil(lambda: [line[0] for line in table(dock)] == ["two"], timeout=WAIT)


def test_result_in_the_making_waits_until_it_is_complete(
    dock, viewer, press, qtbot, truth, noisy
):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="one")
    result = viewer.add_image(
        noisy(20), name="two", metadata={METADATA_KEY: {"partial": True}}
    )
    press(dock)
    assert [row.name for row in dock.evaluation.rows] == ["one"]
    result.metadata[METADATA_KEY]["partial"] = False
    result.events.data(value=result.data)
    qtbot.waitUntil(lambda: len(dock.evaluation.rows) == 2, timeout=WAIT)
