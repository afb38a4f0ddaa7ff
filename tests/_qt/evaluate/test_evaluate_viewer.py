"""The dock Evaluate in a real viewer that renders."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QWidget

from napari_edsr._qt.evaluate import widget as module
from napari_edsr.events import ImageDone
from napari_edsr.metrics import psnr

WAIT = 60_000
NARROWEST = 320  # pixels
HEIGHT = 600


@pytest.fixture
def docked(make_napari_viewer):
    """A viewer that is shown, and the dock as its menu opens it."""
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-edsr", "Evaluate")
    return viewer, dock


def draw(milliseconds=200):
    """Let the window draw itself."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def canvas(viewer):
    draw()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


@pytest.mark.gui
def test_map_is_drawn_over_the_truth(docked, press, table):
    viewer, dock = docked
    truth = np.full((40, 60), 100, np.uint8)
    wrong = truth.copy()
    wrong[10:20, 15:45] = 160
    viewer.add_image(truth, name="truth", scale=(0.5, 0.5), translate=(3, 4))
    viewer.add_image(wrong, name="mine", scale=(0.5, 0.5), translate=(3, 4))
    press(dock)
    assert table(dock)[0][:2] == ["mine", f"{psnr(wrong, truth, data_range=255):.2f}"]

    for layer in viewer.layers:
        layer.colormap, layer.contrast_limits = "gray", (100, 160)
    wrong_pixels = canvas(viewer)[..., 0] > 200
    press(dock, dock.panel.error_map)
    viewer.layers["mine"].visible = False
    colours = canvas(viewer)
    green = colours[..., 1] - colours[..., 0] > 50  # where it is too bright
    assert wrong_pixels.sum() > 1000
    np.testing.assert_array_equal(green, wrong_pixels)


@pytest.mark.gui
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_line_of_the_table_can_be_read(docked, press, truth, noisy, theme):
    viewer, dock = docked
    viewer.theme = theme
    viewer.add_image(truth, name="truth")
    for name in "abc":
        viewer.add_image(noisy(), name=name)
    press(dock)
    draw()
    shown = dock.panel.table
    image = shown.viewport().grab().toImage()
    ratio = image.width() / shown.viewport().width()
    grounds = set()
    for i in range(3):
        area = shown.visualItemRect(shown.topLevelItem(i))
        x, y = shown.viewport().width() - 2, area.center().y()
        grounds.add(image.pixelColor(int(x * ratio), int(y * ratio)).name())
    assert len(grounds) == 1


@pytest.mark.fault(
    "Layers and docks: dock closed while it measures",
    "The job is closed within a step.",
)
@pytest.mark.gui
def test_closing_the_dock_stops_the_job(docked, press, qtbot, monkeypatch, truth):
    viewer, dock = docked
    viewer.add_image(truth, name="truth")
    viewer.add_image(truth, name="mine")
    closed = threading.Event()

    def endless(request):
        try:
            while True:
                yield ImageDone(1, 100)
        finally:
            closed.set()

    monkeypatch.setattr(module, "iter_measure", endless)
    with qtbot.waitSignal(dock.session.progressed, timeout=WAIT):
        dock.panel.measure.click()
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not dock.session.is_running, timeout=WAIT)
    assert closed.is_set()
    assert dock.evaluation is None


@pytest.mark.gui
def test_nothing_is_cut_off_in_a_narrow_dock(docked, press, truth, noisy):
    viewer, dock = docked
    viewer.add_image(truth, name="the truth, by a name that no dock could ever show")
    viewer.add_image(noisy(), name="mine")
    dock.setFixedWidth(NARROWEST)
    press(dock)
    draw()
    shown = dock.panel.table
    last = shown.header().logicalIndex(3)
    edge = shown.columnViewportPosition(last) + shown.columnWidth(last)
    assert edge <= shown.viewport().width()  # PSNR, SSIM and the gain
    right = dock.mapToGlobal(dock.rect().topRight()).x()
    cut = [
        child
        for child in dock.findChildren(QWidget)
        if child.isVisible()
        and not shown.isAncestorOf(child)
        and child.mapToGlobal(child.rect().topRight()).x() > right
    ]
    assert cut == []


@pytest.mark.gui
def test_section_folded_out_in_a_low_dock_comes_into_sight(docked, press, truth, noisy):
    viewer, dock = docked
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    press(dock)
    dock.setFixedSize(NARROWEST, HEIGHT)
    draw()
    dock.controls.sections["rules"].toggleButton().click()
    draw()
    assert not dock.controls.rules.register.visibleRegion().isEmpty()
