"""The loupe's pictures and numbers, and what an exported figure holds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image as Picture
from qtpy.QtWidgets import QFileDialog
from superqt.utils import qimage_to_array

from napari_edsr import metrics
from napari_edsr._qt.compare.controls import CURTAIN, GRID, LOUPE
from napari_edsr._qt.compare.figure import ScaleBar
from napari_edsr._qt.compare.tiles import SIDE

WAIT = 30_000


@pytest.fixture
def images(viewer, rng):
    """A truth of 64 x 64 px, and two that are near to it; the last is shifted by 1 px."""
    truth = rng.integers(50, 200, (64, 64), np.uint8)
    noisy = truth + rng.integers(0, 30, (64, 64), np.uint8)
    limits = {"contrast_limits": (0, 255), "scale": (0.1, 0.1), "units": "um"}
    viewer.add_image(noisy, name="noisy", **limits)
    viewer.add_image(truth[:, 1:], name="shifted", translate=(0, 0.1), **limits)
    viewer.add_image(truth, name="truth", **limits)
    viewer.canvas.size = (128, 128)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (3.15, 3.15), 20
    return [layer.data for layer in viewer.layers]


@pytest.fixture
def dock(images, make_dock):
    return make_dock()


@pytest.fixture
def look(dock, mouse, qtbot):
    """`look(y, x)`: the loupe's tiles with the cursor there."""

    def move(*place):
        if dock.mode is None:
            dock.controls.modes.buttons[LOUPE].click()
        with qtbot.waitSignal(dock.mode.seen, timeout=WAIT):
            mouse.hover(*place)
        return [view for view in dock.panel.tiles.views if not view.isHidden()]

    return move


def shown(view):
    return qimage_to_array(view.picture.image)


@pytest.mark.promise("what is under the cursor, magnified, of every ticked layer")
def test_tiles_show_pixels_as_squares_around_the_cursor(look, images):
    views = look(3.25, 3.25)  # the edge between the pixels 32 and 33

    half = SIDE // 16
    for view, image, shift in zip(views, images, (0, 1, 0), strict=True):
        part = image[33 - half : 33 + half, 33 - half - shift : 33 + half - shift]
        squares = part.repeat(8, 0).repeat(8, 1)
        np.testing.assert_allclose(shown(view)[..., 0].astype(int), squares, atol=1)
    assert [view.name.text() for view in views] == ["noisy", "shifted", "truth"]


def test_tiles_have_the_layers_own_colours(look, viewer, images):
    viewer.layers[0].colormap = "green"
    viewer.layers[0].interpolation2d = "linear"
    picture = shown(look(3.25, 3.25)[0])

    half = SIDE // 16
    part = images[0][33 - half : 33 + half, 33 - half : 33 + half]
    np.testing.assert_allclose(
        picture[..., 1].astype(int), part.repeat(8, 0).repeat(8, 1), atol=1
    )
    assert picture[..., [0, 2]].max() == 0


@pytest.mark.promise("with a truth its local PSNR")
def test_scores_are_those_of_the_pixels_shown(look, dock, images):
    views = look(3.25, 3.25)

    half = SIDE // 16
    part = np.s_[33 - half : 33 + half, 33 - half : 33 + half]
    noisy, _, truth = images
    value = metrics.psnr(noisy[part], truth[part], data_range=255)
    scores = [view.score.text() for view in views]
    assert scores == [f"{value:.2f} dB", "identical", "reference"]
    assert "255 (uint8)" in dock.panel.note.text()


def test_no_score_without_a_truth_beside_it_or_of_another_type(look, dock, viewer, rng):
    viewer.layers[0].data = rng.random((64, 64))
    other = look(3.25, 3.25)[0].score.text()
    beside = look(30, 30)[0].score.text()
    dock.controls.truth.set_value(None)

    assert (other, beside) == ("float64, not uint8", "beside the truth")
    assert look(3.25, 3.25)[0].score.isHidden()
    assert dock.panel.note.isHidden()


