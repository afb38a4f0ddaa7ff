"""Settings that are damaged, of another version, or cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from limits import files_end_at
from napari.settings import get_plugin_settings
from qtpy.QtCore import QLocale, Qt

from napari_edsr._qt import settings
from napari_edsr._qt.compare.widget import CompareWidget
from napari_edsr._qt.evaluate.widget import EvaluateWidget
from napari_edsr._qt.finetune.widget import FinetuneWidget
from napari_edsr._qt.layers import METADATA_KEY
from napari_edsr._qt.upscale_widget import UpscaleWidget

pytestmark = pytest.mark.usefixtures("one_thread")

MANIFEST = Path(__file__).parents[2] / "src" / "napari_edsr" / "napari.yaml"
DOCKS = [UpscaleWidget, FinetuneWidget, EvaluateWidget, CompareWidget]


@pytest.fixture
def path(tmp_path):
    """Where napari keeps the settings of this plugin."""
    return tmp_path / "napari-edsr.yaml"


@pytest.fixture
def opened(qtbot, viewer):
    """`opened()`: all docks, as they open with the settings that are there."""

    def make():
        docks = [dock(viewer) for dock in DOCKS]
        for dock in docks:
            qtbot.addWidget(dock)
        return docks

    return make


DAMAGED = {
    "empty": b"",
    "cut short": b"upsc",
    "a list": b"- upscale\n- remembered\n",
    "no text": b"\xff\xfe\x00\x80",
    "no YAML": b"{[",
    "of zeros": bytes(300),
    "a loop": b"upscale: &a [*a]\n",
    "without keys": b"upscale: 7\nremembered: [1]\n",
}


@pytest.mark.fault(
    "Settings: file damaged", "The docks open with the defaults, and work."
)
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file(kind, path, opened, viewer, image, run):
    defaults = settings.load()
    get_plugin_settings().clear()
    path.write_bytes(DAMAGED[kind])
    upscale, *_ = opened()
    assert settings.load() == defaults
    viewer.add_image(image)
    run(upscale)
    assert upscale.panel.outcome.text().startswith("Done: ")
    upscale.controls.scale.button(4).click()
    assert upscale.controls.choices().scale == 4


OTHERS = {
    "newer": (
        b"upscale:\n  scale: 3\n  colour_space: oklab\nfuture:\n  deep: {er: 1}\n",
        {"scale": 3},
    ),
    "older": (b"upscale:\n  scale: 4\nspeed: 7\n", {"scale": 4}),
    "of other types": (
        b"upscale:\n  scale: three\n  tile: 96\n  region: [1, 2]\n",
        {"tile": 96, "scale": 2, "region": "layer"},
    ),
    "of other values": (
        b"upscale:\n  scale: 9\n  tile: 10000000\n  precision: bf16\n",
        {"scale": 2, "tile": 0, "precision": "bf16"},
    ),
    "of a model that is gone": (
        b"upscale:\n  scale: 2\n  model: no/such/model\n  device: cuda:7\n",
        {"model": "no/such/model"},
    ),
}


@pytest.mark.fault(
    "Settings: file from another version",
    "What is known is taken, the rest has its defaults, and the docks work.",
)
@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_from_another_version(kind, path, opened, viewer, image):
    text, expected = OTHERS[kind]
    path.write_bytes(text)
    upscale, *_ = opened()
    values = settings.load()
    assert {key: values[key] for key in expected} == expected
    assert upscale.controls.choices().scale == values["scale"]
    viewer.add_image(image)
    upscale.controls.scale.button(3).click()
    assert "scale: 3" in path.read_text()


#: The system kills what writes more than four bytes to a file.
_KILLED = """
import resource, signal, sys
from npe2 import PluginManager, PluginManifest
PluginManager.instance().discover()
if "napari-edsr" not in PluginManager.instance():
    PluginManager.instance().register(PluginManifest.from_file(sys.argv[1]))
from napari_edsr._qt import settings
settings.load()
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
settings.save(scale=4, tile=64)
"""


@pytest.mark.fault(
    "Settings: killed while the settings are saved",
    "The docks open, with the defaults for what was lost.",
)
@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="signals are those of POSIX")
def test_a_program_that_is_killed_while_it_saves_them(path, opened):
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, str(MANIFEST)],
        env={**os.environ, "NAPARI_CONFIG": str(path.parent / "settings.yaml")},
    )
    assert ended.returncode == -signal.SIGXFSZ
    assert path.read_text() == "upsc"
    upscale, *_ = opened()
    assert upscale.controls.choices().scale == 2


@pytest.mark.fault(
    "Settings: disk full, or settings folder read-only",
    "The choices hold until the program ends, and the docks work.",
)
def test_settings_that_cannot_be_written(path, opened, viewer, image, run, caplog):
    upscale, *_ = opened()
    viewer.add_image(image)
    with files_end_at(3):
        upscale.controls.scale.button(4).click()
        upscale.controls.speed.tile.setValue(64)
    assert "The settings cannot be written (" in caplog.text
    assert "check the files in napari's settings folder" in caplog.text
    assert (settings.load()["scale"], settings.load()["tile"]) == (4, 64)
    run(upscale)
    assert upscale.panel.outcome.text().startswith("Done: ")
    upscale.controls.scale.button(3).click()  # there is room again
    assert "scale: 3" in path.read_text() and "tile: 64" in path.read_text()


@pytest.fixture
def german():
    """Qt's language, in which decimals have a comma."""
    before = QLocale()
    QLocale.setDefault(QLocale("de_DE"))
    yield
    QLocale.setDefault(before)


@pytest.mark.fault(
    "Names and languages: decimal comma in the system's language",
    "Numbers are typed and shown with a comma, and mean the same everywhere.",
)
def test_numbers_are_typed_with_a_comma(
    german, path, opened, qtbot, viewer, image, run, model_file
):
    upscale, *_ = opened()
    upscale.controls.models.add_file(model_file(2))
    upscale.controls.models.set_value(model_file(2).key)
    upscale.controls.intensities.set_value("range", 0, 1)
    for box, text in (("low", "0,5"), ("high", "900,25")):
        field = getattr(upscale.controls.intensities, box)
        field.selectAll()
        qtbot.keyClicks(field, text)
        qtbot.keyClick(field, Qt.Key.Key_Return)
    viewer.add_image(image)
    run(upscale)
    about = viewer.layers[-1].metadata[METADATA_KEY]
    assert about["ranges"] == [[0.5, 900.25]]
    assert "range_high: 900.25" in path.read_text()
    again, *_ = opened()
    assert again.controls.intensities.value() == (0.5, 900.25)
    assert again.controls.intensities.high.text().startswith("900,25")
