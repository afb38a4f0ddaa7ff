"""TIFF by way of a store: the pixels of a run in memory, however large, and resumed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_edsr import drain, iter_upscale, storing, upscale
from napari_edsr import plan as tile_plan
from napari_edsr.errors import FileError
from napari_edsr.events import BytesDone, TileDone
from napari_edsr.files import ImageFile, read_image, tiff_pyramid, write_image
from napari_edsr.stores import plan, pyramid, staging
from napari_edsr.stores.pyramid import halved
from napari_edsr.units import converted


@pytest.fixture
def small_units(monkeypatch):
    """Units of 64 rows and bands of eight, of an image 70 pixels wide."""
    monkeypatch.setattr(tile_plan, "_BAND_PIXELS", 8 * 70)
    monkeypatch.setattr(plan, "_CHUNK", 128)
    monkeypatch.setattr(plan, "UNIT_PIXELS", 64 * 64)
    monkeypatch.setattr(staging, "UNIT_PIXELS", 64 * 64)


@pytest.fixture
def tiled(monkeypatch):
    """All results are large, and coarser levels go down to 64 pixels."""
    monkeypatch.setattr(staging, "_TILED", 0)
    monkeypatch.setattr(pyramid, "_SMALLEST", 64)
    monkeypatch.setattr(tiff_pyramid, "_SIDE", 64)


SHAPES = {"Y": 100, "X": 90, "S": 3, "C": 2, "Z": 2, "T": 1}


def left_behind(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.promise(
    "An output that ends in `.ome.zarr` or `.tif` (`pip install "
    '"napari-edsr[large]"`) may be larger than memory',
    "as a pyramid that viewers for whole slides open",
)
@pytest.mark.parametrize(
    ("axes", "dtype"),
    [("YXS", "u1"), ("YX", "bool"), ("CYX", "u2"), ("TCZYX", "u2"), ("ZYX", "f4")],
)
@pytest.mark.parametrize("name", ["r.tif", "r.ome.tif"])
def test_tiles_at_several_resolutions(tiny, rng, tmp_path, tiled, axes, dtype, name):
    image = (rng.random([SHAPES[axis] for axis in axes]) * 200).astype(dtype)
    options = {"axes": axes, "normalize": (0, 200)}
    like = ImageFile(image, axes, pixel_size={"Y": 0.5, "X": 0.4}, unit="µm")
    expected = upscale(image, tiny, **options)
    out = tmp_path / name
    result = drain(iter_upscale(image, tiny, out=out, like=like, **options))
    np.testing.assert_allclose(result.image, expected, atol=1e-3)
    with tifffile.TiffFile(out) as tif:
        assert tif.is_bigtiff and tif.is_ome
        levels = [level.asarray() for level in tif.series[0].levels]
        assert tif.series[0].keyframe.is_tiled
    assert len(levels) == 3
    np.testing.assert_array_equal(levels[0], np.squeeze(result.image))
    for finer, coarser in zip(levels, levels[1:], strict=False):
        finer = np.moveaxis(finer, -1, 0) if "S" in axes else finer
        coarser = np.moveaxis(coarser, -1, 0) if "S" in axes else coarser
        np.testing.assert_array_equal(coarser, halved(finer))
    written = read_image(out)
    assert written.pixel_size == {"Y": 0.25, "X": 0.2} and written.unit == "µm"
    assert written.provenance["scale"] == 2
    assert left_behind(tmp_path) == []


def test_types_that_ome_does_not_know_are_tiled_as_well(tiny, rng, tmp_path, tiled):
    image = rng.integers(0, 2**40, (100, 90))
    expected = upscale(image, tiny)
    upscale(image, tiny, out=tmp_path / "r.tif")
    with tifffile.TiffFile(tmp_path / "r.tif") as tif:
        assert not tif.is_ome and tif.pages[0].is_tiled
        np.testing.assert_array_equal(tif.asarray(), expected)


def test_a_small_result_is_the_file_it_always_was(run, tiny, rng, tmp_path):
    """ImageJ stays ImageJ; nothing but the hash of the run comes in addition."""
    image = rng.integers(0, 4096, (5, 300, 200), dtype=np.uint16)
    source, out = tmp_path / "stack.tif", tmp_path / "out.tif"
    tifffile.imwrite(
        source,
        image,
        imagej=True,
        resolution=(1 / 0.2, 1 / 0.2),
        metadata={"axes": "ZYX", "unit": "um", "spacing": 0.5, "Info": "by Ada"},
    )
    code, _, error = run("upscale", source, out, "--model", tiny)
    assert (code, error) == (0, "")
    np.testing.assert_array_equal(
        tifffile.imread(out), upscale(image, tiny, axes="ZYX")
    )
    with tifffile.TiffFile(out) as tif:
        assert tif.is_imagej and "by Ada" in tif.imagej_metadata["Info"]
    assert read_image(out).pixel_size == pytest.approx({"Z": 0.5, "Y": 0.1, "X": 0.1})


_KILLED = """
import os, signal, sys
from napari_edsr import cli, plan as tile_plan, runs
from napari_edsr.stores import plan, result, staging
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
plan._CHUNK, plan.UNIT_PIXELS, result._RECORD_SECONDS = 128, 64 * 64, 0
staging.UNIT_PIXELS, tile_plan._BAND_PIXELS = 64 * 64, 8 * 70
left, name = int(sys.argv.pop()), sys.argv.pop()
tile_done = runs.Run._tile_done
def counted(self, where):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), getattr(signal, name))
    return tile_done(self, where)