def test_half_precision_is_measured_between_its_pixels(look, viewer, images):
    for layer in viewer.layers:
        layer.data = (layer.data / 255).astype(np.float16)
    viewer.layers[0].translate = (0.05, 0.05)
    score = look(3.25, 3.25)[0].score.text()

    half = SIDE // 16
    noisy, _, truth = (layer.data.astype(float) for layer in viewer.layers)
    part = noisy[32 - half : 33 + half, 32 - half : 33 + half]
    between = (part[1:, 1:] + part[1:, :-1] + part[:-1, 1:] + part[:-1, :-1]) / 4
    wanted = truth[33 - half : 33 + half, 33 - half : 33 + half]
    value = metrics.psnr(between, wanted, data_range=255)
    assert float(score.removesuffix(" dB")) == pytest.approx(value, abs=0.02)


def test_unknown_pixels_and_types_are_told_in_words(look, viewer, images):
    viewer.layers[0].data = images[0].astype(">u2")
    other = look(3.25, 3.25)[0].score.text()
    for layer in viewer.layers:
        layer.data = layer.data.astype(np.float32)
    viewer.layers[0].data = np.full((64, 64), np.nan)

    assert other == "uint16, not uint8"
    assert look(3.25, 3.25)[0].score.text() == "holds NaN"


def test_magnification_is_that_of_the_smallest_pixel(look, dock, viewer, images):
    viewer.layers[0].scale = (0.2, 0.2)
    dock.controls.loupe.magnification.setValue(4)
    views = look(3.25, 3.25)

    edges = [
        np.flatnonzero(np.diff(shown(view)[0, :, 0].astype(int))) for view in views
    ]
    assert set(np.diff(edges[0]).tolist()) <= {8, 16}
    assert min(np.diff(edges[2])) == 4


