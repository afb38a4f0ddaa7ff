"""``napari-edsr upscale`` of many files: names, processes, failures, log and estimates."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime

import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.console import Console

from napari_edsr import disk, iter_upscale, save_model, upscale
from napari_edsr.amounts import in_bytes
from napari_edsr.cli import pool, progress
from napari_edsr.file_jobs import Job
from napari_edsr.files import read_header, read_image, tiff_pyramid, tiff_read
from napari_edsr.images import understand
from napari_edsr.stores import pyramid, staging


def photo(path, rng, height=9, width=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 255, (height, width, 3)).astype("u1")
    Image.fromarray(pixels).save(path)


def spoiled(path):
    """A TIFF that can be read, and not be computed with."""
    tifffile.imwrite(path, np.array([[-1.7e308, 1.7e308]] * 9))


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def entries(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("c.png", "a.png", "b.png"):
        photo(tmp_path / "in" / name, rng)
    return tmp_path / "in"


@pytest.fixture
def disk_of(monkeypatch):
    """`disk_of(n_bytes)`: a disk on which so many are free."""

    def of(free):
        usage = shutil._ntuple_diskusage(10**12, 10**12 - free, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    return of


# which files, and what they are called


@pytest.mark.promise(
    '`--pattern "**/*.tif"` takes those of its sub-folders, which the output keeps'
)
def test_a_pattern_goes_into_sub_folders_which_are_kept(run, tiny, tmp_path, rng):
    root = tmp_path / "in"
    (root / "day1").mkdir(parents=True)
    for name in ("a.tif", "day1/b.tif", ".hidden/c.tif", "x.zarr/d.tif", "out/e.tif"):
        photo(root / name, rng)
    photo(root / "day1" / "f.png", rng)
    code, out, err = run(
        *("upscale", root, root / "out", "--pattern", "**/*.tif", "--model", tiny)
    )
    assert (code, err) == (0, "")
    written = names_in(root / "out")
    assert written == ["a.tif", "day1", "day1/b.tif", "e.tif"]
    np.testing.assert_array_equal(
        tifffile.imread(root / "out" / "day1" / "b.tif"),
        upscale(read_image(root / "day1" / "b.tif").data, tiny),
    )
    assert out.splitlines()[-1].startswith("2 images done, in ")


@pytest.mark.promise("A folder's OME-Zarr count as images.")
def test_stores_in_a_folder_are_inputs(run, tiny, tmp_path, rng):
    pixels = rng.integers(0, 255, (9, 8)).astype("u1")
    root = tmp_path / "in"
    root.mkdir()
    upscale(pixels, tiny, out=root / "cells.ome.zarr")
    tifffile.imwrite(root / "scan.ome.tif", pixels)
    name = "{stem}.ome.zarr"
    code, _, err = run(
        "upscale", root, tmp_path / "out", "--name", name, "--model", tiny
    )
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cells.ome.zarr",
        "scan.ome.zarr",
    ]
    code, _, _ = run("upscale", root, tmp_path / "same", "--model", tiny)
    assert code == 0
    assert {"cells.ome.zarr", "scan.ome.tif"} <= set(names_in(tmp_path / "same"))


@pytest.mark.promise(
    "`--name` calls the outputs otherwise, by the fields `{stem}`, `{suffix}` "
    "and `{scale}`."
)
def test_outputs_are_named_by_fields(run, tiny, folder, tmp_path):
    Image.new("L", (4, 5)).save(folder / "d.gif")
    name = "{stem}_x{scale}{suffix}"
    code, _, err = run(
        "upscale", folder, tmp_path / "out", "--name", name, "--model", tiny
    )
    assert (code, err) == (0, "")
    expected = ["a_x2.png", "b_x2.png", "c_x2.png", "d_x2.png"]
    assert names_in(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--name", "{stem}_{day}.png"], "has a field {day}; use {stem}, {suffix}"),
        (["--name", "{stem.real}.png"], "has a field {stem.real}"),
        (["--name", "{stem"], "cannot be read; write it as in"),
        (["--name", "{stem:d}.png"], "cannot be read; write it as in"),
        (["--name", "x{scale}{suffix}"], "Several inputs would become x2.png"),
        (["--name", "{stem}"], "gives a; end it in {suffix}, .tif"),
        (["--name", "../{stem}.png"], "names a folder; name files alone"),
        (["--pattern", "*.tif"], "that match *.tif"),
        (["--pattern", ""], "cannot be read; write it as in '**/*.tif'"),
        (["--pattern", "."], "cannot be read; write it as in '**/*.tif'"),
        (["--jobs", "2", "--workers", "2"], "choose one"),
        (["--log", "no/such/log.jsonl"], "There is no folder no/such"),
        (["--log", "in/a.png"], "a.png must end in .jsonl."),
    ],
)
def test_what_is_refused_before_anything_is_written(
    options, words, run, tiny, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("upscale", "in", "out", "--model", tiny, *options)
    assert (code, err.count("\n")) == (1, 1)
    assert words in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--name", "--pattern"])
def test_a_single_file_has_its_name(option, run, tiny, folder, tmp_path):
    source, out = folder / "a.png", tmp_path / "x.png"
    code, _, err = run("upscale", source, out, "--model", tiny, option, "{stem}.png")
    assert code == 1
    assert f"{option} is for a folder or glob" in err
    assert not out.exists()


def test_a_glob_has_its_pattern(run, tiny, folder, tmp_path):
    code, _, err = run(
        *("upscale", folder / "*.png", tmp_path / "out"),
        *("--pattern", "*.tif", "--model", tiny),
    )
    assert code == 1
    assert "The pattern is for a folder, which" in err


# what becomes of them


@pytest.mark.promise(
    "A file that fails is named at once and again at the end, where the exit code is 1"
)
@pytest.mark.fault(
    "Images: damaged files in a batch", "Each is named at once and again at the end."
)
def test_failures_are_named_at_once_and_again(run, tiny, folder, tmp_path):
    spoiled(folder / "a1.tif")
    (folder / "b1.png").write_bytes(b"not at all")
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    code, said, err = run("upscale", folder, out, "--model", tiny, "--log", log)
    assert code == 1
    lines = said.splitlines()
    reasons = [entry["error"] for entry in entries(log) if entry["error"]]
    assert "span more than" in reasons[0] and "b1.png cannot be read" in reasons[1]
    at_once = lines.index(f"  left out: {folder / 'a1.tif'}: {reasons[0]}")
    assert at_once < lines.index(f"{folder / 'b.png'}: 8 x 9, RGB, uint8, axes YXS")
    assert lines[-4:-1] == [
        "Left out:",
        f"  {folder / 'a1.tif'}: {reasons[0]}",
        f"  {folder / 'b1.png'}: {reasons[1]}",
    ]
    assert re.fullmatch(r"3 images done, 2 failed, in \d.*s", lines[-1])
    assert "2 of 5 images were left out" in err
    assert names_in(out) == ["a.png", "b.png", "c.png"]


@pytest.mark.promise("with `--stop-at-error` it ends the batch")
def test_a_batch_ends_at_a_failure_if_asked_to(run, tiny, folder, tmp_path):
    spoiled(folder / "a1.tif")
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    code, said, err = run(
        *("upscale", folder, out, "--model", tiny, "--log", log, "--stop-at-error")
    )
    assert code == 1
    assert [entry["status"] for entry in entries(log)] == ["done", "failed"]
    assert names_in(out) == ["a.png"]
    assert said.splitlines()[-1].startswith("1 image done, 1 failed, 2 not done, in ")
    assert "span more than" in err


@pytest.mark.promise("`--skip-existing` leaves outputs that are complete")
def test_outputs_that_are_there_are_skipped(run, tiny, folder, tmp_path):
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    out.mkdir()
    (out / "b.png").write_bytes(b"of before")
    code, said, _ = run(
        *("upscale", folder, out, "--model", tiny, "--skip-existing", "--log", log)
    )
    assert code == 0
    assert (out / "b.png").read_bytes() == b"of before"
    assert f"{folder / 'b.png'}: skipped, {out / 'b.png'} is there" in said
    assert said.splitlines()[-1].startswith("2 images done, 1 skipped, in ")
    assert {e["input"]: e["status"] for e in entries(log)} == {
        str(folder / "a.png"): "done",
        str(folder / "b.png"): "skipped",
        str(folder / "c.png"): "done",
    }


@pytest.mark.promise(
    "`--skip-existing` leaves outputs that are complete, so that the same "
    "command goes on with a batch"
)
def test_a_store_is_skipped_once_it_is_complete(run, tiny, tmp_path, rng):
    pixels, source = rng.integers(0, 255, (9, 8)).astype("u1"), tmp_path / "a.tif"
    tifffile.imwrite(source, pixels)
    out, log = tmp_path / "a.ome.zarr", tmp_path / "log.jsonl"
    job = iter_upscale(
        pixels, tiny, axes="YX", out=out, precision="auto", device="auto"
    )
    next(job)
    job.close()
    arguments = ["upscale", source, out, "--model", tiny, "--skip-existing"]
    for expected in ("done", "skipped"):
        assert run(*arguments, "--log", log)[0] == 0
        assert entries(log)[-1]["status"] == expected


@pytest.mark.promise(
    "`--log FILE.jsonl` adds a line for each file: time, input, output, "
    "status, seconds, shape, model, scale and error"
)
def test_the_log_is_added_to(run, tiny, tmp_path, rng):
    log = tmp_path / "log.jsonl"
    log.write_text('{"of": "before"}\n')
    photo(tmp_path / "a.png", rng)
    spoiled(tmp_path / "b.tif")
    for name, code in (("a.png", 0), ("b.tif", 1)):
        arguments = ["upscale", tmp_path / name, tmp_path / f"x_{name}"]
        assert run(*arguments, "--model", tiny, "--log", log)[0] == code
    before, done, failed = entries(log)
    assert before == {"of": "before"}
    assert datetime.fromisoformat(done.pop("time")).utcoffset() == UTC.utcoffset(None)
    assert done.pop("seconds") >= 0
    assert done == {
        "input": str(tmp_path / "a.png"),
        "output": str(tmp_path / "x_a.png"),
        "status": "done",
        "shape": [18, 16, 3],
        "model": tiny,
        "scale": 2,
        "error": None,
    }
    assert (failed["status"], failed["shape"]) == ("failed", None)
    assert "span more than" in failed["error"]


def test_the_bar_of_the_files_is_above_that_of_the_one_at_work(monkeypatch):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    monkeypatch.setattr(progress, "Console", lambda **options: console)

    def job():
        yield progress.BytesDone(1, 4)
        return "result"

    with progress.BatchBars(3) as bars:
        bars.advance()
        seen = lambda event: bars._bar.refresh()  # noqa: E731
        assert bars.run(job(), "Upscaling x2", seen) == "result"
    text = shown.getvalue()
    assert re.search(r"Files.*1/3.*\n.*Upscaling x2", text)


def test_what_files_say_of_themselves_survives_a_batch(run, tiny, tmp_path, rng):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    stack = rng.integers(0, 4000, (2, 2, 9, 8)).astype("u2")
    planes = [
        {"TheT": t, "TheC": c, "TheZ": 0, "DeltaT": 1.5 * t + 0.25 * c}
        for t in range(2)
        for c in range(2)
    ]
    tifffile.imwrite(
        folder / "movie.ome.tif",
        stack,
        metadata={
            "axes": "TCYX",
            "PhysicalSizeX": 0.4,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.6,
            "PhysicalSizeYUnit": "µm",
            "TimeIncrement": 1.5,
            "TimeIncrementUnit": "s",
            "Channel": [{"Name": "DAPI"}, {"Name": "GFP"}],
            "Plane": {key: [plane[key] for plane in planes] for key in planes[0]},
        },
    )
    tifffile.imwrite(
        folder / "stack.tif",
        stack[0],
        imagej=True,
        resolution=(2.5, 2.5),
        metadata={"axes": "ZYX", "unit": "um", "spacing": 0.5, "Info": "by Ada"},
    )
    before = read_image(folder / "movie.ome.tif")
    assert [plane["DeltaT"] for plane in before.metadata["ome"]["Plane"]] == [
        plane["DeltaT"] for plane in planes
    ]
    assert run("upscale", folder, out, "--model", tiny)[0] == 0
    movie = read_image(out / "movie.ome.tif")
    assert movie.channel_names == ("DAPI", "GFP")
    assert movie.metadata["ome"]["Plane"] == before.metadata["ome"]["Plane"]
    assert movie.pixel_size == pytest.approx({"Y": 0.3, "X": 0.2, "T": 1.5})
    stack = read_image(out / "stack.tif")
    assert stack.unit == "µm"
    assert stack.pixel_size == pytest.approx({"Z": 0.5, "Y": 0.2, "X": 0.2})
    assert "by Ada" in stack.metadata["imagej"]["Info"]


# several at a time


#: Shells start what is in the background deaf to Ctrl-C, the test run perhaps.
HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_edsr.cli import main
main()
"""


