"""The dock in a real viewer that renders: what the canvas shows, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_edsr._qt.compare.controls import BLINK, CURTAIN, GRID, LOUPE

WAIT = 60_000
MARKS = 20  # pixels around the line


@pytest.fixture
def docked(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-edsr", "Compare")
    return viewer, dock


PLACEMENTS = {
    "plain": ({"scale": (2, 2), "translate": (0.5, 0.5)}, {}),
    "turned": (
        {"scale": (2, 3), "rotate": 20, "shear": [0.2]},
        {"rotate": 10, "scale": (2, 2)},
    ),
    "units": (
        {"scale": (0.2, 0.2), "units": "um"},
        {"scale": (100, 100), "units": "nm"},
    ),
    "coloured": (
        {"colormap": "viridis", "gamma": 0.7, "scale": (2, 2)},
        {"colormap": "magma", "contrast_limits": (3000, 40000)},
    ),
    "smooth": ({"interpolation2d": "linear", "scale": (2, 2)}, {"opacity": 0.5}),
}


@pytest.mark.promise(
    "Layers may differ in size, pixel size, type and rotation: they are "
    "aligned in the world."
)
@pytest.mark.gui
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_each_side_looks_as_its_layer_does_alone(docked, rng, placement):
    viewer, dock = docked
    images = [rng.integers(0, 2**16, (n, n + 20), np.uint16) for n in (40, 80)]
    for image, settings in zip(images, PLACEMENTS[placement], strict=True):
        viewer.add_image(image, **{"contrast_limits": (0, 65535), **settings})
    viewer.fit_to_view()
    alone = []
    for seen in (0, 1):
        for i, layer in enumerate(viewer.layers):
            layer.visible = i == seen
        alone.append(viewer.screenshot(flash=False)[..., :3].astype(int))
    for layer in viewer.layers:
        layer.visible = True
    dock.controls.modes.buttons[CURTAIN].click()
    both = viewer.screenshot(flash=False)[..., :3].astype(int)

    for side, part in enumerate(_free_parts(both)):
        differs = np.abs(both[part] - alone[side][part]).max(axis=-1) > 2
        assert alone[side][part].max() > 50
        assert differs.mean() < 0.005


def _free_parts(picture):
    """Left and right below the middle: without line, handle and names."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    below = slice(height + MARKS, None)
    return (below, slice(width - MARKS)), (below, slice(width + MARKS, None))


@pytest.mark.gui
def test_line_is_dragged_with_a_real_mouse(docked, rng, qtbot):
    viewer, dock = docked
    for name in "ab":
        viewer.add_image(rng.random((64, 64)), name=name)
    dock.controls.modes.buttons[CURTAIN].click()
    viewer.screenshot(flash=False)
    (canvas,) = dock.window().findChildren(QOpenGLWidget)
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    centre = viewer.scene.camera.center

    none, left = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
    _send(canvas, QEvent.Type.MouseMove, middle, none, none)
    qtbot.waitUntil(lambda: not viewer.scene.camera.mouse_pan, timeout=WAIT)
    _send(canvas, QEvent.Type.MouseButtonPress, middle, left, left)
    for step in range(1, 6):
        _send(canvas, QEvent.Type.MouseMove, middle + QPoint(10 * step, 0), none, left)
        qtbot.wait(20)
    end = middle + QPoint(50, 0)
    _send(canvas, QEvent.Type.MouseButtonRelease, end, left, none)

    wanted = round(1000 * end.x() / canvas.width())
    qtbot.waitUntil(
        lambda: abs(dock.controls.curtain.slider.value() - wanted) <= 2, timeout=WAIT
    )
    assert viewer.scene.camera.center == centre