def test_loupe_reads_no_more_than_it_shows(viewer, make_dock, mouse, qtbot, counting):
    large = counting(np.zeros((4096, 4096), np.uint8))
    viewer.add_image(large, contrast_limits=(0, 255), multiscale=False)
    dock = make_dock()
    dock.controls.modes.buttons[LOUPE].click()
    large.read = 0
    for place in ((10, 10), (2000.2, 3000.7)):
        with qtbot.waitSignal(dock.mode.seen, timeout=WAIT):
            mouse.hover(*place)

    assert 0 < large.read <= 2 * (SIDE // 8 + 3) ** 2


@pytest.fixture
def export(dock, tmp_path, qtbot, monkeypatch):
    """`export(name)`: press the button, and the path of the file written."""

    def press(name):
        path = tmp_path / name
        answer = (str(path), "")
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
        with qtbot.waitSignal(dock.writer.saved, timeout=WAIT):
            dock.panel.export.click()
        return path

    return press


def panels(picture, width):
    """Left edges of what is not paper, in the middle row."""
    row = (picture[picture.shape[0] // 3] != 255).any(axis=-1)
    starts = np.flatnonzero(np.diff(row.astype(int)) == 1) + 1
    return [start for start in starts if row[start : start + width].all()]


@pytest.mark.promise("what you see, as PNG or SVG")
def test_png_holds_a_panel_of_each_layer(dock, export, images):
    figure = np.asarray(Picture.open(export("figure.png")).convert("RGB"))

    side = 128 * 6  # the least multiple of the canvas with 700 pixels
    corners = panels(figure, side - 12)  # the second begins a pixel later
    top = np.flatnonzero((figure[:, corners[0] + 300] != 255).any(axis=-1))[0]
    squares = images[0].repeat(12, 0).repeat(12, 1)
    part = figure[top + 1 : top + 400, corners[0] : corners[0] + side, 0]
    assert len(corners) == 2
    np.testing.assert_allclose(part.astype(int), squares[1:400], atol=1)
    assert dock.panel.outcome.text() == "Saved figure.png."


def texts(path):
    return re.findall(r">([^<>\n]+)</text>", path.read_text("utf-8"))


@pytest.mark.promise(
    "as PNG or SVG, with names, a scale bar and, with a truth, PSNR and SSIM"
)
def test_svg_holds_names_numbers_and_the_scale_bar(export, images):
    found = texts(export("figure.svg"))

    noisy, _, truth = images
    psnr = metrics.psnr(noisy, truth, data_range=255)
    ssim = metrics.ssim(noisy, truth, data_range=255)
    assert found == [
        *("noisy", f"{psnr:.2f} dB, SSIM {ssim:.4f}"),
        "shifted",
        *("truth", "reference"),
        "2 µm",
        "Measured with the truth's data range: 255 (uint8).",
    ]


def test_figure_of_the_curtain_has_both_names_and_one_picture(dock, export):
    dock.controls.modes.buttons[CURTAIN].click()
    path = export("figure.svg")

    assert texts(path)[0:1] == ["noisy"]
    assert "truth" in texts(path)
    assert path.read_text("utf-8").count("<image") == 1


def test_figure_of_the_grid_shows_what_a_part_shows(dock, export, viewer):
    viewer.scene.camera.zoom = 80
    dock.controls.modes.buttons[GRID].click()

    assert "500 nm" in texts(export("figure.svg"))


def test_figure_without_units_has_no_scale_bar(viewer, export):
    for layer in viewer.layers:
        layer.units = "pixel"

    assert not any("px" in text or "pixel" in text for text in texts(export("a.svg")))


@pytest.mark.fault("Disk: a figure that cannot be written", "The dock says why.")
@pytest.mark.parametrize("name", ["missing/figure.png", "file/figure.svg"])
def test_figure_that_cannot_be_written_says_so(
    dock, qtbot, monkeypatch, tmp_path, name
):
    (tmp_path / "file").write_bytes(b"not a folder")
    answer = (str(tmp_path / name), "")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: answer)
    with qtbot.waitSignal(dock.writer.failed, timeout=WAIT):
        dock.panel.export.click()

    assert "cannot be written" in dock.panel.error.message.text()
    qtbot.waitUntil(dock.panel.export.isEnabled, timeout=WAIT)


@pytest.mark.parametrize("mode", [GRID, CURTAIN])
def test_figure_of_narrow_layers_has_their_names(dock, export, viewer, mode):
    for layer in viewer.layers:
        layer.data = layer.data[:, :2]
    viewer.fit_to_view()
    dock.controls.modes.buttons[mode].click()
    found = texts(export("figure.svg"))

    assert {"noisy", "truth", "reference"} <= set(found)


def test_nothing_in_view_is_said(dock, viewer):
    viewer.scene.camera.center = (500, 500)
    dock.panel.export.click()

    assert dock.panel.error.message.text().startswith("None of the layers is in view")


@pytest.mark.parametrize(
    ("width", "unit", "text", "share"),
    [
        (100, "um", "20 µm", 0.2),
        (0.012, "mm", "5 µm", 5 / 12),
        (3, "um", "1 µm", 1 / 3),
        (0.9, "nm", "200 pm", 2 / 9),
    ],
)
def test_scale_bar_is_round(width, unit, text, share):
    import pint

    bar = ScaleBar.of(width, pint.get_application_registry()(unit).units)

    assert bar.text == text
    assert bar.share == pytest.approx(share)


def test_numbers_are_of_the_plane_in_the_picture(
    viewer, make_dock, rng, tmp_path, qtbot, monkeypatch
):
    plane = rng.integers(0, 255, (40, 40), np.uint8)
    viewer.add_image(np.stack([plane, 255 - plane]), name="mine")
    viewer.add_image(np.stack([plane] * 2), name="truth")
    viewer.canvas.size = (100, 100)
    viewer.fit_to_view()
    viewer.dims.set_point(0, 0)
    dock, path = make_dock(), tmp_path / "figure.svg"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    with qtbot.waitSignal(dock.writer.saved, timeout=WAIT):
        dock.panel.export.click()
        viewer.dims.set_point(0, 1)
    assert texts(path)[:2] == ["mine", "identical, SSIM 1.0000"]
