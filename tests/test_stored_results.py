"""Results in OME-Zarr: the pixels of a run in memory, whenever and however it was cut."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from stored_files import files_of

from napari_edsr import drain, engines, files, iter_upscale, storing, upscale
from napari_edsr import plan as tile_plan
from napari_edsr.errors import DeviceError, EDSRWarning, FileError, ImageError
from napari_edsr.estimate import region_slices
from napari_edsr.events import BytesDone, TileDone, UpscalePlanned
from napari_edsr.files import ImageFile
from napari_edsr.files.common import PROVENANCE
from napari_edsr.images import understand
from napari_edsr.stores import plan
from napari_edsr.stores import result as stored
from napari_edsr.stores.pyramid import Pyramid, halved, level_factors
from napari_edsr.stores.read import read_zarr


@pytest.fixture
def small_units(monkeypatch):
    """Units of 64 rows and bands of eight, of an image 70 pixels wide."""
    monkeypatch.setattr(tile_plan, "_BAND_PIXELS", 8 * 70)
    monkeypatch.setattr(plan, "_CHUNK", 128)
    monkeypatch.setattr(plan, "UNIT_PIXELS", 64 * 64)


def state_of(path: Path) -> str:
    return zarr.open_group(path, mode="r").attrs[PROVENANCE]["state"]


SHAPES = {"Y": 100, "X": 90, "S": 3, "C": 2, "Z": 2, "T": 2}


@pytest.mark.parametrize("tile", ["auto", 24])
@pytest.mark.parametrize(
    ("axes", "dtype"),
    [
        ("YXS", "u1"),
        ("YX", "bool"),
        ("CYX", "u2"),
        ("TCZYX", "u2"),
        ("ZCYX", "f4"),
        ("SYX", "u1"),
        ("XYT", ">u2"),
    ],
)
def test_the_pixels_are_those_of_a_run_in_memory(
    tiny, rng, tmp_path, small_units, axes, dtype, tile
):
    image = (rng.random([SHAPES[axis] for axis in axes]) * 200).astype(dtype)
    options = {"axes": axes, "tile": tile, "normalize": (0, 200)}
    result = drain(iter_upscale(image, tiny, out=tmp_path / "r.ome.zarr", **options))
    expected = upscale(image, tiny, **options)
    assert result.axes == axes and result.image.dtype == expected.dtype.newbyteorder(
        "="
    )
    found, expected = np.asarray(result.image), np.asarray(expected)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, atol=1e-3)
    else:
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= (
            tile != "auto"
        )


def test_channels_that_go_through_the_network_together(tiny_model, rng, tmp_path):
    model = tiny_model(n_colors=2)
    image = rng.integers(0, 256, (2, 3, 40, 50), dtype=np.uint8)
    expected = upscale(image, model, axes="CZYX")
    for name in ("r.ome.zarr", "r.tif"):
        result = upscale(image, model, axes="CZYX", out=tmp_path / name)
        np.testing.assert_array_equal(result, expected)


def test_a_region_and_what_is_not_finite(tiny, rng, tmp_path, small_units):
    image = rng.random((2, 100, 90)).astype("f4")
    image[:, 40:44, 30:50] = np.nan
    options = {"axes": "ZYX", "region": {"Y": (21, 95), "Z": (1, 2)}}
    with pytest.warns(EDSRWarning, match="NaN"):
        expected = upscale(image, tiny, **options)
    with pytest.warns(EDSRWarning, match="NaN"):
        result = upscale(image, tiny, out=tmp_path / "r.ome.zarr", **options)
    np.testing.assert_allclose(np.asarray(result), expected, atol=1e-5)


@pytest.mark.fault(
    "Stopping: a run to OME-Zarr cancelled, again and again",
    "Started again, it goes on and ends with the same bytes as a run in one go.",
)
@pytest.mark.parametrize("tile", ["auto", 24])
def test_a_run_that_is_stopped_goes_on_and_ends_with_the_same_bytes(
    tiny, rng, tmp_path, small_units, tile
):
    image = rng.integers(0, 256, (2, 150, 70), dtype=np.uint8)
    whole, cut = tmp_path / "whole.ome.zarr", tmp_path / "cut.ome.zarr"
    drain(iter_upscale(image, tiny, axes="ZYX", tile=tile, out=whole))
    done: list[int] = []
    for _ in range(200):
        job = iter_upscale(image, tiny, axes="ZYX", tile=tile, out=cut)
        events = [event for event, _ in zip(job, range(14), strict=False)]
        tiles = [event for event in events if isinstance(event, TileDone)]
        job.close()
        done.append(len(tiles))
        if state_of(cut) == "complete":
            break
        assert state_of(cut) == "unfinished"
    assert len(done) > 2, "it was never interrupted"
    assert files_of(cut) == files_of(whole)


_KILLED = """
import os, signal, sys
import numpy as np
from napari_edsr import iter_upscale, plan as tile_plan
from napari_edsr.events import TileDone
from napari_edsr.stores import plan, result
plan._CHUNK, plan.UNIT_PIXELS, result._RECORD_SECONDS = 128, 64 * 64, 0
tile_plan._BAND_PIXELS = 8 * 70
image = np.load(sys.argv[1])
done = 0
for event in iter_upscale(image, sys.argv[2], axes="ZYX", out=sys.argv[3]):
    done += isinstance(event, TileDone)
    if done == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.promise(
    "If the run is stopped or killed, the same command goes on where it was "
    "and ends with the same bytes"
)
@pytest.mark.fault(
    "Stopping: a run to OME-Zarr killed",
    "Started again, it goes on and ends with the same bytes as a run in one go.",
)
@pytest.mark.parametrize("tiles", [1, 14, 30])
def test_a_run_that_is_killed_goes_on_and_ends_with_the_same_bytes(
    tiny, rng, tmp_path, small_units, tiles
):
    image = rng.integers(0, 256, (2, 150, 70), dtype=np.uint8)
    np.save(tmp_path / "image.npy", image)
    whole, cut = tmp_path / "whole.ome.zarr", tmp_path / "cut.ome.zarr"
    drain(iter_upscale(image, tiny, axes="ZYX", out=whole))
    arguments = [tmp_path / "image.npy", tiny, cut, tiles]
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    result = drain(iter_upscale(image, tiny, axes="ZYX", out=cut))
    assert files_of(cut) == files_of(whole)
    notes = " ".join(result.metadata["notes"])
    assert ("Went on after" in notes) == (tiles > 1)