runs.Run._tile_done = counted
cli.main(sys.argv[1:])
"""


@pytest.mark.promise(
    "If the run is stopped or killed, the same command goes on where it was "
    "and ends with the same bytes"
)
@pytest.mark.fault(
    "Stopping: a command that writes a large TIFF killed, interrupted or terminated",
    "Started again, it goes on and ends with the same bytes as a run in one go.",
)
@pytest.mark.parametrize(
    ("name", "code"), [("SIGKILL", -signal.SIGKILL), ("SIGINT", 130), ("SIGTERM", 143)]
)
def test_a_command_that_ends_early_goes_on(
    run, tiny, rng, tmp_path, small_units, name, code
):
    image = rng.integers(0, 256, (2, 150, 70), dtype=np.uint8)
    source, out = tmp_path / "image.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, image, metadata={"axes": "ZYX"})
    whole = tmp_path / "whole.tif"
    arguments = ["--model", tiny]
    assert run("upscale", source, whole, *arguments)[0] == 0
    words = ["upscale", source, out, *arguments, name, 20]
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        check=False,
    )
    assert ended.returncode == code
    assert left_behind(tmp_path) == [".out.tif.zarr"] and not out.exists()
    code, said, _ = run("upscale", source, out, *arguments)
    assert code == 0 and "Went on after" in said
    np.testing.assert_array_equal(tifffile.imread(out), tifffile.imread(whole))
    assert left_behind(tmp_path) == []
    code, said, _ = run("upscale", source, out, *arguments)
    assert code == 0 and "finished before" in said


def test_a_store_that_was_not_removed_goes_with_the_next_run(
    tiny, rng, tmp_path, monkeypatch
):
    image, out = rng.integers(0, 256, (50, 70), dtype=np.uint8), tmp_path / "r.tif"
    with monkeypatch.context() as patch:
        patch.setattr(staging, "remove", lambda path: None)
        expected = upscale(image, tiny, out=out)
    assert left_behind(tmp_path) == [".r.tif.zarr"]
    np.testing.assert_array_equal(upscale(image, tiny, out=out), expected)
    assert left_behind(tmp_path) == []


def test_what_was_begun_otherwise_is_not_mixed(tiny, rng, tmp_path, small_units):
    image, out = rng.integers(0, 256, (150, 70), dtype=np.uint8), tmp_path / "r.tif"
    job = iter_upscale(image, tiny, out=out)
    next(job)
    job.close()
    with pytest.raises(FileError, match=r"r\.tif was made with precision auto"):
        drain(iter_upscale(image, tiny, out=out, precision="fp32"))
    upscale(image, tiny, out=out, precision="fp32", overwrite=True)
    assert left_behind(tmp_path) == []


def test_a_finished_file_of_another_run_is_replaced(tiny, rng, tmp_path):
    image, out = rng.integers(0, 256, (50, 70), dtype=np.uint8), tmp_path / "r.tif"
    out.write_bytes(b"II*\0damaged")
    upscale(image, tiny, out=out)
    upscale(image, tiny, out=out, normalize=(0, 99))
    np.testing.assert_array_equal(
        tifffile.imread(out), upscale(image, tiny, normalize=(0, 99))
    )


@pytest.mark.fault(
    "Stopping: cancelled while a large TIFF is written",
    "Nothing is computed again by the next run.",
)
def test_closing_while_the_file_is_written_leaves_the_store(
    tiny, rng, tmp_path, tiled, monkeypatch
):
    image, out = rng.integers(0, 256, (150, 70), dtype=np.uint8), tmp_path / "r.tif"
    expected = upscale(image, tiny)
    job = iter_upscale(image, tiny, out=out)
    events = iter(job)
    while not isinstance(next(events), BytesDone):
        pass
    job.close()
    assert left_behind(tmp_path) == [".r.tif.zarr"] and not out.exists()
    monkeypatch.setattr(storing, "iter_run", None)  # nothing is computed again
    events = []
    result = drain(iter_upscale(image, tiny, out=out), events.append)
    assert not any(isinstance(event, TileDone) for event in events)
    assert events[-1].done == events[-1].total
    assert "finished before" not in " ".join(result.metadata["notes"])
    np.testing.assert_array_equal(result.image, expected)


@pytest.mark.fault(
    "Disk: full while a large TIFF is written",
    "Nothing is computed again by the next run.",
)
def test_a_disk_that_fills_up_while_the_file_is_written(
    tiny, rng, tmp_path, tiled, monkeypatch
):
    image, out = rng.integers(0, 256, (150, 70), dtype=np.uint8), tmp_path / "r.tif"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, tiles, **options):
        next(tiles)
        raise full

    monkeypatch.setattr(tiff_pyramid, "_WAITING", 1)
    with monkeypatch.context() as patch:
        patch.setattr(tifffile.TiffWriter, "write", write)
        with pytest.raises(FileError, match="No space left"):
            drain(iter_upscale(image, tiny, out=out))
    assert left_behind(tmp_path) == [".r.tif.zarr"]
    upscale(image, tiny, out=out)
    assert left_behind(tmp_path) == [] and out.exists()


def test_other_suffixes_are_refused(tiny, rng, tmp_path):
    with pytest.raises(FileError, match=r"\.ome\.zarr or \.tif, not to r\.png"):
        upscale(np.zeros((8, 8), "u1"), tiny, out=tmp_path / "r.png")


@pytest.mark.parametrize("shape", [(3, 30, 1), (1, 1, 40), (2, 40, 50)])
def test_axes_of_length_one_and_files_of_other_ranks(tiny, rng, tmp_path, tiled, shape):
    image, out = rng.integers(0, 256, shape, dtype=np.uint8), tmp_path / "r.tif"
    tifffile.imwrite(out, np.zeros((4, 5, 6, 7), "u1"))
    result = upscale(image, tiny, axes="ZYX", out=out)
    expected = upscale(image, tiny, axes="ZYX")
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(upscale(image, tiny, axes="ZYX", out=out), expected)


def test_what_an_ome_zarr_tells_stays_in_a_tiff(run, tiny, rng, tmp_path):
    image = rng.integers(0, 256, (2, 30, 40), dtype=np.uint8)
    like = ImageFile(
        image,
        "CYX",
        pixel_size={"Y": 0.5, "X": 0.4},
        unit="µm",
        channel_names=("DAPI", "GFP"),
    )
    upscale(image, tiny, axes="CYX", out=tmp_path / "i.ome.zarr", like=like)
    out = tmp_path / "o.tif"
    assert run("upscale", tmp_path / "i.ome.zarr", out, "--model", tiny)[0] == 0
    written = read_image(out)
    assert written.unit == "µm" and written.channel_names == ("DAPI", "GFP")
    assert written.pixel_size == pytest.approx({"Y": 0.125, "X": 0.1})


def test_a_tiff_of_another_pixel_size_is_made_anew(tiny, rng, tmp_path):
    image, out = rng.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "r.tif"
    for size in (0.5, 0.1):
        like = ImageFile(image, "YX", pixel_size={"Y": size, "X": size}, unit="µm")
        drain(iter_upscale(image, tiny, out=out, like=like))
        found = read_image(out)
        assert converted(found.pixel_size["X"], found.unit, "µm") == pytest.approx(
            size / 2
        )


def test_a_result_that_was_cropped_since_is_made_anew(tiny, rng, tmp_path, small_units):
    """Fiji keeps what a file says of its making when it saves a part of it."""
    image = rng.integers(0, 255, (100, 90), dtype=np.uint8)
    out = tmp_path / "r.tif"
    drain(iter_upscale(image, tiny, out=out))
    made = read_image(out)
    write_image(out, replace(made, data=made.data[:120, :70]))
    again = drain(iter_upscale(image, tiny, out=out))
    assert again.image.shape == (200, 180)
    np.testing.assert_array_equal(read_image(out).data, made.data)