def _send(canvas, kind, place, button, buttons):
    where = QPointF(place)
    event = QMouseEvent(
        kind,
        where,
        QPointF(canvas.mapToGlobal(place)),
        button,
        buttons,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(canvas, event)


@pytest.mark.gui
def test_modes_come_and_go_many_times(docked, rng, qtbot):
    viewer, dock = docked
    for name in "abc":
        viewer.add_image(rng.random((64, 64)), name=name)
    before = viewer.screenshot(flash=False)
    for _ in range(20):
        for mode in (CURTAIN, GRID, BLINK, LOUPE):
            dock.controls.modes.buttons[mode].click()
            QApplication.processEvents()
        viewer.screenshot(flash=False)
        dock.panel.leave.click()
        QApplication.processEvents()

    np.testing.assert_array_equal(viewer.screenshot(flash=False), before)
    assert [layer.name for layer in viewer.layers] == ["a", "b", "c"]


@pytest.mark.gui
@pytest.mark.parametrize("mode", [CURTAIN, GRID, BLINK, LOUPE])
def test_sliders_are_where_they_were_when_the_axes_are_turned(docked, rng, mode):
    viewer, dock = docked
    for name in "ab":
        viewer.add_image(rng.random((4, 20, 30)), name=name)
    viewer.dims.point = (2, 5, 7)
    dock.controls.modes.buttons[BLINK].click()
    QApplication.processEvents()
    if mode != BLINK:
        dock.controls.modes.buttons[mode].click()
    viewer.dims.set_current_step(0, 1)
    dock.panel.leave.click()

    assert viewer.dims.point == (1, 5, 7)


@pytest.mark.fault(
    "Layers and docks: dock closed while layers are compared",
    "All layers are as they were.",
)
@pytest.mark.gui
@pytest.mark.parametrize("mode", [CURTAIN, GRID, BLINK])
def test_closing_the_dock_puts_everything_back(docked, rng, mode):
    viewer, dock = docked
    for name in "ab":
        viewer.add_image(rng.random((64, 64)), name=name)
    before = viewer.screenshot(flash=False)
    dock.controls.modes.buttons[mode].click()
    viewer.screenshot(flash=False)
    viewer.window.remove_dock_widget(dock)

    np.testing.assert_array_equal(viewer.screenshot(flash=False), before)
    assert dock.mode is None
    dock.deleteLater()


@pytest.mark.gui
def test_pyramid_is_sampled_at_the_level_of_the_view(docked, rng):
    viewer, dock = docked
    large = np.kron(rng.integers(0, 256, (64, 64), np.uint8), np.ones((16, 16), "u1"))
    pyramid = [large, large[::2, ::2], large[::4, ::4]]
    viewer.add_image(pyramid, multiscale=True, contrast_limits=(0, 255))
    viewer.add_image(large, contrast_limits=(0, 255))
    viewer.fit_to_view()
    dock.controls.modes.buttons[CURTAIN].click()
    both = viewer.screenshot(flash=False)[..., 0].astype(int)
    dock.panel.leave.click()
    alone = viewer.screenshot(flash=False)[..., 0].astype(int)

    part, _ = _free_parts(both)
    assert (np.abs(both[part] - alone[part]) > 2).mean() < 0.005


@pytest.mark.promise("*Compare* in the Upscale dock")
@pytest.mark.gui
def test_upscale_hands_its_result_over(make_napari_viewer, model_file, qtbot, image):
    viewer = make_napari_viewer(show=True)
    source = viewer.add_image(image, name="cells")
    _, upscale = viewer.window.add_plugin_dock_widget("napari-edsr", "Upscale")
    upscale.controls.models.add_file(model_file(2))
    with qtbot.waitSignal(upscale.session.ended, timeout=WAIT):
        upscale.panel.upscale.click()
    upscale.panel.compare.click()

    _, dock = viewer.window.add_plugin_dock_widget("napari-edsr", "Compare")
    assert dock.layers() == [source, viewer.layers[1]]
    assert dock.sides() == [source, viewer.layers[1]]
    dock.controls.modes.buttons[CURTAIN].click()
    assert dock.mode.frame.layer.visible


@pytest.mark.gui
@pytest.mark.parametrize("width", [320, 420])
def test_dock_fits_a_small_window(docked, rng, width):
    viewer, dock = docked
    for name in ("truth", "a layer with quite a long name", "another", "and one more"):
        viewer.add_image(rng.random((64, 64)), name=name)
    for mode in (CURTAIN, LOUPE):
        dock.controls.modes.buttons[mode].click()
        dock.resize(width, 640)
        viewer.screenshot(flash=False)
        assert dock.minimumSizeHint().width() <= width
        assert dock.minimumSizeHint().height() <= 640


@pytest.mark.gui
def test_x_swaps_the_sides_though_layers_have_an_own_meaning_for_it(docked, rng):
    viewer, dock = docked
    first, second = (viewer.add_image(rng.random((9, 9)), name=name) for name in "ab")
    dock.controls.modes.buttons[CURTAIN].click()
    viewer.screenshot(flash=False)
    (canvas,) = dock.window().findChildren(QOpenGLWidget)
    QTest.keyClick(canvas, Qt.Key.Key_X)

    assert dock.sides() == [second, first]


@pytest.mark.gui
def test_layer_added_while_blinking_joins_in(docked, rng, qtbot):
    viewer, dock = docked
    for name in "ab":
        viewer.add_image(rng.random((64, 64)), name=name)
    dock.controls.blink.rate.setValue(10)
    dock.controls.modes.buttons[BLINK].click()
    viewer.screenshot(flash=False)
    viewer.add_image(rng.random((64, 64)), name="c")
    viewer.screenshot(flash=False)
    status = dock.panel.status
    qtbot.waitUntil(lambda: status.text() == "Shown now: c", timeout=WAIT)
    dock.controls.blink.pause.click()
    seen = viewer.screenshot(flash=False)
    dock.panel.leave.click()
    alone = viewer.screenshot(flash=False)

    part, _ = _free_parts(seen)
    differs = np.abs(seen[part].astype(int) - alone[part]).max(axis=-1) > 2
    assert differs.mean() < 0.005
