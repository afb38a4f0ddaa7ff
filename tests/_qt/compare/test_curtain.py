"""The divider: what lies at its sides, how it moves, and what a move costs."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_edsr._qt.compare.controls import CURTAIN
from napari_edsr._qt.layers import METADATA_KEY
from napari_edsr._qt.live import note_file

MARKS = 16  # pixels around the line, and 30 at the top where the names stand
TOP = 40


@pytest.fixture
def dock(pair, make_dock):
    dock = make_dock()
    dock.controls.modes.buttons[CURTAIN].click()
    return dock


def grey(layer):
    shades = np.rint(layer.data / (2**16 - 1) * 255).astype(np.uint8)
    return np.stack([shades] * 3, axis=-1)


def enlarged(pixels, factor):
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def expected(pair):
    return enlarged(grey(pair[0]), 4), enlarged(pair[1].data, 2)


def assert_sides(shown, left, right, cut):
    np.testing.assert_allclose(
        shown[TOP:, : cut - MARKS, :3].astype(int), left[TOP:, : cut - MARKS], atol=1
    )
    np.testing.assert_array_equal(
        shown[TOP:, cut + MARKS :, :3], right[TOP:, cut + MARKS :]
    )


@pytest.mark.promise("two layers at the sides of a line")
def test_each_side_shows_its_layer_pixel_by_pixel(dock, pair, painted):
    shown = painted(dock)

    assert shown.shape == (200, 240, 4)
    assert_sides(shown, *expected(pair), cut=120)


def test_picture_lies_over_the_layers(dock, pair):
    frame = dock.mode.frame.layer

    np.testing.assert_allclose(frame.extent.world, pair[1].extent.world, atol=0.26)
    np.testing.assert_allclose(frame.scale, (0.5, 0.5))
    assert [layer.visible for layer in pair] == [False, False]
    assert frame.visible


def test_layer_that_comes_does_not_cover_the_picture(dock, pair, viewer):
    result = viewer.add_image(np.zeros((100, 120)), name="result")
    shown = [layer for layer in viewer.layers if layer.visible]
    assert shown == [dock.mode.frame.layer]
    dock.panel.leave.click()

    assert list(viewer.layers) == [*pair, result]
    assert all(layer.visible for layer in viewer.layers)


def test_layer_that_is_shown_after_it_came_does_not_cover_the_picture(
    dock, pair, viewer
):
    result = Image(np.zeros((100, 120)), name="result", visible=False)
    note_file(result, "result.ome.zarr")
    viewer.add_layer(result)
    other = viewer.add_image(np.zeros((100, 120)), name="other", visible=False)
    about = {METADATA_KEY: {"preview": True}}
    preview = viewer.add_image(np.zeros((9, 9)), name="preview", metadata=about)
    result.visible = True  # as of a result on the disk, in a later turn
    assert not result.visible
    other.visible = True  # by its eye
    shown = [layer for layer in viewer.layers if layer.visible]
    assert shown == [dock.mode.frame.layer, other, preview]
    dock.panel.leave.click()

    assert result.visible


def test_slider_moves_the_line(dock, pair, painted):
    dock.controls.curtain.slider.setValue(350)

    assert_sides(painted(dock), *expected(pair), cut=140 - 80)


def test_horizontal_line_cuts_rows(dock, pair, painted):
    dock.controls.curtain.direction.button("horizontal").click()

    shown, (above, below) = painted(dock), expected(pair)
    right = np.s_[:, 140:]
    np.testing.assert_allclose(
        shown[: 100 - MARKS][right][..., :3].astype(int),
        above[: 100 - MARKS][right],
        atol=1,
    )
    np.testing.assert_array_equal(
        shown[100 + MARKS :][right][..., :3], below[100 + MARKS :][right]
    )


@pytest.mark.promise("drag it, or use the arrow keys")
def test_line_is_dragged_and_the_view_is_not(dock, pair, viewer, mouse, painted):
    camera = viewer.scene.camera
    mouse.hover(40, 20)
    panned = [camera.mouse_pan]
    mouse.hover(40, 60.5)
    panned.append(camera.mouse_pan)
    cursors = [str(viewer.cursor.style)]
    mouse.press(40, 60.5)
    mouse.drag(45, 80.25)
    mouse.drag(45, 89.5)
    panned.append(camera.mouse_pan)
    mouse.release(45, 89.5)
    mouse.hover(45, 20)
    panned.append(camera.mouse_pan)
    cursors.append(str(viewer.cursor.style))

    assert panned == [True, False, False, True]
    assert cursors == ["pointing", "standard"]
    assert dock.controls.curtain.slider.value() == 650
    assert_sides(painted(dock), *expected(pair), cut=180)


def test_sides_can_be_swapped_and_the_curtain_left_during_a_drag(
    dock, pair, viewer, mouse, press
):
    mouse.press(40, 60.5)
    mouse.drag(45, 80.25)
    press(viewer, "X")
    mouse.drag(45, 85.25)
    swapped = dock.mode.layers
    dock.panel.leave.click()
    mouse.drag(45, 95.25)
    mouse.release(45, 95.25)

    assert swapped == [pair[1], pair[0]]
    assert viewer.scene.camera.mouse_pan
    assert str(viewer.cursor.style) == "standard"
    assert dock.controls.curtain.slider.value() == 629


def test_press_beside_the_line_leaves_it_alone(dock, pair, viewer, mouse, painted):
    mouse.press(40, 30)
    mouse.drag(40, 90)
    mouse.release(40, 90)

    assert viewer.scene.camera.mouse_pan
    assert_sides(painted(dock), *expected(pair), cut=120)


@pytest.mark.promise("use the arrow keys; X swaps the sides")
def test_arrow_keys_move_the_line_and_x_swaps_the_sides(
    dock, pair, viewer, press, painted
):
    press(viewer, "Left")
    press(viewer, "Left")
    press(viewer, "X")

    first, second = expected(pair)
    shown = painted(dock)
    np.testing.assert_array_equal(shown[TOP:, :90, :3], second[TOP:, :90])
    np.testing.assert_allclose(
        shown[TOP:, 112 + MARKS :, :3].astype(int), first[TOP:, 112 + MARKS :], atol=1
    )
    assert dock.controls.curtain.slider.value() == 480
    assert dock.controls.curtain.first.currentText() == "high"


def test_keys_follow_the_direction_of_the_line(dock, viewer):
    before = {str(key) for key in viewer.keymap}
    dock.controls.curtain.direction.button("horizontal").click()

    assert before == {"Left", "Right", "X"}
    assert {str(key) for key in viewer.keymap} == {"Up", "Down", "X"}


def test_picture_follows_contrast_colormap_and_data(dock, pair, painted):
    pair[0].contrast_limits = (0, 2**15)
    pair[0].colormap = "red"
    pair[1].data = 255 - pair[1].data

    shown = painted(dock)
    red = np.rint(np.clip(pair[0].data / 2**15, 0, 1) * 255)
    left = enlarged(red, 4)[TOP:, : 120 - MARKS]
    np.testing.assert_allclose(shown[TOP:, : 120 - MARKS, 0], left, atol=1)
    assert shown[TOP:, : 120 - MARKS, 1:3].max() == 0
    np.testing.assert_array_equal(
        shown[TOP:, 120 + MARKS :, :3], expected(pair)[1][TOP:, 120 + MARKS :]
    )


def test_picture_follows_a_result_that_sharpens(make_dock, viewer, painted, rng):
    from napari_edsr._qt.live import LiveResult
    from napari_edsr._qt.requests import UpscaleRequest

    source = viewer.add_image(np.zeros((20, 20), np.uint8), contrast_limits=(0, 255))
    settings = {"scale": (0.5, 0.5), "contrast_limits": (0, 255)}
    request = UpscaleRequest(source.data, "YX", 2, "model", settings=settings)
    live = LiveResult(viewer, request, np.zeros((40, 40), np.uint8))
    viewer.canvas.size, viewer.scene.camera.zoom = (200, 200), 10
    viewer.scene.camera.center = (9.5, 9.5)
    dock = make_dock()
    dock.controls.modes.buttons[CURTAIN].click()
    live.layer.data[...] = 99
    live.finish()
    shown = painted(dock)

    assert (shown[TOP:, 100 + MARKS : -5, :3] == 99).all()
    assert shown[TOP:, : 100 - MARKS, :3].max() == 0


def test_home_fits_the_layers_and_not_the_picture(dock, pair, viewer, painted):
    viewer.scene.camera.zoom = 20
    painted(dock)
    viewer.fit_to_view(margin=0)

    assert viewer.scene.camera.zoom == pytest.approx(3)
    assert viewer.scene.camera.center[1:] == pytest.approx((49.5, 59.5))


def test_picture_follows_the_view_and_the_canvas(dock, pair, viewer, painted):
    viewer.scene.camera.zoom = 4
    viewer.canvas.size = (200, 300)

    shown, fine = painted(dock), enlarged(pair[1].data, 4)
    assert shown.shape == (200, 300, 4)
    np.testing.assert_array_equal(
        shown[TOP:, 150 + MARKS :, :3], fine[100 + TOP : 300, 240 + MARKS : 390]
    )


def test_nothing_is_shown_where_no_layer_is(dock, viewer, painted):
    viewer.scene.camera.center = (5000, 5000)
    painted(dock)
    hidden = not dock.mode.frame.layer.visible
    viewer.scene.camera.center = (49.5, 59.5)
    painted(dock)

    assert hidden
    assert dock.mode.frame.layer.visible


def test_curtain_follows_the_slider_of_a_stack(viewer, make_dock, rng, painted):
    stack = rng.integers(0, 256, (3, 40, 40), np.uint8)
    for name in ("a", "b"):
        viewer.add_image(stack, name=name, contrast_limits=(0, 255))
    viewer.canvas.size = (80, 80)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (19.5, 19.5), 2
    dock = make_dock()
    dock.controls.modes.buttons[CURTAIN].click()
    viewer.dims.set_current_step(0, 1)

    shown = painted(dock)[TOP:, 40 + MARKS :, 0].astype(int)
    np.testing.assert_allclose(shown, enlarged(stack[1], 2)[TOP:, 40 + MARKS :], atol=1)


@pytest.mark.promise(
    "A curtain over 4096 × 4096 px moves as one over 1024 × 1024 px does: "
    "only pixels of the canvas are drawn"
)
@pytest.mark.parametrize("lazy", [False, True])
def test_bytes_of_a_move_are_bounded_by_the_canvas(viewer, make_dock, lazy, painted):
    side = 16384 if lazy else 4096
    small = np.arange(64, dtype=np.uint8).reshape(8, 8)
    if lazy:
        large = da.from_array(np.broadcast_to(np.uint8(7), (side, side)), chunks=2048)
    else:
        large = np.full((side, side), 7, np.uint8)
    scale = (side / 8, side / 8)
    shift = (side / 16 - 0.5, side / 16 - 0.5)
    viewer.add_image(small, scale=scale, translate=shift)
    with dask.config.set(scheduler="synchronous"):
        viewer.add_image(large, contrast_limits=(0, 255))
    viewer.canvas.size = (300, 400)
    viewer.scene.camera.center = (side / 2, side / 2)
    viewer.scene.camera.zoom = 300 / side
    dock = make_dock()
    with dask.config.set(scheduler="synchronous"):
        dock.controls.modes.buttons[CURTAIN].click()
    sizes = []
    dock.mode.frame.layer.events.set_data.connect(
        lambda: sizes.append(dock.mode.frame.layer.data.nbytes)
    )
    for value in range(300, 700, 50):
        dock.controls.curtain.slider.setValue(value)
        shown = painted(dock)

    assert len(sizes) >= 7
    assert max(sizes) <= 300 * 400 * 4
    assert (shown[TOP:, 275:298, :3] == 7).all()


def test_removing_a_side_ends_it(dock, pair, viewer):
    viewer.layers.remove(pair[0])
    QApplication.processEvents()

    assert dock.mode is None
    assert list(viewer.layers) == [pair[1]]
    assert pair[1].visible
    assert dock.panel.outcome.text() == "Left the comparison: low is gone."


def test_deleting_the_picture_leaves(dock, pair, viewer):
    viewer.layers.remove(dock.mode.frame.layer)

    assert dock.mode is None
    assert [layer.visible for layer in pair] == [True, True]
    assert not dock.controls.modes.buttons[CURTAIN].isChecked()


def test_three_dimensions_are_left_with_a_sentence(dock, pair, viewer):
    viewer.dims.ndisplay = 3

    assert list(viewer.layers) == list(pair)
    assert "Switch the viewer to 2D" in dock.panel.outcome.text()
    assert not dock.controls.modes.buttons[CURTAIN].isEnabled()


def test_picture_is_no_candidate(dock, pair):
    rows = [
        dock.controls.ticks.item(i).text() for i in range(dock.controls.ticks.count())
    ]

    assert rows == ["low", "high"]
    assert dock.layers() == list(pair)


def test_a_dense_screen_gets_all_its_pixels(pair, viewer, qtbot):
    from qtpy.QtGui import QFont, QPalette

    from napari_edsr._qt.compare.curtain import Curtain
    from napari_edsr._qt.compare.mode import Look

    curtain = Curtain(viewer, pair, Look(QPalette(), QFont(), density=2))
    curtain.begin()
    shown, fine = curtain.frame.layer.data, enlarged(pair[1].data, 4)
    curtain.end()

    assert shown.shape == (400, 480, 4)
    part = np.s_[2 * TOP :, 240 + 2 * MARKS :]
    np.testing.assert_array_equal(shown[..., :3][part], fine[part])


def test_a_move_reads_nothing_of_the_layers(viewer, make_dock, painted, counting):
    large = counting(np.zeros((2048, 2048), np.uint8))
    for name in "ab":
        viewer.add_image(large, name=name, contrast_limits=(0, 255), multiscale=False)
    viewer.canvas.size = (200, 200)
    viewer.fit_to_view()
    dock = make_dock()
    large.read = 0
    dock.controls.modes.buttons[CURTAIN].click()
    painted(dock)
    shown = large.read
    for value in range(100, 900, 100):
        dock.controls.curtain.slider.setValue(value)
        painted(dock)

    assert 0 < shown <= 2 * (2 * 200) ** 2  # less than two pixels for one of the canvas
    assert large.read == shown