@pytest.mark.fault(
    "Stopping: killed while a part of an OME-Zarr is written",
    "What was begun is not read, and is gone once the result is finished.",
)
def test_a_file_that_was_begun_is_not_left_behind(tiny, rng, tmp_path, small_units):
    image = rng.integers(0, 256, (150, 70), dtype=np.uint8)
    whole, cut = tmp_path / "whole.ome.zarr", tmp_path / "cut.ome.zarr"
    drain(iter_upscale(image, tiny, out=whole))
    job = iter_upscale(image, tiny, out=cut)
    next(event for event in job if isinstance(event, TileDone) and event.done == 9)
    job.close()
    for begun in ("0/c/0/0.5ab3.partial", ".5ab3.partial"):  # of zarr, and of ours
        (cut / begun).parent.mkdir(parents=True, exist_ok=True)
        (cut / begun).write_bytes(b"begun")
    drain(iter_upscale(image, tiny, out=cut))
    assert files_of(cut) == files_of(whole)


def test_a_finished_result_is_reported_and_not_made_again(
    tiny, rng, tmp_path, monkeypatch
):
    image, out = rng.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    first = drain(iter_upscale(image, tiny, out=out))
    monkeypatch.setattr(engines, "make_run", None)
    again = drain(iter_upscale(image, tiny, out=out))
    assert "finished before" in again.metadata.pop("notes")[-1]
    first.metadata.pop("notes")
    assert again.metadata == first.metadata
    np.testing.assert_array_equal(again.image, first.image)


@pytest.mark.fault(
    "Disk: a result of other arguments stands at the output",
    "It is left alone; the error names what differs.",
)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tile": 32}, "tile auto"),
        ({"normalize": (0, 99)}, "normalize=auto"),
        ({"region": {"Y": (0, 30)}}, "region {}"),
        ({"self_ensemble": True}, "self_ensemble=False"),
        ({"precision": "fp32"}, "precision auto"),
    ],
)
def test_results_of_other_arguments_are_not_mixed(tiny, rng, tmp_path, changes, words):
    image, out = rng.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    upscale(image, tiny, out=out)
    before = files_of(out)
    with pytest.raises(FileError) as error:
        upscale(image, tiny, out=out, **changes)
    assert f"was made with {words}" in str(error.value)
    assert "--overwrite" in str(error.value)
    assert files_of(out) == before
    upscale(image, tiny, out=out, overwrite=True, **changes)
    assert state_of(out) == "complete"


