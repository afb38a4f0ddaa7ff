"""How the command line ends: exit codes, one line of errors, nothing half-written."""

import logging
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edsr import files, zoo
from napari_edsr.cli import COMMANDS
from napari_edsr.cli.lazy import LazyCommand
from napari_edsr.errors import EDSRWarning, ModelError


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name):
    place, summary = COMMANDS[name]
    command = LazyCommand(name, place, summary).load()
    assert " ".join(command.help.split("\n\n")[0].split()) == summary


def picture(path, shape=(8, 9)):
    Image.fromarray(np.full(shape, 7, "uint8")).save(path)
    return path


@pytest.mark.fault(
    "Stopping: any error in a command",
    "One line on the error output, and an exit code that is not 0.",
)
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ModelError("No such model."), 1, "No such model."),
        (MemoryError(), 1, "The memory is full"),
        (OSError(5, "Input/output error", "/dev/x"), 1, "Input/output error"),
        (ValueError("two\nlines"), 1, "ValueError: two lines"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_every_error_is_one_line(error, code, words, run, monkeypatch, tmp_path):
    def fail(*_):
        raise error

    monkeypatch.setattr(files, "read_image", fail)
    photo = picture(tmp_path / "x.png")
    got, _, err = run("upscale", photo, tmp_path / "out.png")
    assert got == code
    assert words in err
    assert err.count("\n") == 1


def help_of(run, command):
    """Its help as one line, without the frames."""
    code, out, _ = run(command, "--help")
    assert code == 0
    return " ".join(re.sub("[│╭╮╰╯─]", " ", out).split())


@pytest.mark.parametrize("command", ["upscale", "finetune"])
def test_help_names_a_default_model_that_is_there(command, run):
    shown = re.search(
        r"--model .*?default: \((\S+), or that of --scale", help_of(run, command)
    )
    assert shown[1] == zoo.default_model(2)


def test_help_shows_names_in_capitals_and_switches_without_a_value(run):
    text = help_of(run, "upscale")
    assert re.search(r"upscale \[OPTIONS\] {?INPUT}? {?OUTPUT}? ", text)
    assert "--self-ensemble Average" in text


@pytest.mark.fault(
    "Stopping: the command interrupted while it writes",
    "The old file stays, nothing is left behind.",
)
def test_an_interrupt_while_writing_leaves_the_old_file(
    run, tiny, monkeypatch, tmp_path
):
    source = tmp_path / "x.tif"
    tifffile.imwrite(source, np.zeros((8, 9), "uint8"))
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "y.tif"
    target.write_bytes(b"old")

    def interrupted(path, *_, **__):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tifffile, "imwrite", interrupted)
    code, _, _ = run("upscale", source, target, "--model", tiny)
    assert code == 130
    assert [path.name for path in target.parent.iterdir()] == ["y.tif"]
    assert target.read_bytes() == b"old"


@pytest.mark.fault(
    "Images: a damaged file among others",
    "The others are upscaled, and the command names it.",
)
def test_a_damaged_file_does_not_stop_the_others(run, tiny, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    picture(folder / "a.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:40])
    picture(folder / "c.png")
    picture(folder / "._c.png")
    code, out, err = run("upscale", folder, tmp_path / "out", "--model", tiny)
    assert code == 1
    assert err.count("\n") == 1
    assert "1 of 3 images were left out" in err
    assert "b.png" in err
    assert "left out" in out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.png", "c.png"]


@pytest.mark.promise("Outputs that are there already are replaced, inputs never.")
@pytest.mark.fault(
    "Disk: the output is the input by another name", "It is refused; the input stays."
)
@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_no_input_is_overwritten_through_links(run, tiny, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    picture(folder / "a.png")
    picture(folder / "b.png")
    before = (folder / "b.png").read_bytes()
    for link in (os.symlink, os.link):
        link(folder / "b.png", out / "a.png")
        code, _, err = run("upscale", folder, out, "--model", tiny)
        assert (code, err.count("\n")) == (1, 1)
        assert "is the input itself" in err
        assert (folder / "b.png").read_bytes() == before
        (out / "a.png").unlink()
    code, _, err = run("upscale", folder, folder, "--model", tiny)
    assert (code, "is the input itself" in err) == (1, True)


def test_two_inputs_for_one_output_are_refused(run, tiny, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    picture(folder / "a.png")
    picture(folder / "a.gif")
    code, _, err = run("upscale", folder, tmp_path / "out", "--model", tiny)
    assert (code, "Several inputs would become a.png" in err) == (1, True)
    assert not (tmp_path / "out").exists()


def test_what_a_format_can_not_hold_is_refused_before_the_work(
    run, tiny, monkeypatch, tmp_path
):
    def never(*_, **__):
        raise AssertionError("the engine was started")

    monkeypatch.setattr("napari_edsr.inference.iter_upscale", never)
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8, 9), "float32"))
    code, _, err = run(
        "upscale", tmp_path / "x.tif", tmp_path / "y.png", "--model", tiny
    )
    assert (code, "use .tif" in err) == (1, True)


def test_warnings_and_logs_stay_off_the_error_output(run, monkeypatch, tmp_path):
    def talk(*_):
        logging.getLogger("tifffile").error("a library's complaint")
        warnings.warn("A pixel is odd.", EDSRWarning, stacklevel=2)
        raise ModelError("Stop.")

    monkeypatch.setattr(files, "read_image", talk)
    photo = picture(tmp_path / "x.png")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, out, err = run("upscale", photo, tmp_path / "y.png")
    assert (code, err) == (1, "napari-edsr: Stop.\n")
    assert "A pixel is odd." in out


@pytest.mark.fault(
    "Stopping: a pipe that is closed early",
    "The command ends without an error message.",
)
@pytest.mark.skipif(os.name == "nt", reason="pipes are those of POSIX")
def test_a_reader_that_stops_early_is_no_error_message():
    command = "from napari_edsr.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "models", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert err == b""


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (
            ("evaluate", "a", "b", "--border", "2.5"),
            "integer. Try 'napari-edsr evaluate",
        ),
        (("evaluate", "a"), "'TRUTH'. Try 'napari-edsr evaluate"),
    ],
)
def test_a_wrong_call_gets_two_sentences(run, arguments, end):
    code, _, err = run(*arguments)
    assert code == 2
    assert end in err
