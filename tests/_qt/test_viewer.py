"""The dock in a real viewer that renders, and what the manifest brings with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fake_engine import Gate
from napari._qt.containers import QtLayerList
from napari._qt.layer_controls.qt_layer_controls_container import (
    QtLayerControlsContainer,
)
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from napari.utils.progress import progress
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QFileDialog, QLabel, QProgressBar

from napari_edsr import samples
from napari_edsr._qt import launch, layers, settings
from napari_edsr._qt.activity import ActivityBar
from napari_edsr._qt.saving import file_name
from napari_edsr.events import drain

WAIT = 60_000
NAME = "Upscale"


@pytest.fixture
def docked(make_napari_viewer, model_file, errors_shown):
    """A viewer that is shown, and the dock as its menu opens it, with a quick model."""
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", NAME)
    choice = model_file(2)
    widget.controls.models.add_file(choice)
    widget.controls.speed.tile.setValue(8)
    return viewer, widget


def finished_run(qtbot, widget, button=None):
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        (button or widget.panel.upscale).click()


@pytest.mark.promise("upscales what you see; its pixels are those of the full run")
@pytest.mark.gui
def test_run_and_preview_of_the_real_view(docked, qtbot, image):
    viewer, widget = docked
    layer = viewer.add_image(image, scale=(0.5, 0.5), rotate=20)
    viewer.scene.camera.zoom *= 4
    qtbot.waitUntil(lambda: tuple(layer.corner_pixels[0]) != (0, 0), timeout=WAIT)
    (y0, x0), (y1, x1) = layer.corner_pixels.tolist()

    finished_run(qtbot, widget, widget.panel.preview)
    preview = viewer.layers[-1].data
    finished_run(qtbot, widget)
    whole = viewer.layers[-1].data

    assert 0 < y1 - y0 < 19 or 0 < x1 - x0 < 23
    np.testing.assert_array_equal(
        preview, whole[2 * y0 : 2 * (y1 + 1), 2 * x0 : 2 * (x1 + 1)]
    )


@pytest.mark.gui
def test_list_and_controls_stay_with_the_source(docked, qtbot, image):
    viewer, widget = docked
    source = viewer.add_image(image, name="cells")
    finished_run(qtbot, widget)

    view = viewer.window._qt_window.findChild(QtLayerList)
    controls = viewer.window._qt_window.findChild(QtLayerControlsContainer)
    chosen = [index.data() for index in view.selectedIndexes()]
    assert (chosen, view.currentIndex().data()) == (["cells"], "cells")
    assert controls.currentWidget() is controls.widgets[source]
    result = viewer.layers[-1]
    viewer.layers.selection = {result}
    assert [index.data() for index in view.selectedIndexes()] == [result.name]
    assert controls.currentWidget() is controls.widgets[result]


@pytest.mark.gui
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_result_covers_its_source_on_the_canvas(make_napari_viewer, rng, scale):
    viewer = make_napari_viewer(show=True)
    data = rng.integers(0, 256, (16, 16, 3), np.uint8)
    source = viewer.add_image(data, rgb=True, rotate=30, scale=(2, 3), shear=[0.2])
    viewer.fit_to_view()
    before = viewer.screenshot(flash=False)

    enlarged = drain(layers.iter_enlarge(data, "YXS", scale))
    viewer.add_image(enlarged, **layers.result_settings(source, scale))
    source.visible = False
    after = viewer.screenshot(flash=False)

    assert before[..., :3].max() > 200
    assert (before != after).any(axis=-1).mean() < 0.01


def activity_bars():
    return [bar.desc.partition(":")[0] for bar in progress._all_instances]


def started(qtbot, docked, image, monkeypatch):
    viewer, widget = docked
    viewer.add_image(image, name="cells")
    gate = Gate(monkeypatch)
    with qtbot.waitSignal(widget.session.runner.planned, timeout=WAIT):
        widget.panel.upscale.click()
    with qtbot.waitSignal(widget.session.runner.tile_done, timeout=WAIT):
        gate.let_on()
    return gate


@pytest.mark.gui
def test_the_sign_of_activity_turns_slowly(docked, qtbot, image, monkeypatch):
    """Each of its pictures makes Qt compose the window, in the time of the network."""
    viewer, widget = docked
    gate = started(qtbot, docked, image, monkeypatch)
    labels = widget.window().findChildren(QLabel)
    signs = [label.movie() for label in labels if label.movie() and label.isVisible()]
    assert [sign.speed() <= 10 for sign in signs] == [True]
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.cancel()
        gate.let_on()


@pytest.mark.fault(
    "Layers and docks: dock closed mid-run",
    "The run stops within a part; what is done stays, and the viewer lives on.",
)
@pytest.mark.gui
def test_closing_the_dock_stops_the_run(docked, qtbot, image, monkeypatch):
    viewer, widget = docked
    gate = started(qtbot, docked, image, monkeypatch)
    assert activity_bars() == ["Upscaling of cells"]

    viewer.window.remove_dock_widget(widget)
    gate.let_on()

    qtbot.waitUntil(lambda: gate.closed.is_set() and not widget.session.is_running)
    assert activity_bars() == []
    assert len(viewer.layers) == 2
    viewer.layers.clear()
    assert widget.layers() == []
    widget.deleteLater()


@pytest.mark.gui
def test_activity_dock_shows_parts_of_a_tile(docked):
    bar = ActivityBar("Upscaling")
    bar.move_to(1.125, 3)
    shown = docked[0].window._qt_window.findChildren(QProgressBar)
    assert (375, 1000) in [(each.value(), each.maximum()) for each in shown]
    bar.close()


@pytest.mark.fault(
    "Layers and docks: viewer closed mid-run",
    "The run stops within a part, and no thread is left.",
)
@pytest.mark.gui
def test_closing_the_viewer_stops_the_run(docked, qtbot, image, monkeypatch):
    viewer, _ = docked
    gate = started(qtbot, docked, image, monkeypatch)

    viewer.close()
    gate.let_on()

    qtbot.waitUntil(gate.closed.is_set, timeout=WAIT)
    assert QThreadPool.globalInstance().waitForDone(WAIT)


@pytest.mark.fault(
    "Layers and docks: dock hidden mid-run", "The run goes on to its end."
)
@pytest.mark.gui
def test_hiding_the_dock_lets_the_run_go_on(docked, qtbot, image, monkeypatch):
    viewer, widget = docked
    gate = started(qtbot, docked, image, monkeypatch)

    widget.parent().hide()
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        gate.let_on(100)

    assert widget.panel.outcome.text().startswith("Done: ")


@pytest.mark.promise("TIFF, OME-TIFF, PNG or JPEG with pixel size")
@pytest.mark.gui
def test_saved_file_keeps_pixels_and_their_size(
    docked, qtbot, image, tmp_path, monkeypatch
):
    viewer, widget = docked
    viewer.add_image(image, name="cells", scale=(0.2, 0.2), units=("um", "um"))
    finished_run(qtbot, widget)
    suggested = []

    def ask(_window, _title, suggestion, _types):
        suggested.append(Path(suggestion).name)
        return str(tmp_path / "out.tif"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    with qtbot.waitSignal(widget.saver.saved, timeout=WAIT):
        widget.panel.save.click()

    from napari_edsr.files import read_image

    saved = read_image(tmp_path / "out.tif")
    np.testing.assert_array_equal(saved.data, viewer.layers[-1].data)
    assert (saved.pixel_size["X"], saved.unit) == (pytest.approx(0.1), "µm")
    assert suggested == ["cells_x2_tiny_x2.tif"]
    assert widget.panel.outcome.text() == "Saved out.tif."


@pytest.mark.gui
def test_no_button_to_cancel_a_save(docked, qtbot, image, tmp_path):
    """A file is written in one step, so the button would do nothing."""
    viewer, widget = docked
    layer = viewer.add_image(image)
    have_button = []

    def look(_path):
        for bar in viewer.window._qt_window.findChildren(QtLabeledProgressBar):
            have_button.append(not bar.cancel_button.isHidden())

    widget.saver.saved.connect(look)
    with qtbot.waitSignal(widget.saver.saved, timeout=WAIT):
        widget.saver.save(str(tmp_path / "out.tif"), layer)
    assert have_button == [False]


@pytest.mark.fault(
    "Disk: a result that cannot be saved from the dock",
    "The dock says why; the layer stays.",
)
@pytest.mark.gui
def test_failed_save_says_so(docked, qtbot, image, tmp_path, errors_shown):
    viewer, widget = docked
    layer = viewer.add_image(image)
    with qtbot.waitSignal(widget.saver.failed, timeout=WAIT):
        widget.saver.save(str(tmp_path / "missing" / "out.xyz"), layer)
    assert len(errors_shown) == 1


@pytest.mark.gui
def test_napari_saves_through_our_writer(docked, qtbot, image, tmp_path):
    viewer, widget = docked
    viewer.add_image(image, scale=(0.2, 0.2), units=("um", "um"))
    finished_run(qtbot, widget)
    path = tmp_path / "out.tif"

    written = viewer.layers[-1].save(str(path), plugin="napari-edsr")

    assert written == [str(path)]
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray(), viewer.layers[-1].data)


@pytest.mark.promise("Open an image, or one of *File ▸ Open Sample ▸ napari-edsr*")
@pytest.mark.gui
@pytest.mark.parametrize(
    ("key", "shape"), [("photo", (180, 240, 3)), ("microscopy", (258, 348))]
)
def test_samples_open_and_are_chosen(docked, key, shape):
    viewer, widget = docked
    viewer.open_sample("napari-edsr", key)
    truth, reduced = viewer.layers
    assert not truth.visible
    assert reduced.data.shape == shape
    assert widget.layers() == [reduced]


@pytest.fixture
def open_demo(make_napari_viewer, monkeypatch):
    """`open_demo()` in a viewer that is closed after the test."""
    import napari

    monkeypatch.setattr(napari, "Viewer", lambda: make_napari_viewer(show=True))
    return lambda: launch.open_demo(block=False)


@pytest.mark.promise("`make demo-gui` opens napari with the dock and a sample.")
@pytest.mark.gui
def test_demo_shows_the_dock_and_the_photograph(open_demo):
    viewer, widget = open_demo()

    assert [layer.name for layer in viewer.layers] == ["city (truth)", "city"]
    np.testing.assert_array_equal(viewer.layers[1].data, samples.photo_lr())
    assert widget in viewer.window.dock_widgets.values()
    assert widget.panel.upscale.isEnabled()


@pytest.mark.gui
def test_demo_shows_the_whole_photograph_beside_the_dock(open_demo, qtbot):
    viewer, widget = open_demo()
    window, camera = widget.window(), viewer.scene.camera

    def is_fitted():
        shown = camera.zoom * np.array(samples.photo_hr().shape[:2])
        share = (shown / viewer.canvas.size).max()
        return 0.85 < share <= 1

    qtbot.waitUntil(is_fitted, timeout=WAIT)
    for width, height in ((1280, 720), (1000, 800)):
        before = viewer.canvas.size
        window.resize(width, height)
        qtbot.waitUntil(lambda old=before: viewer.canvas.size != old, timeout=WAIT)
        assert is_fitted()

    camera.zoom = moved = 2 * camera.zoom
    before = viewer.canvas.size
    window.resize(1280, 720)
    qtbot.waitUntil(lambda: viewer.canvas.size != before, timeout=WAIT)
    assert camera.zoom == moved


@pytest.mark.gui
def test_demo_starts_from_the_defaults_and_keeps_what_is_remembered(
    open_demo, monkeypatch
):
    import napari

    settings.save(model="snu/edsr_x4", scale=4)
    settings.save("remembered", open_sections="quality")
    remembered = settings.load(), settings.load("remembered")
    shown = []

    def use_it():
        (dock,) = napari.current_viewer().window.dock_widgets.values()
        shown.append((dock.controls.settings(), dock.controls.open_sections()))
        assert dock.panel.upscale.isEnabled()
        dock.controls.scale.button(3).click()

    monkeypatch.setattr(napari, "run", use_it)
    launch.open_demo()

    with settings.set_aside():
        assert shown == [(settings.load(), "")]
    assert (settings.load(), settings.load("remembered")) == remembered


@pytest.mark.promise("*Layers ▸ Filter ▸ Upscale (napari-edsr)*, opens the dock.")
def test_menu_entries_open_the_docks(npe2pm):
    manifest = npe2pm.get_manifest("napari-edsr")
    menus = manifest.contributions.menus
    docks = {w.command: w.display_name for w in manifest.contributions.widgets}
    assert {
        place: [docks[item.command] for item in menu] for place, menu in menus.items()
    } == {
        "napari/layers/filter": [NAME, "Fine-tune"],
        "napari/layers/measure": ["Evaluate"],
        "napari/layers/visualize": ["Compare"],
    }


@pytest.mark.promise(
    "*Plugins ▸ napari-edsr ▸ Upscale (napari-edsr)*, or *Layers ▸ Filter ▸ Upscale "
    "(napari-edsr)*, opens the dock.",
    "*Plugins ▸ napari-edsr ▸ Fine-tune (napari-edsr)*, or *Layers ▸ Filter ▸ Fine-tune "
    "(napari-edsr)*",
    "*Plugins ▸ napari-edsr ▸ Evaluate (napari-edsr)*, or *Layers ▸ Measure ▸ Evaluate "
    "(napari-edsr)*",
    "*Plugins ▸ napari-edsr ▸ Compare (napari-edsr)* or *Layers ▸ Visualize ▸ Compare "
    "(napari-edsr)*",
)
def test_every_way_to_a_dock_gives_it_the_name_in_the_readme(npe2pm):
    from napari.plugins import menu_item_template

    manifest = npe2pm.get_manifest("napari-edsr")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    readme = " ".join(readme.split())
    menus = {
        item.command: name.rpartition("/")[2].capitalize()
        for name, items in manifest.contributions.menus.items()
        for item in items
    }
    for widget in manifest.contributions.widgets:
        entry = menu_item_template.format(manifest.display_name, widget.display_name)
        # A viewer's `add_plugin_dock_widget` takes the plugin's name for the title.
        assert entry == menu_item_template.format(manifest.name, widget.display_name)
        assert f"*Plugins ▸ {manifest.display_name} ▸ {entry}*" in readme
        assert f"*Layers ▸ {menus[widget.command]} ▸ {entry}*" in readme
    assert f"*File ▸ Open Sample ▸ {manifest.display_name}*" in readme


@pytest.mark.gui
def test_the_menu_of_plugins_has_one_of_its_own_for_the_docks(make_napari_viewer):
    window = make_napari_viewer().window
    window._update_menu_state("plugins_menu")
    (ours,) = (a for a in window.plugins_menu.actions() if a.text() == "napari-edsr")
    docks = (NAME, "Fine-tune", "Evaluate", "Compare")
    titles = [f"{dock} (napari-edsr)" for dock in docks]
    assert [action.text() for action in ours.menu().actions()] == titles


def test_file_names_suit_every_system():
    assert file_name("a/b: c ×2 (light)") == "a_b_c_x2_light.tif"


NO_TORCH = """
import sys
import threading

