"""The demonstration: pictures and figures that are right."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from napari_edsr import drain, samples
from napari_edsr.cli import main
from napari_edsr.cli.demo import _table
from napari_edsr.demo import run_demo
from napari_edsr.errors import FileError, ModelError
from napari_edsr.events import TileDone
from napari_edsr.files import read_image
from napari_edsr.metrics import score


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return drain(run_demo(tmp_path_factory.mktemp("demo") / "new"))


@pytest.mark.promise(
    "upscales a photograph and a micrograph", "writes the pictures to `demo-output`"
)
def test_pictures_show_what_was_measured(demo):
    folder = demo.files[0].parent
    for one, truth in zip(
        demo.shown, (samples.photo_hr(), samples.microscopy_hr()), strict=True
    ):
        result = read_image(folder / f"{one.sample.name}-result.png").data
        np.testing.assert_array_equal(result, one.result)
        np.testing.assert_array_equal(one.truth, truth)
        again = score(result, truth, scale=2, protocol="mmagic")
        assert again.psnr == one.result_score.psnr
        assert one.result_score.psnr > one.bicubic_score.psnr + 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        p.name for p in demo.files
    )
    assert read_image(demo.files[-1]).data.shape[1] > 2000


def test_closing_the_demo_leaves_no_picture(tmp_path):
    job = run_demo(tmp_path)
    while not isinstance(next(job), TileDone):
        pass
    job.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.promise("prints PSNR and SSIM beside those of bicubic interpolation")
def test_the_command_prints_both_scores(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--output", str(tmp_path), "--scale", "4"])
    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    for words in (
        "Photograph",
        "Microscopy",
        "Bicubic",
        "EDSR light",
        "SSIM",
        "edsr-light-x4",
        "as the mmagic toolbox measures",
    ):
        assert words in " ".join(printed.split())


def test_the_gain_is_the_difference_of_the_figures_beside_it(demo):
    one = replace(
        demo.shown[0],
        bicubic_score=replace(demo.shown[0].bicubic_score, psnr=25.6349),
        result_score=replace(demo.shown[0].result_score, psnr=27.9051),
    )
    console = Console(width=120)
    with console.capture() as capture:
        console.print(_table(replace(demo, shown=(one,))))
    assert all(figure in capture.get() for figure in ("25.63", "27.91", "+2.28 dB"))


def test_without_napari_the_viewer_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--gui"])
    assert stopped.value.code == 1
    assert 'pip install "napari[pyqt6]"' in capsys.readouterr().err


@pytest.mark.parametrize("binding", ["PyQt6", "PySide6"])
def test_a_qt_that_can_not_be_loaded_is_not_said_to_be_missing(
    binding, monkeypatch, capsys
):
    complaint = "libgthread-2.0.so.0: cannot open shared object file"

    def load(name):
        assert name == f"{binding}.QtWidgets"
        raise ImportError(complaint)

    command = "napari_edsr.cli.demo"
    monkeypatch.setattr(f"{command}.find_spec", lambda name: name == binding or None)
    monkeypatch.setattr(f"{command}.import_module", load)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--gui"])
    printed = capsys.readouterr().err
    assert stopped.value.code == 1
    assert f"cannot be loaded ({complaint})" in printed
    assert "pip install" not in printed


@pytest.mark.fault("Devices: no display", "The command says so in one line.")
@pytest.mark.skipif(sys.platform != "linux", reason="others always have a screen")
def test_without_a_display_the_viewer_is_refused_in_one_line(monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    launch = types.SimpleNamespace(open_demo=lambda: pytest.fail("Qt was started"))
    monkeypatch.setitem(sys.modules, "napari_edsr._qt.launch", launch)
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--gui"])
    printed = capsys.readouterr()
    assert stopped.value.code == 1
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "There is no display" in printed.err
    assert "start it on a desktop" in printed.err


@pytest.mark.skipif(sys.platform != "linux", reason="others always have a screen")
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DISPLAY", ":4095", "The display cannot be opened (DISPLAY=:4095)"),
        ("QT_QPA_PLATFORM", "paper", "Could not find the Qt platform plugin"),
    ],
)
def test_a_display_that_can_not_be_opened_is_named(
    name, value, words, monkeypatch, capsys
):
    pytest.importorskip("qtpy")
    for other in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    launch = types.SimpleNamespace(open_demo=lambda: pytest.fail("Qt was started"))
    monkeypatch.setitem(sys.modules, "napari_edsr._qt.launch", launch)
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--gui"])
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out) == (1, "")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert "cursor" not in printed.err
    assert "start it on a desktop" in printed.err


@pytest.mark.fault(
    "Disk: no such folder, and it cannot be made", "An error names it before the work."
)
def test_a_folder_that_can_not_be_made_is_refused_before_the_work(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_bytes(b"")
    with pytest.raises(FileError, match="name another"):
        next(run_demo(occupied / "folder"))
    with pytest.raises(ModelError, match="Scale 5"):
        next(run_demo(tmp_path / "new", scale=5))
    assert not (tmp_path / "new").exists()


def test_a_picture_that_can_not_be_replaced_is_named(tmp_path):
    (tmp_path / "city-input.png").mkdir()
    with pytest.raises(FileError, match=r"city-input\.png cannot be written"):
        drain(run_demo(tmp_path, scale=4))
    assert [path.name for path in tmp_path.iterdir()] == ["city-input.png"]
