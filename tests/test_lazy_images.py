"""Images that lie on disk: read in parts, equal to those in memory."""

import gc

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse
import tifffile
import zarr
from napari.layers._multiscale_data import MultiScaleData

from napari_edsr import (
    EDSRWarning,
    drain,
    files,
    images,
    intensities,
    iter_upscale,
    plan,
    sampling,
    sources,
    upscale,
)
from napari_edsr.errors import ImageError
from napari_edsr.files import tiff_read
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
        self.read = self.largest = 0

    def __getitem__(self, index):
        part = self._array[index]
        self.read += part.size
        self.largest = max(self.largest, part.size)
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


def test_of_several_resolutions_the_finest_is_taken(tiny, rng, tmp_path):
    image = rng.integers(0, 256, (2, 40, 30), dtype=np.uint8)
    levels = [image, image[:, ::2, ::2], image[:, ::4, ::4]]
    expected = upscale(image, tiny, axes="ZYX")
    lazy = [da.from_array(level, chunks=16) for level in levels]
    for many in (levels, tuple(lazy), MultiScaleData(levels), MultiScaleData(lazy[:1])):
        np.testing.assert_array_equal(upscale(many, tiny, axes="ZYX"), expected)
    upscale(image, tiny, axes="ZYX", out=tmp_path / "r.ome.zarr")
    group = zarr.open_group(tmp_path / "r.ome.zarr", mode="r")
    twice = upscale(group, tiny, axes="ZYX")
    np.testing.assert_array_equal(twice, upscale(expected, tiny, axes="ZYX"))
    planes = upscale([image[0], image[1]], tiny)  # as large as one another: a stack
    np.testing.assert_array_equal(planes, expected)
    with pytest.raises(ImageError, match="no OME-Zarr"):
        upscale(zarr.open_group(tmp_path / "empty", mode="w"), tiny)


def test_only_the_tiles_and_their_context_are_read(tiny, rng):
    image = OnDisk(rng.integers(0, 255, (3, 400, 400), dtype=np.uint8))
    region = {"Z": (1, 2), "Y": (200, 210), "X": (200, 210)}
    upscale(image, tiny, axes="ZYX", region=region, tile=16)
    assert 0 < image.read < 100 * 100


@pytest.mark.fault(
    "Devices: memory runs out",
    "Smaller tiles finish the run; the pixels are the same, and each is written once.",
)
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


def test_the_range_of_a_large_image_on_disk_is_that_of_some_parts(
    tiny, rng, monkeypatch
):
    monkeypatch.setattr(sampling, "BLOCK", 16)
    monkeypatch.setattr(intensities, "BLOCK", 16)
    monkeypatch.setattr(intensities, "_MEASURED_AT_MOST", 4 * 16 * 16)
    stack = rng.integers(0, 50, (40, 32, 48), dtype=np.uint16)
    image = OnDisk(stack)
    (limits,) = intensities.intensity_ranges(image, "TYX")
    assert image.read == 4 * 16 * 16
    assert 0 <= limits[0] < 10 and 40 < limits[1] < 50
    region = {"T": (1, 2)}  # of which the range is that of the whole
    result = drain(iter_upscale(OnDisk(stack), tiny, axes="TYX", region=region))
    assert result.metadata["ranges"] == [list(limits)]
    assert result.metadata["notes"] == [
        "The intensity range was taken from 4 parts of 16 x 16 pixels, spread by "
        "chance, but always the same; from more where these are flat."
    ]
    assert sampling.sample_places(image_spec(stack), 10**6) == [
        ((t,), (slice(y, y + 16), slice(x, x + 16)))
        for t in range(40)
        for y in (0, 16)
        for x in (0, 16, 32)
    ]


@pytest.mark.parametrize("value", [0, np.nan])
def test_spots_that_no_part_looked_at_shows_still_count(tiny, monkeypatch, value):
    monkeypatch.setattr(sampling, "BLOCK", 16)
    monkeypatch.setattr(intensities, "BLOCK", 16)
    monkeypatch.setattr(intensities, "_MEASURED_AT_MOST", 4 * 16 * 16)
    stack = np.full((2, 64, 80), value, np.float32)
    looked_at = sampling.sample_places(image_spec(stack), 4)
    places = [
        (t, y, x)
        for t, y, x in np.ndindex(2, 64, 80)
        if not any(
            t == lead[0] and y in range(64)[rows] and x in range(80)[columns]
            for lead, (rows, columns) in looked_at
        )
    ]
    stack[places[0]], stack[places[-1]] = 40, 4000
    expected = (0, 4000) if value == 0 else (40, 4000)
    assert intensities.intensity_ranges(OnDisk(stack), "TYX") == [expected]
    result = upscale(OnDisk(np.nan_to_num(stack)), tiny, axes="TYX")
    assert result.max() > 1000


