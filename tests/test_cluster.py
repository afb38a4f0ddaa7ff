"""Workers on other processes: the bytes of one process, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import islice

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from distributed import Client
from stored_files import files_of, share_small_units

from napari_edsr import cluster, drain, iter_upscale, storing, upscale
from napari_edsr.errors import DeviceError, FileError, ImageError
from napari_edsr.events import PassDone, TileDone, UpscalePlanned
from napari_edsr.files.common import PROVENANCE

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def scheduler():
    """Two workers with as many threads as the tests have."""
    with cluster.connected(None, 2) as client:
        yield client.scheduler.address


@pytest.fixture
def small_units(monkeypatch):
    share_small_units(monkeypatch)


def about(path):
    return zarr.open_group(path, mode="r").attrs[PROVENANCE]


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (2, 300, 600), dtype=np.uint8)


@pytest.mark.promise("share the parts among processes and machines")
@pytest.mark.parametrize(("axes", "tile"), [("ZYX", "auto"), ("CYX", 100)])
def test_workers_write_the_bytes_of_one_process(
    scheduler, tiny, image, tmp_path, small_units, tile, axes
):
    here, there = tmp_path / "here.ome.zarr", tmp_path / "there.ome.zarr"
    options = {"axes": axes, "tile": tile, "region": {"Y": (30, 290)}}
    alone = drain(iter_upscale(image, tiny, out=here, **options))
    events = []
    run = iter_upscale(image, tiny, out=there, scheduler=scheduler, **options)
    result = drain(run, events.append)
    assert files_of(there) == files_of(here)
    (planned,) = [event for event in events if isinstance(event, UpscalePlanned)]
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert [t.done for t in tiles] == list(range(1, planned.total + 1))
    covered = np.zeros(result.image.shape, int)
    for tile_done in tiles:
        covered[tile_done.region] += 1
    assert (covered == 1).all()
    for key in ("model", "scale", "precision", "ranges", "halo", "region", "device"):
        assert result.metadata[key] == alone.metadata[key]
    assert about(there)["state"] == "complete"


def test_colours_and_lazy_images(scheduler, tiny, rng, tmp_path):
    image = rng.integers(0, 256, (300, 200, 3), dtype=np.uint8)
    lazy = da.from_array(image, chunks=64)
    options = {"axes": "YXS", "scheduler": scheduler}
    found = upscale(lazy, tiny, out=tmp_path / "r.ome.zarr", **options)
    np.testing.assert_array_equal(found, upscale(image, tiny, axes="YXS"))


def killer(scheduler, number):
    """Kill a worker, as the system does that has no memory left."""
    with Client(scheduler, set_as_default=False) as client:
        pids = client.run(os.getpid)
    os.kill(sorted(pids.values())[number % len(pids)], signal.SIGKILL)


@pytest.mark.fault(
    "Stopping: a worker of a cluster killed",
    "Others do its parts; the bytes are the same.",
)
def test_a_worker_that_is_killed_loses_nothing(
    scheduler, tiny, image, tmp_path, small_units
):
    here, there = tmp_path / "here.ome.zarr", tmp_path / "there.ome.zarr"
    drain(iter_upscale(image, tiny, axes="ZYX", out=here))
    left = [3, 9]

    def watch(event):
        if isinstance(event, TileDone) and event.done in left:
            left.remove(event.done)
            killer(scheduler, len(left))

    drain(iter_upscale(image, tiny, axes="ZYX", out=there, scheduler=scheduler), watch)
    assert not left, "no worker was killed"
    assert files_of(there) == files_of(here)


@pytest.mark.parametrize("first", ["here", "there"])
def test_what_one_began_the_others_end(
    scheduler, tiny, image, tmp_path, small_units, first
):
    whole, shared = tmp_path / "whole.ome.zarr", tmp_path / "shared.ome.zarr"
    drain(iter_upscale(image, tiny, axes="ZYX", out=whole))
    places = {"here": {}, "there": {"scheduler": scheduler}}
    options = {"axes": "ZYX", "out": shared}
    run = iter_upscale(image, tiny, **options, **places.pop(first))
    tiles = (event for event in run if isinstance(event, TileDone))
    assert len(list(islice(tiles, 3))) == 3
    run.close()
    assert about(shared)["state"] == "unfinished"
    (place,) = places.values()
    result = drain(iter_upscale(image, tiny, **options, **place))
    assert "Went on after" in " ".join(result.metadata["notes"])
    assert files_of(shared) == files_of(whole)


def test_there_are_moments_to_stop_while_workers_are_busy(
    scheduler, tiny, image, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "_HEARTBEAT", 0.001)
    options = {"axes": "ZYX", "out": tmp_path / "r.ome.zarr", "scheduler": scheduler}
    run = iter_upscale(image, tiny, **options)
    kinds = [type(event) for event in run]
    assert kinds.index(PassDone) < kinds.index(TileDone)


def test_workers_that_compute_otherwise_take_no_part(
    scheduler, tiny, image, tmp_path, small_units
):
    here, there = tmp_path / "here.ome.zarr", tmp_path / "there.ome.zarr"
    drain(iter_upscale(image, tiny, axes="ZYX", out=here))
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler]
    options = ["--nthreads", "1", "--no-dashboard", "--name", "old"]
    other = subprocess.Popen(
        [*command, *options], env={**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    )
    try:
        with Client(scheduler, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=60)
        run = iter_upscale(image, tiny, axes="ZYX", out=there, scheduler=scheduler)
        result = drain(run)
    finally:
        other.terminate()
        other.wait()
    assert "takes no part" in " ".join(result.metadata["notes"])
    assert files_of(there) == files_of(here)


def test_a_plan_that_no_worker_can_follow(
    scheduler, tiny, image, tmp_path, small_units, monkeypatch
):
    out = tmp_path / "r.ome.zarr"
    monkeypatch.setattr(storing, "describe", lambda device: "an abacus")
    run = iter_upscale(image, tiny, axes="ZYX", out=out)
    next(run)
    run.close()
    with pytest.raises(DeviceError, match="was begun on an abacus"):
        drain(iter_upscale(image, tiny, axes="ZYX", out=out, scheduler=scheduler))


class OnlyHere:
    """An image that other processes do not find, and read as black."""

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self._home = os.getpid()

    def __getitem__(self, index):
        return self._array[index] * (os.getpid() == self._home)


def test_an_image_that_workers_do_not_find(scheduler, tiny, image, tmp_path):
    options = {"axes": "ZYX", "out": tmp_path / "r.ome.zarr", "scheduler": scheduler}
    with pytest.raises(FileError, match="reads otherwise on other machines"):
        upscale(OnlyHere(image), tiny, **options)


@pytest.mark.promise("`--scheduler tcp://host:8786`")
def test_the_command_line_asks_a_scheduler(
    scheduler, run, tiny, image, tmp_path, monkeypatch
):
    image = image[:, :60, :70]
    expected = upscale(image, tiny, axes="ZYX")
    monkeypatch.setattr(storing, "Here", None)
    source, out = tmp_path / "stack.tif", tmp_path / "out.ome.zarr"
    tifffile.imwrite(source, image, metadata={"axes": "ZYX"})
    assert scheduler.startswith("tcp://")
    arguments = ["upscale", source, out, "--model", tiny, "--scheduler", scheduler]
    code, _, error = run(*arguments)
    assert (code, error) == (0, "")
    np.testing.assert_array_equal(zarr.open_group(out, mode="r")["0"][:], expected)


@pytest.mark.promise(
    "`--workers N` and `--scheduler tcp://host:8786` share the parts among "
    "processes and machines"
)
def test_the_command_line_starts_workers(run, tiny, image, tmp_path):
    source, out = tmp_path / "stack.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, image, metadata={"axes": "ZYX"})
    code, _, error = run("upscale", source, out, "--model", tiny, "--workers", 1)
    assert (code, error) == (0, "")
    expected = upscale(image, tiny, axes="ZYX")
    np.testing.assert_array_equal(tifffile.imread(out), expected)
    code, _, error = run("upscale", source, tmp_path / "o.png", "--workers", 1)
    assert code == 1 and "use .tif" in error


def test_what_cannot_be_shared_is_refused(scheduler, tiny, tmp_path, monkeypatch):
    image, out = np.zeros((20, 20), np.uint8), tmp_path / "r.ome.zarr"
    with pytest.raises(ImageError, match="write to a file"):
        upscale(image, tiny, scheduler=scheduler)
    monkeypatch.setattr(cluster, "_SENT", 100)
    with pytest.raises(ImageError, match="array of dask or zarr"):
        upscale(image, tiny, out=out, scheduler=scheduler)


def test_nobody_answers(tiny, tmp_path, monkeypatch):
    image, out = np.zeros((20, 20), np.uint8), tmp_path / "r.ome.zarr"
    with (
        dask.config.set({"distributed.comm.timeouts.connect": 0.2}),
        pytest.raises(DeviceError, match="No scheduler answers at tcp://127.0.0.1:9"),
    ):
        upscale(image, tiny, out=out, scheduler="tcp://127.0.0.1:9")
    monkeypatch.setattr(cluster, "_SECONDS_TO_JOIN", 0.2)
    with (
        cluster.connected(None, 0) as client,
        pytest.raises(DeviceError, match="There is no worker at tcp://"),
    ):
        upscale(image, tiny, out=out, scheduler=client.scheduler.address)


def test_without_dask_a_sentence_says_what_to_install(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari_edsr.cluster", None)
    with pytest.raises(DeviceError, match=r"pip install 'napari-edsr\[large\]'"):
        upscale(np.zeros((9, 9), "u1"), tiny, out=tmp_path / "r.ome.zarr", workers=2)


def test_own_workers_share_the_cores_of_whatever_ran_before(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)

    def threads():
        return os.environ["OMP_NUM_THREADS"]

    for count, share in ((1, "4"), (2, "2")):
        with cluster.connected(None, count) as client:
            assert set(client.run(threads).values()) == {share}
    assert "OMP_NUM_THREADS" not in os.environ