@pytest.mark.fault(
    "Disk: a result of another model or image stands at the output",
    "It is left alone; the error names what differs.",
)
def test_other_models_and_images_are_not_mixed(tiny_model, rng, tmp_path):
    image, out = rng.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    upscale(image, tiny_model(), out=out)
    with pytest.raises(FileError, match="made with model"):
        upscale(image, tiny_model(seed=1), out=out)
    image[7, 9] ^= 1
    with pytest.raises(FileError, match="made with another image"):
        upscale(image, tiny_model(), out=out)


@pytest.mark.fault(
    "Devices: a run goes on where results would differ",
    "It is refused, and says where to go on.",
)
def test_a_machine_that_computes_otherwise_does_not_go_on(
    tiny, rng, tmp_path, small_units, monkeypatch
):
    image, out = rng.integers(0, 256, (99, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    job = iter_upscale(image, tiny, out=out)
    next(job)
    job.close()
    monkeypatch.setattr(storing, "describe", lambda device: "an abacus")
    with pytest.raises(DeviceError, match="this is an abacus"):
        drain(iter_upscale(image, tiny, out=out))


@pytest.mark.fault(
    "Disk: something else stands at the output",
    "It is left alone, even if replacing was asked for.",
)
def test_what_is_not_ours_is_left_alone(tiny, rng, tmp_path):
    image = rng.integers(0, 256, (40, 40), dtype=np.uint8)
    foreign, group = tmp_path / "f.ome.zarr", tmp_path / "g.ome.zarr"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years")
    zarr.open_group(group, mode="w").create_array("0", shape=(3,), dtype="u1")
    for path in (foreign, group):
        for overwrite in (False, True):
            with pytest.raises(FileError, match="not from here"):
                upscale(image, tiny, out=path, overwrite=overwrite)
    assert (foreign / "thesis.txt").read_text() == "years"
    with pytest.raises(ImageError, match="uncertainty"):
        upscale(image, tiny, out=tmp_path / "u.ome.zarr", uncertainty=True)


def test_pixels_lie_where_their_source_does(tiny, rng, tmp_path):
    image = rng.integers(0, 4096, (2, 2, 700, 300), dtype=np.uint16)
    like = ImageFile(
        image,
        "CZYX",
        pixel_size={"Z": 2.0, "Y": 0.5, "X": 0.4},
        unit="µm",
        channel_names=("DAPI", "GFP"),
        contrast_limits=[(100, 4000), (50, 900)],
        metadata={
            "origin": {"Y": 10.0, "X": -3.0},
            "colors": ("#0000FF", "00FF00"),
        },
    )
    out = tmp_path / "r.ome.zarr"
    region = {"Y": (100, 700)}
    drain(iter_upscale(image, tiny, axes="CZYX", out=out, like=like, region=region))
    about = zarr.open_group(out, mode="r").attrs["ome"]
    levels = about["multiscales"][0]["datasets"]
    for number, level in enumerate(levels):
        (scale, shift) = level["coordinateTransformations"]
        pixel = np.array([0.25, 0.2]) * 2**number
        np.testing.assert_allclose(scale["scale"], [1, 2, *pixel])
        # The outer edge of the first pixel, which is the same at all levels.
        edge = np.array(shift["translation"][2:]) - pixel / 2
        np.testing.assert_allclose(edge, [10 + 100 * 0.5 - 0.25, -3 - 0.2])
    assert [a.get("unit") for a in about["multiscales"][0]["axes"]][1:] == (
        ["micrometer"] * 3
    )
    channels = about["omero"]["channels"]
    assert [c["label"] for c in channels] == ["DAPI", "GFP"]
    assert [c["color"] for c in channels] == ["0000FF", "00FF00"]
    assert [(c["window"]["start"], c["window"]["end"]) for c in channels] == [
        (100, 4000),
        (50, 900),
    ]


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "bool"])
def test_coarser_levels_are_means_of_finer_ones(
    tiny, rng, tmp_path, small_units, monkeypatch, dtype
):
    from napari_edsr.stores import pyramid

    monkeypatch.setattr(pyramid, "_SMALLEST", 40)
    image = (rng.random((2, 91, 155)) * 200).astype(dtype)
    out = tmp_path / "r.ome.zarr"
    upscale(image, tiny, axes="ZYX", out=out, normalize=(0, 200))
    group = zarr.open_group(out, mode="r")
    levels = [group[name][:] for name in sorted(group.array_keys(), key=int)]
    assert len(levels) == len(level_factors(182, 310)) == 4
    for finer, coarser in zip(levels, levels[1:], strict=False):
        np.testing.assert_array_equal(coarser, halved(finer))