def begun(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-c", HEEDING, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )


@pytest.mark.promise("`--jobs 4` does four files at a time")
def test_processes_write_what_one_does(run, tiny, folder, tmp_path):
    spoiled(folder / "a1.tif")
    several, one = tmp_path / "several", tmp_path / "one"
    arguments = ["--model", tiny, "--log", tmp_path / "log.jsonl", "--jobs", "2"]
    process = begun("upscale", folder, several, *arguments, cwd=tmp_path)
    said, err = process.communicate()
    assert process.returncode == 1
    assert err.startswith("napari-edsr: 1 of 4 images were left out: ")
    assert err.count("\n") == 1
    assert run("upscale", folder, one, "--model", tiny)[0] == 1
    assert names_in(several) == names_in(one) == ["a.png", "b.png", "c.png"]
    for name in names_in(one):
        np.testing.assert_array_equal(
            read_image(several / name).data, read_image(one / name).data
        )
    lines = said.splitlines()
    assert re.fullmatch(r"3 images done, 1 failed, in \d.*s", lines[-1])
    for name in ("a.png", "b.png", "c.png"):  # what is said of a file stays together
        first = lines.index(f"{folder / name}: 8 x 9, RGB, uint8, axes YXS")
        assert lines[first + 2].startswith(f"  {several / name}: 16 x 18, ")
    found = {
        entry["input"]: entry["status"] for entry in entries(tmp_path / "log.jsonl")
    }
    assert sorted(found.values()) == ["done", "done", "done", "failed"]
    assert found[str(folder / "a1.tif")] == "failed"


@pytest.mark.fault(
    "Stopping: a batch in several processes ended by a signal",
    "All of them end with it.",
)
@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_processes_end_with_the_one_that_began_them(
    number, code, tiny_model, tmp_path, rng
):
    """Their output ends when the last of them has; half-written files are removed."""
    model = save_model(
        tiny_model(n_resblocks=16, n_feats=32), tmp_path / "m.safetensors"
    )
    photo(tmp_path / "in" / "a.png", rng)
    for name in ("b.png", "c.png", "d.png"):
        photo(tmp_path / "in" / name, rng, 900, 900)
    process = begun("upscale", "in", "out", "--model", model, "--jobs", 2, cwd=tmp_path)
    for line in process.stdout:
        if "16 x 18" in line:
            # Ctrl-C reaches all processes of a terminal, a kill only one.
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
            break
    _, err = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in err
    written = names_in(tmp_path / "out")
    assert "a.png" in written and "d.png" not in written
    assert not [name for name in written if name.startswith(".")]
    assert read_image(tmp_path / "out" / "a.png").data.shape == (18, 16, 3)


@pytest.mark.fault(
    "Stopping: one process of a batch killed",
    "It is a failure of its file, with what to do.",
)
def test_a_process_that_ends_early_is_a_failure_of_its_file(tmp_path):
    future = Future()
    future.set_exception(BrokenProcessPool())
    outcome = pool._outcome(Job(tmp_path / "a.png", tmp_path / "b.png"), future)
    assert outcome.status == "failed"
    assert "use fewer --jobs" in outcome.error


# what they take


@pytest.mark.promise(
    "`--dry-run` tells what each file and all together would take on the disk",
    "it reads headers alone and writes nothing",
)
def test_a_dry_run_reads_headers_and_writes_nothing(
    run, tiny, folder, tmp_path, rng, monkeypatch, disk_of
):
    disk_of(5 * 10**9)
    tifffile.imwrite(
        folder / "stack.tif", rng.integers(0, 9, (5, 400, 300), dtype="u2")
    )
    monkeypatch.setattr(tiff_read, "_pixels", None)
    monkeypatch.setattr("napari_edsr.device.measure_speed", lambda device: 1e9)
    log = tmp_path / "log.jsonl"
    before = names_in(tmp_path)
    code, out, err = run(
        *("upscale", folder, tmp_path / "out", "--model", tiny, "--dry-run"),
        *("--log", log),
    )
    assert (code, err) == (0, "")
    assert names_in(tmp_path) == before
    lines = out.splitlines()
    assert lines[0].split() == [
        "Input",
        "Size",
        "Result",
        "On",
        "the",
        "disk",
        "Memory",
        "Time",
    ]
    stack = lines[4].split()
    assert "300 x 400" in lines[4] and "600 x 800" in lines[4]
    # the TIFF itself, and the store it grows in with its coarser level
    most = 5 * 800 * 600 * 2 + 5 * (800 * 600 + 400 * 300) * 2
    assert in_bytes(most) in lines[4]
    assert stack[0] == str(folder / "stack.tif")
    photos = 3 * 16 * 18 * 3
    assert lines[5].startswith("4 images") and in_bytes(most + photos) in lines[5]
    assert lines[6] == f"Free on the disk of {tmp_path / 'out'}: 5.0 GB."


def test_a_dry_run_shows_names_as_they_are(run, tiny, rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a[" / "c]" / "x[bold red]y.png", rng)
    command = ("a[/c]", "out", "--model", tiny, "--dry-run")
    code, out, _ = run("upscale", *command)
    assert code == 0
    assert out.splitlines()[1].startswith("a[/c]/x[bold red]y.png  ")


def test_a_glob_looks_into_folders_and_knows_a_home(
    run, tiny, rng, tmp_path, monkeypatch
):
    for name in ("one", "a/two", "a/b/three"):
        photo(tmp_path / "in" / f"{name}.png", rng)
    monkeypatch.chdir(tmp_path / "in")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    code, *_ = run("upscale", "~/in/**/*.png", "~/out", "--model", tiny)
    assert code == 0
    assert names_in(tmp_path / "out") == ["one.png", "three.png", "two.png"]
    monkeypatch.chdir(tmp_path)
    command = ("**/*.png", "out", "--model", tiny, "--skip-existing")
    code, out, _ = run("upscale", *command)
    assert code == 0
    assert "0 images done, 3 skipped" in out


@pytest.mark.promise(
    "of memory and time, the last from a moment's measurement of the device"
)
def test_a_dry_run_tells_the_time_of_the_device(
    run, tiny, folder, tmp_path, monkeypatch
):
    times = []
    for flops in (1e6, 1e3):
        monkeypatch.setattr("napari_edsr.device.measure_speed", lambda d, f=flops: f)
        code, out, _ = run(
            *("upscale", folder / "a.png", tmp_path / "x.png", "--model", tiny),
            "--dry-run",
        )
        assert code == 0
        times.append(out.splitlines()[1].split()[-2:])
    work = {"s": 1, "min": 60}
    first, second = (float(value) * work[unit] for value, unit in times)
    assert second == pytest.approx(1000 * first, rel=0.1)


def test_a_dry_run_names_what_is_skipped_and_what_fails(run, tiny, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").touch()
    (folder / "b.png").write_bytes(b"not at all")
    code, said, err = run(
        *("upscale", folder, out, "--model", tiny, "--dry-run", "--skip-existing")
    )
    assert code == 1
    lines = said.splitlines()
    assert lines[1].split() == [str(folder / "a.png"), "skipped"]
    assert lines[2].split()[1:] == ["cannot", "be", "done"]
    assert "1 of 3 images cannot be done" in err and "b.png cannot be read" in err
    assert names_in(out) == ["a.png"]


@pytest.mark.promise(
    "A run that surely does not fit on the disk is refused before it begins"
)
@pytest.mark.fault(
    "Disk: no room for a result", "It is refused before the work, with both sizes."
)
@pytest.mark.parametrize("options", [["--dry-run"], []])
def test_a_disk_that_is_too_small_for_all_is_told_beforehand(
    options, run, tiny, tmp_path, disk_of
):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "abc":
        tifffile.imwrite(folder / f"{name}.tif", np.zeros((100, 100), "u1"))
    disk_of(100_000)
    arguments = ["upscale", folder, out, "--model", tiny, *options]
    code, _, err = run(*arguments)
    assert code == 1
    assert "takes 120 kB, and 100 kB are free; make room" in err
    assert not out.exists()
    out.mkdir()
    (out / "a.tif").write_bytes(bytes(40_000))  # which is replaced
    assert run(*arguments)[0] == 0


@pytest.mark.promise(
    "A run that surely does not fit on the disk is refused before it begins; "
    "of an OME-Zarr, which is compressed, a note says so."
)
@pytest.mark.fault(
    "Disk: perhaps no room for a result", "A note says so before the work."
)
@pytest.mark.parametrize(
    ("name", "compression", "refused"),
    [
        ("x.tif", None, True),
        ("x.tif", "zlib", False),
        ("x.png", None, False),
        ("x.ome.zarr", None, False),
    ],
)
def test_only_what_surely_does_not_fit_is_refused(
    name, compression, refused, run, tiny, tmp_path, disk_of
):
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.zeros((100, 100), "u1"), compression=compression)
    disk_of(39_000)
    code, said, err = run("upscale", source, tmp_path / name, "--model", tiny)
    assert (code, (tmp_path / name).exists()) == (int(refused), not refused)
    words = "takes 40 kB, and 39 kB are free; make room"
    assert (words in err) == refused
    assert ("fits only if it can be compressed" in said) != refused


@pytest.mark.promise(
    "Sizes on the disk are those without compression, with the coarser levels "
    "of pyramids and with the store in which a large TIFF grows."
)
def test_large_tiffs_are_foreseen_with_their_levels(tiny, tmp_path, rng, monkeypatch):
    for module, name, value in (
        (staging, "_TILED", 0),
        (pyramid, "_SMALLEST", 64),
        (tiff_pyramid, "_SIDE", 16),
    ):
        monkeypatch.setattr(module, name, value)
    image, out = rng.integers(0, 4000, (2, 144, 128)).astype("u2"), tmp_path / "r.tif"
    spec = understand(image, "ZYX")
    need = disk.needed(out, spec, 2, stored=True)
    finest = 2 * 288 * 256 * 2
    assert (
        need.result == need.beside == need.surely == finest * 85 / 64  # four levels
    )
    assert need.most == 2 * need.result
    upscale(image, tiny, axes="ZYX", out=out)
    assert need.surely <= out.stat().st_size < 1.1 * need.result
    assert disk.needed(out, spec, 2).result == finest


def test_headers_say_what_the_pixels_are(tmp_path, rng):
    colours = Image.fromarray(rng.integers(0, 255, (9, 8, 4)).astype("u1"))
    turned = Image.Exif()
    turned[0x0112] = 6
    colours.save(tmp_path / "alpha.png")
    colours.convert("P").save(tmp_path / "palette.png")
    colours.convert("1").save(tmp_path / "mask.png")
    colours.convert("RGB").save(tmp_path / "turned.jpg", exif=turned)
    colours.convert("CMYK").save(tmp_path / "cmyk.jpg")
    colours.convert("P").save(tmp_path / "palette.gif")
    stack = np.zeros((5, 2, 9, 8), ">u2")
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    tifffile.imwrite(
        tmp_path / "turned.tif", np.zeros((9, 8), "f4"), extratags=[(274, 3, 1, 6)]
    )
    for path in sorted(tmp_path.iterdir()):
        image, header = read_image(path), read_header(path)
        assert (header.data.shape, header.data.dtype) == (
            image.data.shape,
            image.data.dtype,
        ), path.name
        assert (header.axes, header.notes) == (image.axes, image.notes), path.name


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_of_object_stores_other_images_are_refused(run, tiny, tmp_path, more):
    call = ("upscale", "memory://bucket/a.tif", tmp_path / "a.tif", "--model", tiny)
    code, _, err = run(*call, *more)
    assert code == 1
    assert "There is no OME-Zarr at memory://bucket/a.tif; other images are read" in err
