"""Images that lie on disk: read in parts, equal to those in memory."""

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse

from napari_edsr import EDSRWarning, drain, iter_upscale, plan, upscale
from napari_edsr.errors import ImageError
from napari_edsr.intensities import intensity_ranges
from napari_edsr.streaming import RowStream


@pytest.fixture(autouse=True)
def no_threads_of_dask():
    with dask.config.set(scheduler="synchronous"):
        yield


class OnDisk:
    """As zarr and h5py have it: a shape, a dtype, and parts on demand."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.read = 0

    def __getitem__(self, index):
        part = self._array[index]
        self.read += part.size
        return part


@pytest.mark.parametrize("axes", ["YX", "ZYX", "TCYX", "CYX", "SYX", "XYT", "YXS"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("where", [(0, 40), (13, 20), (33, 40)])
def test_parts_equal_those_of_an_image_in_memory(tiny, rng, axes, dtype, where):
    shape = [{"Y": 40, "X": 40, "S": 3}.get(axis, 2) for axis in axes]
    image = (rng.random(shape) * 200).astype(dtype)
    options = {"axes": axes, "region": {"Y": where, "X": (5, 31)}, "tile": 16}
    options["normalize"] = (0, 200)
    expected = upscale(image, tiny, **options)
    for lazy in (OnDisk(image), da.from_array(image, chunks=7)):
        np.testing.assert_array_equal(upscale(lazy, tiny, **options), expected)


def test_only_the_tiles_and_their_context_are_read(tiny, rng):
    image = OnDisk(rng.integers(0, 255, (3, 400, 400), dtype=np.uint8))
    region = {"Z": (1, 2), "Y": (200, 210), "X": (200, 210)}
    upscale(image, tiny, axes="ZYX", region=region, tile=16)
    assert 0 < image.read < 100 * 100


def test_memory_that_runs_out_on_an_image_on_disk(tiny_model, rng, monkeypatch):
    image = rng.integers(0, 256, (3, 105, 105), dtype="u1")
    model, options = (
        tiny_model(),
        {"axes": "ZYX", "region": {"Y": (35, 36), "X": (35, 36)}},
    )
    expected = upscale(image, model, **options)
    push, calls = RowStream.push, []

    def fails_once(self, rows, *, last=False):
        calls.append(rows.shape)
        if len(calls) == 1:
            raise MemoryError
        return push(self, rows, last=last)

    monkeypatch.setattr(RowStream, "push", fails_once)
    with pytest.warns(EDSRWarning, match="halved"):
        result = upscale(OnDisk(image), model, **options)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.filterwarnings("ignore:Memory ran out")
@pytest.mark.parametrize("start", [35, 36, 37, 38, 39, 40])
def test_narrower_stripes_read_higher_bands(start, tiny_model, rng, monkeypatch):
    """Which begin further up than what was read of a plane before memory ran out."""
    image = rng.integers(0, 256, (2, 105, 105), dtype="u1")
    monkeypatch.setattr(plan, "_BAND_PIXELS", 420)
    options = {"axes": "ZYX", "region": {"Y": (start, 60), "X": (5, 100)}}
    expected = upscale(image, tiny_model(), **options)
    push, calls = RowStream.push, []

    def fails_early(self, rows, *, last=False):
        calls.append(rows.shape)
        if len(calls) <= 2:
            raise MemoryError
        return push(self, rows, last=last)

    monkeypatch.setattr(RowStream, "push", fails_early)
    result = upscale(OnDisk(image), tiny_model(), **options)
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_the_range_of_a_long_stack_is_that_of_some_planes_and_it_is_said(tiny, rng):
    stack = rng.integers(0, 50, (40, 16, 16), dtype=np.uint16)
    result = drain(iter_upscale(OnDisk(stack), tiny, axes="TYX"))
    assert (
        "The intensity range was taken from 20 of 40 planes."
        in (result.metadata["notes"])
    )
    short = drain(iter_upscale(OnDisk(stack[:32]), tiny, axes="TYX"))
    assert short.metadata["notes"] == []
    assert short.metadata["ranges"] == [list(intensity_ranges(stack[:32], "TYX")[0])]


def test_masks_and_matrices_are_plain_arrays(tiny, rng):
    image = rng.random((12, 12)).astype("f4")
    expected = upscale(image, tiny)
    masked = np.ma.array(image, mask=image > 0.5)
    np.testing.assert_array_equal(upscale(masked, tiny), expected)
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(image)
    np.testing.assert_array_equal(upscale(matrix, tiny), expected)


def test_arrays_that_give_no_planes(tiny):
    with pytest.raises(ImageError, match="make it a numpy array"):
        upscale(scipy.sparse.csr_array(np.eye(12)), tiny)