def test_means_round_half_up_and_leave_out_odd_edges():
    values = np.array([[0, 1, 9], [1, 0, 9], [9, 9, 9]], np.uint8)
    np.testing.assert_array_equal(halved(values), [[1]])
    assert halved(np.array([[True, False], [False, False]])).tolist() == [[False]]


@pytest.mark.promise("other settings are refused, unless `--overwrite` begins anew")
def test_the_command_line_writes_and_goes_on(run, tiny, rng, tmp_path, small_units):
    source, out = tmp_path / "stack.tif", tmp_path / "r.ome.zarr"
    image = rng.integers(0, 4096, (3, 100, 40), dtype=np.uint16)
    tifffile.imwrite(
        source,
        image,
        imagej=True,
        resolution=(1 / 0.2, 1 / 0.2),
        metadata={"axes": "ZYX", "unit": "um", "spacing": 0.5},
    )
    arguments = ["upscale", source, out, "--model", tiny]
    code, said, _ = run(*arguments)
    assert code == 0 and "80 x 200" in said
    expected = upscale(image, tiny, axes="ZYX")
    group = zarr.open_group(out, mode="r")
    np.testing.assert_array_equal(group["0"][:], expected)
    (scale, _) = group.attrs["ome"]["multiscales"][0]["datasets"][0][
        "coordinateTransformations"
    ]
    np.testing.assert_allclose(scale["scale"], [0.5, 0.1, 0.1])
    code, _, error = run(*arguments, "--precision", "fp32")
    assert code == 1 and "--overwrite" in error
    code, said, _ = run(*arguments, "--precision", "fp32", "--overwrite")
    assert code == 0
    code, _, error = run(*arguments, "--consistency", tmp_path / "c.tif")
    assert code == 1 and "OUTPUT such as .tif" in error


