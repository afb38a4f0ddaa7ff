"""Results in an object store: S3, served on loopback."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
import tifffile
import zarr
from moto.server import ThreadedMotoServer
from stored_files import files_of
from upath import UPath

from napari_edsr import drain, iter_upscale, upscale
from napari_edsr import plan as tile_plan
from napari_edsr.errors import FileError
from napari_edsr.events import TileDone
from napari_edsr.files.common import PROVENANCE
from napari_edsr.stores import plan, result
from napari_edsr.stores.location import location
from napari_edsr.stores.read import read_zarr


@pytest.fixture
def bucket(monkeypatch):
    """The URL of an empty one; the environment says how it is reached."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"results-{uuid.uuid4().hex}"
    url = f"s3://{name}"
    UPath(url).fs.mkdir(name)
    yield url
    UPath(url).fs.clear_instance_cache()
    server.stop()


@pytest.fixture
def small_units(monkeypatch):
    """Units of 64 rows and bands of eight, recorded at once."""
    monkeypatch.setattr(tile_plan, "_BAND_PIXELS", 8 * 70)
    monkeypatch.setattr(plan, "_CHUNK", 128)
    monkeypatch.setattr(plan, "UNIT_PIXELS", 64 * 64)
    monkeypatch.setattr(result, "_RECORD_SECONDS", 0)


@pytest.mark.fault(
    "Stopping: a run to an object store cancelled",
    "Started again, it goes on and ends with the same bytes as a run in one go.",
)
def test_a_run_that_is_stopped_goes_on_and_ends_with_the_same_bytes(
    tiny, rng, tmp_path, bucket, small_units
):
    image = rng.integers(0, 256, (2, 150, 70), dtype=np.uint8)
    here, there = tmp_path / "r.ome.zarr", f"{bucket}/r.ome.zarr"
    upscale(image, tiny, axes="ZYX", out=here)
    run = iter_upscale(image, tiny, axes="ZYX", out=there)
    for event in run:
        if isinstance(event, TileDone) and event.done == 14:
            break
    run.close()
    ended = drain(iter_upscale(image, tiny, axes="ZYX", out=there))
    assert "Went on after" in " ".join(ended.metadata["notes"])
    assert files_of(UPath(there, use_listings_cache=False)) == files_of(here)
    group = zarr.open_group(there, mode="r")
    assert group.attrs[PROVENANCE]["state"] == "complete"
    np.testing.assert_array_equal(ended.image, upscale(image, tiny, axes="ZYX"))
    with pytest.raises(FileError, match="made with precision auto"):
        upscale(image, tiny, axes="ZYX", out=there, precision="fp32")
    upscale(image, tiny, axes="ZYX", out=there, precision="fp32", overwrite=True)


def test_what_lies_there_is_read_and_what_is_not_ours_stays(tiny, rng, bucket):
    image = rng.integers(0, 256, (90, 70), dtype=np.uint8)
    first = upscale(image, tiny, out=f"{bucket}/a.ome.zarr")
    found = read_zarr(location(f"{bucket}/a.ome.zarr"))
    np.testing.assert_array_equal(found.data, first)
    (UPath(bucket) / "b.ome.zarr" / "thesis.txt").write_text("years")
    with pytest.raises(FileError, match="not from here"):
        upscale(image, tiny, out=f"{bucket}/b.ome.zarr")
    with pytest.raises(FileError, match=r"Write to an \.ome\.zarr, not to c\.tif"):
        upscale(image, tiny, out=f"{bucket}/c.tif")


@pytest.mark.promise("`s3://bucket/slide_x2.ome.zarr` lies in an object store")
def test_the_command_line_reads_and_writes_there(run, tiny, rng, tmp_path, bucket):
    image = rng.integers(0, 256, (90, 70), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "i.tif", image)
    near, far = f"{bucket}/near.ome.zarr", f"{bucket}/far.ome.zarr"
    code, said, error = run("upscale", tmp_path / "i.tif", near, "--model", tiny)
    assert (code, error) == (0, "") and f"{near}: 140 x 180" in said
    assert run("upscale", near, far, "--model", tiny)[0] == 0
    expected = upscale(upscale(image, tiny), tiny)
    np.testing.assert_array_equal(read_zarr(location(far)).data, expected)
    code, _, error = run("upscale", near, near, "--model", tiny)
    assert code == 1 and "is the input itself" in error


@pytest.mark.fault(
    "Images: a TIFF or PNG is to lie in an object store",
    "It is refused at once: OME-Zarr is what lies there.",
)
@pytest.mark.parametrize("place", ["s3://b/o.tif", "s3://", "https://x.org/o.png"])
def test_other_formats_are_written_to_a_disk_alone(run, tmp_path, place):
    tifffile.imwrite(tmp_path / "i.tif", np.zeros((9, 8), np.uint8))
    code, _, error = run("upscale", tmp_path / "i.tif", place)
    assert code == 1
    assert "which takes OME-Zarr alone; end it in .ome.zarr" in " ".join(error.split())


@pytest.mark.parametrize("place", ["s3://b/results", "https://"])
def test_a_folder_of_other_formats_stays_on_a_disk(run, tmp_path, place):
    tifffile.imwrite(tmp_path / "i.tif", np.zeros((9, 8), np.uint8))
    code, _, error = run("upscale", tmp_path, place)
    assert code == 1
    assert "which takes OME-Zarr alone" in " ".join(error.split())


def test_places_that_nothing_reaches():
    with pytest.raises(FileError, match="a package such as s3fs"):
        location("nowhere://results/r.ome.zarr")