@pytest.mark.parametrize(
    ("axes", "shape", "chunks"),
    [
        ("TCYX", (4, 2, 600, 512), (4, 2, 64, 64)),
        ("YXS", (1200, 1024, 3), ((256,) * 4 + (176,), (512,) * 2, (3,))),
        ("ZYX", (2, 1500, 512), None),
    ],
)
def test_a_flat_image_is_read_once_and_not_without_end(
    axes, shape, chunks, rng, monkeypatch
):
    monkeypatch.setattr(intensities, "_MEASURED_AT_MOST", 3 * 512**2)

    def looked_at(pixels):
        image = OnDisk(pixels)
        image.chunks = chunks
        return intensities.intensity_ranges(image, axes, "percentile"), image.read

    _, by_sampling = looked_at(rng.integers(0, 9, shape, np.uint16))
    ranges, read = looked_at(np.full(shape, 7, np.uint16))
    assert set(ranges) == {(7, 7)}
    assert read - by_sampling == np.prod(shape)

    monkeypatch.setattr(intensities, "_READ_AT_MOST", 10**5)
    ranges, read = looked_at(np.full(shape, 7, np.uint16))
    assert set(ranges) == {(0, 65535)}
    assert 10**5 <= read - by_sampling < 10**6


def image_spec(image):
    return images.understand(image, "TYX")


def test_the_range_of_a_small_image_on_disk_is_that_of_all_of_it(rng):
    stack = rng.integers(0, 50, (3, 2, 40, 30), dtype=np.uint16)
    expected = intensities.intensity_ranges(stack, "TCYX")
    assert intensities.intensity_ranges(OnDisk(stack), "TCYX") == expected


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("axes", ["YX", "YXS"])
def test_large_planes_are_read_as_they_are_needed(
    tiny, rng, monkeypatch, axes, by_rows
):
    """And come out as they do in memory, with NaN and with transparency."""
    monkeypatch.setattr(sources, "_BLOCK_BYTES", 30 * 300 * 4 * 2)
    image = rng.random((300, 300, 4)[: len(axes)]).astype("f4")
    image[40:60, 100:200] = np.nan
    if axes == "YXS":
        image[..., 3] = 1
        image[200:, 200:, 3] = 0.5
    options = {"axes": axes, "normalize": (0, 1)}
    options["tile"] = "rows" if by_rows else 100
    with pytest.warns(EDSRWarning, match="NaN"):
        expected = upscale(image, tiny, **options)
    lazy = OnDisk(image)
    with pytest.warns(EDSRWarning, match="NaN"):
        np.testing.assert_array_equal(upscale(lazy, tiny, **options), expected)
    assert lazy.largest < image.size / 2


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_alpha_stays_to_the_bit_where_nothing_near_it_differs(tiny, rng, dtype):
    image = (rng.random((60, 60, 4)) * 200).astype(dtype)
    image[..., 3] = 77
    image[30:, :, 3] = 201
    result = upscale(image, tiny, axes="YXS", normalize=(0, 200))
    assert np.all(result[:56, :, 3] == 77) and np.all(result[64:, :, 3] == 201)
    assert len(np.unique(result[56:64, :, 3])) > 2


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


@pytest.mark.fault(
    "Disk: a result larger than the memory",
    "It is refused beforehand, with the way to a file.",
)
def test_a_result_that_does_not_fit_is_refused_with_the_way_out(tiny):
    image = da.zeros((2**22, 2**22), chunks=2**10, dtype="u1")
    with pytest.raises(ImageError, match=r"takes 70368\.7 GB.*out='result.ome.zarr'"):
        upscale(image, tiny)


@pytest.mark.promise("Large TIFFs and OME-Zarr are read part by part as well.")
@pytest.mark.parametrize("kind", ["one piece", "big-endian", "tiles", "imagej"])
def test_a_tiff_that_is_large_is_read_part_by_part(rng, tmp_path, monkeypatch, kind):
    image = rng.integers(0, 4096, (3, 70, 50), dtype=np.uint16)
    options = {
        "one piece": {"metadata": {"axes": "ZYX"}},
        "big-endian": {"byteorder": ">", "metadata": {"axes": "ZYX"}},
        "tiles": {"tile": (16, 16), "compression": "zlib", "metadata": {"axes": "ZYX"}},
        "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    }
    options[kind]["photometric"] = "minisblack"
    tifffile.imwrite(tmp_path / "i.tif", image, **options[kind])
    whole = files.read_image(tmp_path / "i.tif")
    monkeypatch.setattr(tiff_read, "_SHARE_IN_MEMORY", 0)
    parts = files.read_image(tmp_path / "i.tif")
    assert isinstance(parts.data, da.Array) and isinstance(whole.data, np.ndarray)
    assert parts.axes == whole.axes == "ZYX"
    np.testing.assert_array_equal(np.asarray(parts.data), image)
    np.testing.assert_array_equal(
        np.asarray(parts.data[1, 3:40, 7:]), image[1, 3:40, 7:]
    )
    del parts
    gc.collect()  # what is left open fails the test