class Watch:
    importers = []

    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            self.importers.append(threading.current_thread())

sys.meta_path.insert(0, Watch())
from napari.components import ViewerModel
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QApplication
import numpy as np

app = QApplication([])
from napari_edsr._qt import background
from napari_edsr._qt.upscale_widget import UpscaleWidget

background.IDLE_BEFORE_TORCH = 600_000  # however slow this machine is

viewer = ViewerModel()
viewer.add_image(np.zeros((8, 8), np.uint8))
widget = UpscaleWidget(viewer)
widget.show()
for _ in range(20):
    app.processEvents()
assert widget.isVisible() and widget.panel.upscale.isEnabled()
assert "torch" not in sys.modules, "torch was imported with the dock"
devices = widget.controls.speed.device
assert [devices.itemData(i) for i in range(devices.count())] == ["auto", "cpu"]

background.IDLE_BEFORE_TORCH = 0
loop = QEventLoop()
widget.scout.devices_found.connect(loop.quit)
widget.hide()
widget.show()
loop.exec()
assert "torch" in sys.modules
assert Watch.importers and threading.main_thread() not in Watch.importers
from napari_edsr.device import list_devices
now = [devices.itemData(i) for i in range(devices.count())]
assert now == ["auto", *list_devices()], now
widget.stop_all()
"""


def test_torch_is_imported_in_the_background_after_the_dock_is_shown(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH],
        env={
            **os.environ,
            "NAPARI_CONFIG": str(tmp_path / "settings.yaml"),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
