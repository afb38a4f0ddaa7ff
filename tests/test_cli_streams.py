"""The command line where output is closed, narrow or interrupted, and in long queues."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edsr import __main__


def call(*arguments, **options):
    command = [sys.executable, "-m", "napari_edsr", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **options)


@pytest.mark.fault(
    "Names and languages: names that the terminal cannot show",
    "They are shown as well as can be, and the run succeeds.",
)
def test_names_that_the_output_can_not_show(tiny, tmp_path):
    Image.new("L", (8, 9)).save(tmp_path / "ünï ☃.png")
    done = call(
        *("upscale", "ünï ☃.png", "☃.png", "--model", tiny),
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "☃.png").exists()


@pytest.mark.fault("Stopping: no output to print to", "The run succeeds.")
@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX closes the output")
def test_a_closed_output_is_no_failure(tiny, tmp_path):
    Image.new("L", (8, 9)).save(tmp_path / "a.png")
    script = f'"{sys.executable}" -m napari_edsr upscale a.png b.png --model "$1" >&-'
    done = subprocess.run(["sh", "-c", script, "sh", tiny], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert (tmp_path / "b.png").exists()


@pytest.mark.fault(
    "Stopping: the command interrupted as it starts",
    "It ends with the usual code and one line.",
)
def test_an_interrupt_during_the_imports(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    fake = types.SimpleNamespace(main=interrupted)
    monkeypatch.setitem(sys.modules, "napari_edsr.cli", fake)
    with pytest.raises(SystemExit) as stopped:
        __main__.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "napari-edsr: Interrupted.\n"


@pytest.mark.fault(
    "Images: an image that cannot be computed among others",
    "The others are upscaled, and the command names it.",
)
def test_images_that_can_not_be_computed_do_not_stop_the_others(run, tiny, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.array([[-1.7e308, 1.7e308]] * 9))
    Image.new("L", (8, 9)).save(folder / "b.png")
    code, out, err = run("upscale", folder, tmp_path / "out", "--model", tiny)
    assert code == 1
    assert "span more than" in out
    assert "1 of 2 images were left out" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


@pytest.mark.parametrize("output", ["x.png", "there.tif"])
def test_several_images_need_a_folder(run, tiny, tmp_path, output):
    Image.new("L", (8, 9)).save(tmp_path / "a.png")
    (tmp_path / "there.tif").touch()
    code, _, err = run(
        "upscale", tmp_path / "*.png", tmp_path / output, "--model", tiny
    )
    assert code == 1
    assert f"which {output} is not; name one for the results" in err
    assert not (tmp_path / "x.png").exists()


def test_a_warning_that_is_also_a_note_is_said_once(run, tiny, tmp_path):
    image = np.random.default_rng(0).random((9, 8)).astype("f4")
    image[2, 3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image)
    code, out, _ = run(
        "upscale", tmp_path / "a.tif", tmp_path / "b.tif", "--model", tiny
    )
    assert code == 0
    assert out.count("NaN or infinite values were filled") == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [("", "INPUT is empty"), ("missing", "There is no file missing")],
)
def test_inputs_that_are_not_there(run, tiny, tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (8, 9)).save("a.png")
    code, _, err = run("upscale", source, "o.png", "--model", tiny)
    assert code == 1
    assert words in err
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".png"] == [
        "a.png"
    ]
