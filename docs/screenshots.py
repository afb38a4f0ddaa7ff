"""Makes the pictures of the README and the pages: a real viewer, driven by its own buttons.

On a machine without a screen:
``QT_QPA_PLATFORM=xcb xvfb-run -s "-screen 0 1400x1000x24" python docs/screenshots.py``.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import tempfile
from pathlib import Path

import napari
from PIL import Image
from qtpy.QtCore import QEventLoop, QTimer
from skimage import data

from napari_edsr._qt import settings
from napari_edsr._qt.launch import open_demo
from napari_edsr._qt.upscale_widget import UpscaleWidget
from napari_edsr.files import read_image

FOLDER = Path(__file__).parent / "images"
SIZE = (1280, 720)
TILE = 48  # small, so that the picture shows a run that is half done
SHARE = 0.5
STEPS = 120
CLOSER = 2.5  # so that pixels can be told apart
PATIENCE = 300_000  # milliseconds


def wait(signal, accept=lambda *_: True) -> None:
    """Keep the window alive until a signal comes with accepted values."""
    loop = QEventLoop()
    signal.connect(lambda *values: loop.quit() if accept(*values) else None)
    QTimer.singleShot(PATIENCE, loop.quit)
    loop.exec()


def pause(milliseconds: int) -> None:
    """Let the window draw itself."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def take(viewer: napari.Viewer, name: str) -> None:
    """Save the window in few colours, so that the file stays small."""
    pause(300)
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    picture = (
        Image.fromarray(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    )
    picture.save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    """Take all pictures, of docks with their defaults; nothing is left behind."""
    with settings.set_aside(), tempfile.TemporaryDirectory() as models:
        os.environ["NAPARI_EDSR_CACHE"] = models
        _take_upscale()
        _take_evaluate()
        _take_trust(Path(models))
        _take_finetune()


def _take_upscale() -> None:
    viewer, widget = open_demo(block=False)
    viewer.window.resize(*SIZE)
    if not widget.scout.known:
        wait(widget.scout.speed_found)
    widget.controls.speed.tile.setValue(TILE)
    widget.panel.upscale.click()
    wait(widget.session.progressed, lambda share, _: share > SHARE)
    take(viewer, "upscale-running")
    if widget.session.is_running:
        wait(widget.session.ended)
    take(viewer, "upscale-done")
    _take_compare(viewer, widget)
    viewer.close()


def _take_evaluate() -> None:
    viewer, upscaling = open_demo(block=False)
    viewer.window.resize(*SIZE)
    upscaling.panel.upscale.click()
    wait(upscaling.session.ended)
    viewer.window.remove_dock_widget(upscaling)
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Evaluate")
    widget.controls.nearest.setChecked(True)
    for button in (widget.panel.measure, widget.panel.error_map):
        button.click()
        wait(widget.session.changed, lambda: not widget.session.is_running)
    viewer.fit_to_view()
    take(viewer, "evaluate")
    viewer.close()


def _take_trust(folder: Path) -> None:
    """The stack of the tutorial for microscopy, and what its result leaves of it."""
    with contextlib.chdir(folder):
        runpy.run_path(str(FOLDER.parent / "tutorials" / "simulate_stack.py"))
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    viewer.add_image(read_image(folder / "stack.tif").data, name="stack")
    viewer.dims.set_point(0, 0)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Upscale")
    widget.controls.models.take_hint.click()
    widget.controls.quality.uncertainty.setChecked(True)
    widget.panel.upscale.click()
    wait(widget.session.ended)
    viewer.window.remove_dock_widget(dock)
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Evaluate")
    widget.panel.consistency.click()
    wait(widget.session.changed, lambda: not widget.session.is_running)
    viewer.fit_to_view()
    take(viewer, "trust")
    viewer.close()


def _take_compare(viewer: napari.Viewer, upscale: UpscaleWidget) -> None:
    """The result beside its source, as the Upscale dock hands both over."""
    upscale.panel.compare.click()
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Compare")
    modes = widget.controls.modes.buttons
    (truth,) = (layer for layer in viewer.layers if "truth" in layer.name)
    viewer.scene.camera.zoom *= CLOSER
    modes["curtain"].click()
    take(viewer, "compare-curtain")
    widget.controls.truth.set_value(id(truth))
    widget.controls.ticks.tick_only(*map(id, viewer.layers))
    modes["grid"].click()
    take(viewer, "compare-grid")
    widget.panel.leave.click()


def _take_finetune() -> None:
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    viewer.add_image(data.cell(), name="cell", scale=(0.1, 0.1), units="um")
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Fine-tune")
    if not widget.scout.has_started:
        wait(widget.scout.devices_found)
    made, training = widget.controls.degradation, widget.controls.training
    made.blur.setValue(0.15)
    made.unit.set_value("um")
    made.photons.setValue(200)
    training.steps.setValue(STEPS)
    training.every.setValue(STEPS // 6)
    widget.panel.start.click()
    wait(widget.session.ended)
    take(viewer, "finetune-done")
    viewer.close()


if __name__ == "__main__":
    main()