@pytest.mark.promise("(`.ome.zarr`, extra `large`)")
def test_without_zarr_a_sentence_says_what_to_install(tiny, rng, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    image = rng.integers(0, 256, (40, 40), dtype=np.uint8)
    with pytest.raises(FileError, match=r"pip install 'napari-edsr\[large\]'"):
        upscale(image, tiny, out=tmp_path / "r.ome.zarr")


@pytest.mark.parametrize("axes", ["TCZYX", "YXS", "ZYX"])
def test_a_result_is_read_again_with_all_that_is_known_of_it(tiny, rng, tmp_path, axes):
    image = rng.integers(0, 256, [SHAPES[axis] for axis in axes], dtype=np.uint8)
    names = ("DAPI", "GFP") if "C" in axes else ()
    like = ImageFile(
        image,
        axes,
        pixel_size={"Y": 0.5, "X": 0.4, **({"T": 3.0} if "T" in axes else {})},
        unit="µm",
        channel_names=names,
        contrast_limits=[(1.0, 99.0), (2.0, 98.0)] if names else None,
        metadata={
            "origin": {"Y": 10.0, "X": -3.0},
            "colors": ("0000FF", "00FF00") if names else (),
        },
    )
    out = tmp_path / "r.ome.zarr"
    expected = drain(iter_upscale(image, tiny, axes=axes, out=out, like=like))
    found = read_zarr(out)
    assert found.axes == axes and found.unit == "µm"
    np.testing.assert_array_equal(np.asarray(found.data), np.asarray(expected.image))
    assert found.pixel_size["X"] == pytest.approx(0.2)
    assert found.metadata["origin"]["Y"] == pytest.approx(10 - 0.125)
    assert found.channel_names == names
    assert found.provenance == expected.metadata
    if names:
        assert found.contrast_limits == [(1, 99), (2, 98)]
        assert found.pixel_size["T"] == 3


def test_the_share_that_is_done_is_told(tiny, rng, tmp_path, small_units):
    image, out = rng.integers(0, 256, (256, 70), np.uint8), tmp_path / "r.ome.zarr"
    assert stored.read_state(out) is None
    job, shares = iter_upscale(image, tiny, out=out), []
    next(event for event in job if isinstance(event, TileDone) and event.done == 20)
    job.close()
    about = stored.read_state(out)
    shares.append(stored.share_done(out, about))
    drain(iter_upscale(image, tiny, out=out))
    shares.append(stored.share_done(out, stored.read_state(out)))
    assert shares == [0.5, 1.0]


def test_a_large_image_is_looked_at_step_by_step(tiny, rng, tmp_path, monkeypatch):
    """So that it can be cancelled meanwhile."""
    image = rng.integers(0, 256, (40, 30), np.uint8)
    monkeypatch.setattr(plan, "_SLAB_BYTES", 10 * 30)
    job = iter_upscale(image, tiny, out=tmp_path / "r.ome.zarr")
    assert [next(job) for _ in range(3)] == [
        BytesDone(done, 1200) for done in (300, 600, 900)
    ]
    job.close()
    assert not (tmp_path / "r.ome.zarr").exists()


@pytest.mark.parametrize("axes", ["CZYX", "ZCYX", "SYX", "XYS"])
def test_views_read_what_is_indexed(tiny, rng, tmp_path, axes):
    lengths = {"C": 2, "Z": 3, "S": 3, "Y": 30, "X": 20}
    image = rng.integers(0, 256, [lengths[axis] for axis in axes], np.uint8)
    expected = upscale(image, tiny, axes=axes, out=tmp_path / "r.ome.zarr")
    (view, *_) = stored.views(tmp_path / "r.ome.zarr", axes)
    expected = np.asarray(expected)
    assert (view.shape, view.ndim, view.dtype) == (expected.shape, len(axes), "uint8")
    for key in [1, (), ..., (slice(1, 2), 1), (..., slice(1, 9, 2)), (0, ..., 1)]:
        np.testing.assert_array_equal(view[key], expected[key])
    np.testing.assert_array_equal(np.asarray(view), expected)


@pytest.mark.fault(
    "Stopping: an unfinished result is opened", "A note says that it is not finished."
)
def test_an_unfinished_result_says_so(tiny, rng, tmp_path, small_units):
    image, out = rng.integers(0, 256, (99, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    job = iter_upscale(image, tiny, out=out)
    next(job)
    job.close()
    assert read_zarr(out).notes == (
        "The image is not finished: what is missing in it is black.",
    )


@pytest.mark.promise("Large TIFFs and OME-Zarr are read part by part as well.")
def test_an_ome_zarr_of_others_is_upscaled(run, tiny, rng, tmp_path):
    """Of version 0.4, as most are."""
    image = rng.integers(0, 256, (2, 40, 30), dtype=np.uint8)
    group = zarr.open_group(tmp_path / "i.zarr", mode="w", zarr_format=2)
    group.create_array("s0", data=image)
    steps = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    datasets = [{"path": "s0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": datasets}
    ]
    code, _, error = run(
        "upscale", tmp_path / "i.zarr", tmp_path / "o.ome.tif", "--model", tiny
    )
    assert (code, error) == (0, "")
    written = files.read_image(tmp_path / "o.ome.tif")
    np.testing.assert_array_equal(written.data, upscale(image, tiny, axes="CYX"))
    assert written.pixel_size == {"Y": 0.25, "X": 0.25} and written.unit == "µm"


def test_each_axis_of_an_ome_zarr_may_have_a_unit_of_its_own(tmp_path):
    group = zarr.open_group(tmp_path / "i.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=np.zeros((2, 3, 8, 9), np.uint8))
    units = {"t": "millisecond", "z": "micrometer", "y": "nanometer", "x": "nanometer"}
    axes = [
        {"name": n, "type": "time" if n == "t" else "space", "unit": u}
        for n, u in units.items()
    ]
    steps = [
        {"type": "scale", "scale": [50, 1.5, 100, 100]},
        {"type": "translation", "translation": [100, 2, 30, 40]},
    ]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": datasets}
    ]
    found = read_zarr(tmp_path / "i.zarr")
    assert found.unit == "nm"
    sizes = {"T": 0.05, "Z": 1500.0, "Y": 100.0, "X": 100.0}
    assert found.pixel_size == pytest.approx(sizes)
    assert found.metadata["origin"] == pytest.approx(
        {"T": 0.1, "Z": 2000.0, "Y": 30.0, "X": 40.0}
    )


def test_colours_of_a_result_share_their_limits(tiny, rng, tmp_path):
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    upscale(image, tiny, out=tmp_path / "r.ome.zarr")
    assert read_zarr(tmp_path / "r.ome.zarr").contrast_limits == [(0, 255)]


def test_a_folder_that_is_no_image(tmp_path):
    (tmp_path / "i.zarr").mkdir()
    with pytest.raises(FileError, match=r"no image in OME-Zarr 0.4 or 0.5"):
        read_zarr(tmp_path / "i.zarr")


@pytest.mark.promise("as a pyramid that viewers for whole slides open")
def test_other_libraries_read_it(tiny, rng, tmp_path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr_models.v05 import Image

    image = rng.integers(0, 256, (2, 600, 300), dtype=np.uint8)
    out = tmp_path / "r.ome.zarr"
    expected = upscale(image, tiny, axes="CYX", out=out)
    Image.from_zarr(zarr.open_group(out, mode="r"))  # valid, or it raises
    (node, *_) = Reader(parse_url(out))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), np.asarray(expected))
    assert [level.shape for level in node.data] == [
        (2, 1200, 600),
        (2, 600, 300),
        (2, 300, 150),
    ]


@pytest.mark.fault(
    "Disk: two programs write one result", "The second is refused; the first goes on."
)
def test_two_programs_do_not_write_at_once(tiny, rng, tmp_path, small_units):
    image, out = rng.integers(0, 256, (99, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    job = iter_upscale(image, tiny, out=out)
    next(job)
    with pytest.raises(FileError, match="another program"):
        drain(iter_upscale(image, tiny, out=out))
    drain(job)
    assert state_of(out) == "complete"


@pytest.mark.fault(
    "Disk: full in the middle of an OME-Zarr",
    "An error says to make room; what is done is kept, and a new start goes on.",
)
def test_a_full_disk_keeps_what_is_done(tiny, rng, tmp_path, small_units, monkeypatch):
    image = rng.integers(0, 256, (150, 70), dtype=np.uint8)
    whole, out = tmp_path / "w.ome.zarr", tmp_path / "r.ome.zarr"
    drain(iter_upscale(image, tiny, out=whole))
    write, calls = Pyramid.write, []

    def full(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, *arguments)

    monkeypatch.setattr(Pyramid, "write", full)
    with pytest.raises(FileError, match="No space left on device. Make room"):
        drain(iter_upscale(image, tiny, out=out))
    result = drain(iter_upscale(image, tiny, out=out))
    assert "Went on after 2 of" in " ".join(result.metadata["notes"])
    assert files_of(out) == files_of(whole)


def test_what_was_given_up_before_it_had_begun_is_begun_anew(tiny, rng, tmp_path):
    image, out = rng.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    creating = {PROVENANCE: {"state": "creating", "asked": {}}}
    zarr.open_group(out, mode="w", attributes=creating)
    np.testing.assert_array_equal(upscale(image, tiny, out=out), upscale(image, tiny))


@pytest.mark.fault(
    "Disk: a result is replaced while another program writes it",
    "It is refused; the other goes on.",
)
def test_a_result_that_is_being_written_is_not_overwritten(
    tiny, rng, tmp_path, small_units
):
    image, out = rng.integers(0, 256, (99, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    job = iter_upscale(image, tiny, out=out)
    next(event for event in job if isinstance(event, TileDone))
    with pytest.raises(FileError, match="another program"):
        drain(iter_upscale(image, tiny, out=out, overwrite=True))
    np.testing.assert_array_equal(drain(job).image, upscale(image, tiny))


@pytest.mark.fault(
    "Disk: the output is the input by another name", "It is refused; the input stays."
)
def test_an_image_is_not_replaced_by_its_result(tiny, rng, tmp_path):
    image, out = rng.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"
    first = np.asarray(upscale(image, tiny, out=out))
    group = zarr.open_group(out, mode="r")
    (tmp_path / "link.ome.zarr").symlink_to(out)
    lazy = da.from_array(group["0"])
    sources = [group, group["0"], zarr.open_array(out / "0", mode="r")]
    sources += [lazy, lazy[2:].T, da.from_array(group["0"], inline_array=True) + 1]
    for source in sources:
        for name in (out, tmp_path / "link.ome.zarr"):
            with pytest.raises(FileError, match="is the image itself"):
                upscale(source, tiny, out=name, overwrite=True)
    np.testing.assert_array_equal(group["0"][:], first)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tiny, rng, tmp_path):
    image = rng.integers(0, 256, (40, 40), dtype=np.uint8)
    real, link = tmp_path / "real.ome.zarr", tmp_path / "link.ome.zarr"
    upscale(image, tiny, out=real)
    link.symlink_to(real)
    upscale(image.T, tiny, out=link, overwrite=True)
    assert link.is_symlink()
    np.testing.assert_array_equal(read_zarr(real).data, upscale(image.T, tiny))
    names = sorted(path.name for path in tmp_path.iterdir() if "zarr" in path.name)
    assert names == [link.name, real.name]


def test_a_result_of_another_pixel_size_is_not_taken_for_this_one(tiny, rng, tmp_path):
    image, out = rng.integers(0, 256, (40, 40), dtype=np.uint8), tmp_path / "r.ome.zarr"

    def like(size):
        return ImageFile(image, "YX", pixel_size={"Y": size, "X": size}, unit="µm")

    drain(iter_upscale(image, tiny, out=out, like=like(0.5)))
    with pytest.raises(FileError, match="made with another pixel size, .* --overwrite"):
        drain(iter_upscale(image, tiny, out=out, like=like(0.1)))
    drain(iter_upscale(image, tiny, out=out, like=like(0.1), overwrite=True))
    assert read_zarr(out).pixel_size["X"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("tile", "side"), [(257, 257), (24, 24), (1024, 256), (500, 250), (1021, 1021)]
)
def test_chunks_are_parts_of_tiles_and_never_tiny(tile, side):
    assert plan.chunk_step(tile, 2) == side


@pytest.mark.parametrize("width", [300, 2300, 20_000])
def test_what_is_stored_at_once_does_not_grow_with_the_width(tiny, tmp_path, width):
    image = np.broadcast_to(np.uint8(7), (1200, width))
    out = tmp_path / "wide.ome.zarr"
    with closing(iter_upscale(image, tiny, tile="rows", out=out)) as job:
        next(event for event in job if isinstance(event, UpscalePlanned))
    settled = plan.Settled.from_dict(stored.read_state(out)["settled"])
    spec = understand(image)
    grid = settled.grid(spec, region_slices(spec, None), 2)
    boxes = [grid.unit(number).box for number in range(len(grid))]
    sizes = [np.prod([part.stop - part.start for part in box]) // 4 for box in boxes]
    assert sum(sizes) == image.size
    assert max(sizes) <= 2048 * 256


def test_numbers_of_numpy_and_names_of_a_part(tiny, rng, tmp_path):
    image = rng.integers(0, 256, (3, 40, 50), dtype=np.uint8)
    like = ImageFile(
        image,
        "CYX",
        channel_names=("a", "b", "c"),
        contrast_limits=[(0.0, 10.0), (0.0, 20.0), (0.0, 30.0)],
    )
    options = {
        "axes": "CYX",
        "tile": np.int64(24),
        "region": {"C": (np.int64(1), np.int64(3))},
        "contrast_limits": np.array([[0, 9], [0, 8], [0, 7]]),
        "like": like,
    }
    upscale(image, tiny, out=tmp_path / "r.ome.zarr", **options)
    found = read_zarr(tmp_path / "r.ome.zarr")
    assert found.channel_names == ("b", "c")
    assert found.contrast_limits == [(0, 20), (0, 30)]


@pytest.mark.fault("Disk: no such folder", "An error says to make it first.")
def test_a_folder_that_is_not_there(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("file", "nowhere"):
        with pytest.raises(FileError, match="There is no folder"):
            upscale(np.zeros((9, 9), "u1"), tiny, out=tmp_path / folder / "r.ome.zarr")
