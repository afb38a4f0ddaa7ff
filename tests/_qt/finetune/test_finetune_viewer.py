"""The dock Fine-tune in a real viewer that renders."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QWidget

from napari_edsr._qt.finetune import requests

WAIT = 60_000
NARROWEST = 320  # pixels


@pytest.fixture
def docked(make_napari_viewer, model_file):
    """A viewer that is shown, and the dock as its menu opens it, with a quick model."""
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-edsr", "Fine-tune")
    dock.controls.models.add_file(model_file(2))
    training = dock.controls.training
    for key, value in {"steps": 6, "every": 3, "patch": 8, "batch": 2}.items():
        getattr(training, key).setValue(value)
    return viewer, dock


def draw(milliseconds=100):
    """Let the window draw itself."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


@pytest.mark.gui
def test_two_runs_show_what_is_kept_aside(docked, qtbot, photo, monkeypatch):
    """Drawing between the going of layers and the coming of others crashed OpenGL."""
    viewer, dock = docked
    viewer.add_image(photo, name="cells")
    gate = threading.Event()
    real = requests.LayerPart.read

    def wait_and_read(part):
        assert gate.wait(20)
        return real(part)

    monkeypatch.setattr(requests.LayerPart, "read", wait_and_read)
    for _ in range(2):
        gate.clear()
        with qtbot.waitSignal(dock.session.ended, timeout=WAIT):
            dock.panel.start.click()
            draw(1000)
            gate.set()
        draw(500)

    assert [layer.name for layer in viewer.layers] == [
        "cells",
        "cells kept aside, before",
        "cells kept aside, now",
    ]
    assert not dock.panel.curve.isHidden()
    shown = viewer.screenshot(canvas_only=True, flash=False)
    assert shown[..., :3].std() > 10


@pytest.mark.gui
@pytest.mark.parametrize("names", ["", "degradation", "degradation training"])
def test_nothing_is_cut_off_in_a_narrow_dock(docked, photo, names):
    viewer, dock = docked
    viewer.add_image(photo, name="a layer of a long name that no dock could show")
    dock.setFixedWidth(NARROWEST)
    dock.controls.restore_sections(names)
    draw()

    form = dock.controls.form
    assert form.minimumSizeHint().width() <= dock.controls.viewport().width()
    right = form.mapToGlobal(form.rect().topRight()).x()
    cut = [
        child
        for child in form.findChildren(QWidget)
        if child.isVisible()
        and child.mapToGlobal(child.rect().topRight()).x() > right
        and not _is_inside_list(child, dock)
    ]
    assert cut == []


def _is_inside_list(child, dock):
    return dock.controls.teach.list.isAncestorOf(child)


@pytest.mark.gui
def test_use_brings_the_upscale_dock_to_the_front(docked, train, photo):
    viewer, dock = docked
    viewer.add_image(photo, name="cells")
    dock.controls.training.steps.setValue(40)
    dock.controls.training.rate.setValue(20)
    assert train(dock).registered

    dock.panel.use.click()
    draw()

    _, upscale = viewer.window.add_plugin_dock_widget("napari-edsr", "Upscale")
    assert upscale.controls.models.value().key == "cells-x2"
    assert upscale.isVisible() and not upscale.visibleRegion().isEmpty()
