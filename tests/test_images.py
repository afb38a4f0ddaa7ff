"""What an array is taken for, and intensities to the network's and back."""

import math
import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edsr.errors import EDSRWarning, ImageError
from napari_edsr.images import (
    as_array,
    as_dask,
    as_source,
    leading_axes,
    plane_view,
    read_plane,
    understand,
)
from napari_edsr.intensities import (
    fill_nonfinite,
    from_unit,
    intensity_ranges,
    to_unit,
)

LONG = np.dtype(np.longdouble)  # on some systems float64
INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]


@pytest.mark.parametrize(
    ("shape", "dtype", "axes"),
    [
        ((5, 6), "u1", "YX"),
        ((5, 6, 3), "u1", "YXS"),
        ((5, 6, 4), "u2", "YXS"),
        ((5, 6, 3), "f4", "ZYX"),
        ((5, 6, 3), "i2", "ZYX"),
        ((5, 6, 5), "u1", "ZYX"),
        ((2, 5, 6, 3), "u1", "ZYXS"),
        ((2, 7, 5, 6), "u2", "TZYX"),
        ((1, 3), "u1", "YX"),
    ],
)
def test_unnamed_axes_are_guessed_and_said(shape, dtype, axes):
    spec = understand(np.zeros(shape, dtype))
    assert spec.axes == axes
    assert [note.startswith(f"Axes taken as {axes}") for note in spec.notes] == (
        [] if axes == "YX" else [True]
    )


def test_a_spec_knows_its_sizes_and_words():
    spec = understand(np.zeros((4, 2, 5, 6), "u2"), "tcyx")
    assert (spec.axes, spec.plane, spec.n_planes, spec.notes) == ("TCYX", (5, 6), 8, ())
    assert spec.output_shape(3) == (4, 2, 15, 18)
    assert spec.describe() == "6 x 5, 2 channels, 4 planes, uint16"
    assert understand(np.zeros((5, 6, 4), "u1")).describe() == "6 x 5, RGBA, uint8"
    alone = understand(np.zeros((1, 2, 5, 6), "f4"), "CZYX")
    assert alone.describe() == "6 x 5, 2 planes, float32"


def test_sizes_follow_the_axes_wherever_they_are():
    spec = understand(np.zeros((4, 6, 1, 5, 3), "u1"), "XTZYS")
    assert (spec.plane, spec.samples, spec.colors) == ((5, 4), 3, (0, 1, 2))
    assert (spec.leading, spec.leading_shape, spec.stack_shape) == ("TZ", (6, 1), (6,))
    assert (spec.n_planes, spec.size("C"), spec.size("T")) == (6, 1, 6)
    assert spec.output_shape(2) == (8, 6, 1, 10, 3)
    assert understand(np.zeros((2, 5, 6)), "SYX").colors == (0,)
    assert understand(np.zeros((4, 5, 6)), "SYX").colors == (0, 1, 2)
    assert understand(np.zeros((5, 6)), "YX").colors == (0,)


@pytest.mark.parametrize(
    ("shape", "dtype", "note"),
    [
        ((5, 6, 3), "u1", "YXS: the last one, of length 3, as colour samples."),
        ((2, 5, 6), "u1", "ZYX: every plane is upscaled by itself."),
        ((5, 6, 3), "f4", "ZYX: every plane is upscaled by itself (name axes if"),
    ],
)
def test_notes_say_what_was_assumed(shape, dtype, note):
    (said,) = understand(np.zeros(shape, dtype)).notes
    assert said.startswith(f"Axes taken as {note}")
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("count", "labels", "expected"),
    [
        (1, (), "Z"),
        (2, (), "TZ"),
        (2, ("c", "Q"), "CQ"),
        (2, ("c", "q", "y", "x"), "CQ"),
        (2, ("c",), "TZ"),
        (2, ("c", "c"), "TZ"),
        (2, ("y", "c"), "TZ"),
        (2, ("t", "time"), "TZ"),
        (2, (7, "c"), "TZ"),
        (22, (), "ABDEFGHIJKLMNOPQRUVWTZ"),
    ],
)
def test_axes_before_y_and_x_take_their_labels_where_these_fit(count, labels, expected):
    assert leading_axes(count, labels) == expected


def test_more_axes_than_letters_are_refused():
    with pytest.raises(ImageError, match="An image of 25 axes is more"):
        leading_axes(23)


@pytest.mark.fault(
    "Images: zero-size, ragged, complex, object or one-dimensional arrays",
    "One sentence says what is wrong with it, before any work.",
)
@pytest.mark.parametrize(
    ("image", "axes", "words"),
    [
        (np.zeros((4, 4), complex), None, "complex128 cannot be used"),
        (np.zeros((4, 4), object), None, "object cannot be used"),
        (np.zeros((4, 4), "M8[s]"), None, "cannot be used"),
        (np.zeros(4), None, "at least two axes"),
        (np.float32(1), None, "at least two axes"),
        (np.zeros((0, 4)), None, "is empty"),
        ([[1, 2], [3]], None, "not an image"),
        (np.zeros((4, 4)), "YXS", "name 3 axes, but the image has 2"),
        (np.zeros((4, 4)), "ZX", "Y and X among them"),
        (np.zeros((4, 4, 4)), "YXX", "different letters"),
        (np.zeros((4, 4, 5)), "YXS", "S holds 5 samples, but a pixel has 1 to 4; name"),
        (np.zeros((4, 4, 4)), "Y1X", "'Y1X' must be different letters"),
        (np.zeros((4, 4)), 2, "Axes are named by letters such as 'TCYX', not 2"),
        pytest.param(
            np.zeros((4, 4), LONG),
            None,
            f"{LONG} cannot be used",
            marks=pytest.mark.skipif(LONG.itemsize == 8, reason="is float64 here"),
        ),
    ],
)
def test_what_is_no_image_gets_one_sentence(image, axes, words):
    with pytest.raises(ImageError, match=words) as caught:
        understand(image, axes)
    assert str(caught.value).count("\n") == 0


def test_plane_view_moves_axes_without_copying(rng):
    image = rng.integers(0, 9, (3, 5, 2, 6))
    view = plane_view(image, "CYTX")
    assert view.shape == (3, 2, 5, 6, 1)
    view[1, 1, 2, 3, 0] = 77
    assert image[1, 2, 1, 3] == 77


class OnDisk:
    """As zarr and h5py have it: a shape, a dtype, and parts on demand."""

    def __init__(self, array, **more):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.read = 0
        vars(self).update(more)

    def __getitem__(self, index):
        self.read += self._array[index].size
        return self._array[index]


@pytest.mark.parametrize(
    ("axes", "lead"), [("YX", ()), ("XTY", (1,)), ("CSXTY", (2, 1)), ("TYXS", (3,))]
)
def test_a_plane_on_disk_is_read_alone(axes, lead, rng):
    shape = tuple({"Y": 8, "X": 9, "S": 3}.get(axis, 4) for axis in axes)
    image = rng.integers(0, 255, shape)
    samples = 3 if "S" in axes else 1
    expected = plane_view(image, axes)[lead]
    assert expected.shape == (8, 9, samples)
    box = (slice(2, 7), slice(1, 4))
    lazy = OnDisk(image)
    np.testing.assert_array_equal(read_plane(lazy, axes, lead, box), expected[box])
    assert lazy.read == 5 * 3 * samples
    np.testing.assert_array_equal(read_plane(lazy, axes, lead), expected)
    view = read_plane(image, axes, lead)
    assert np.shares_memory(view, image)


def test_what_gives_no_plain_planes_is_refused():
    sparse = scipy.sparse.eye_array(5, format="csr")
    with pytest.raises(ImageError, match="A csr_array gives no plain planes; make"):
        read_plane(sparse, "YX", ())


def test_what_lies_on_disk_is_understood_without_being_read():
    lazy = OnDisk(np.zeros((4, 5, 6), "u2"), attrs={"of": "an array of zarr"})
    spec = understand(lazy)
    assert (spec.shape, spec.dtype, spec.axes) == ((4, 5, 6), np.dtype("u2"), "ZYX")
    assert as_source(lazy) is lazy
    assert lazy.read == 0
    with pytest.raises(ImageError, match="not an image: invalid literal"):
        understand(OnDisk(np.zeros((4, 5)), shape=(4, "five")))


def test_arrays_lose_what_is_no_pixel():
    image = np.arange(12).reshape(3, 4)
    source = as_source(np.ma.masked_less(image, 5))
    assert type(source) is np.ndarray
    np.testing.assert_array_equal(source, image)
    assert as_source(image) is image
    np.testing.assert_array_equal(as_source([[1, 2], [3, 4]]), [[1, 2], [3, 4]])


@pytest.mark.parametrize("name", ["shape", "dtype", "__getitem__"])
def test_what_can_not_be_read_in_parts_is_made_an_array(name):
    image = np.arange(12).reshape(3, 4)
    members = {"shape": (3, 4), "dtype": image.dtype, "__getitem__": image.__getitem__}
    members |= {"__array__": lambda self: image}
    whole = type("Whole", (), members)()
    assert as_source(whole) is whole
    of_another_kind = type("Tensor", (), {**members, "dtype": "int64"})()
    assert as_source(of_another_kind) is image
    del members[name]
    assert as_source(type("Part", (), members)()) is image


@pytest.mark.parametrize("convert", [as_array, as_source, understand])
def test_what_is_no_array_is_refused(convert):
    with pytest.raises(ImageError, match="^This is not an image: .*inhomogeneous"):
        convert([[1, 2], [3]])


class Levels(list):
    """As napari has the levels of a layer."""

    shape = (40, 30)


def test_the_first_of_some_resolutions_is_the_image():
    images = [np.zeros((2, *plane)) for plane in ((40, 30), (20, 15), (10, 15))]
    assert as_source(images) is images[0]
    assert as_source(tuple(images[1:])) is images[1]
    assert as_source(Levels(images[:1])) is images[0]
    for planes in ([images[0]] * 2, images[:1]):
        np.testing.assert_array_equal(as_source(planes), np.stack(planes))
    others = (images[0][0], np.zeros((2, 30, 45)), np.zeros((2, 50, 15)))
    for other in others:  # of images of their own none is left out unseen
        for no_levels in ([images[0], other], [*images, other], images[::-1]):
            with pytest.raises(ImageError, match="not an image"):
                as_source(no_levels)


class Group(dict):
    """As zarr has it: arrays by their paths, and attributes."""

    def __init__(self, attrs, **arrays):
        super().__init__(arrays)
        self.attrs = attrs


@pytest.mark.parametrize("version", [0.4, 0.5])
def test_the_first_array_of_an_ome_zarr_is_the_image(version):
    datasets = [{"path": "full"}, {"path": "half"}]
    about = {"multiscales": [{"datasets": datasets}, {"datasets": datasets[1:]}]}
    full, half = OnDisk(np.zeros((4, 4))), OnDisk(np.zeros((2, 2)))
    attrs = about if version == 0.4 else {"ome": about}
    assert as_source(Group(attrs, full=full, half=half)) is full
    for broken in ({}, {"multiscales": []}, {"multiscales": None}, attrs):
        with pytest.raises(ImageError, match="^The group is no OME-Zarr; give one of"):
            as_source(Group(broken))


def test_dask_reads_in_the_chunks_of_the_source(rng):
    image = rng.integers(0, 255, (6, 8))
    in_parts = as_dask(OnDisk(image, chunks=(4, 5), ndim=2))
    assert in_parts.chunks == ((4, 2), (5, 3))
    whole = as_dask(OnDisk(image, ndim=2))
    assert whole.chunks == ((6,), (8,))
    for lazy in (in_parts, whole):
        np.testing.assert_array_equal(lazy.compute(scheduler="sync"), image)


@pytest.mark.promise("16-bit images keep their grey levels", "undone exactly")
@pytest.mark.parametrize("dtype", [*INTEGERS, ">u2", ">i4", "?"])
def test_every_integer_comes_back_exactly(dtype, rng):
    values = rng.integers(0, 2 if dtype == "?" else 100, (6, 7)).astype(dtype)
    for limits in ((0.0, 1.0), (3.0, 91.0), (-7.0, 250.0)):
        back = from_unit(to_unit(values, limits), limits, values.dtype)
        assert back.dtype == values.dtype
        np.testing.assert_array_equal(back, values)


@st.composite
def images(draw):
    """Values of an image of at most 16 bits or a float, and an intensity range."""
    dtype = np.dtype(draw(st.sampled_from(("u1", "i1", "u2", ">i2", "?", "f4", "f8"))))
    if dtype.kind == "f":
        values = st.floats(-1e5, 1e5, width=32)
    else:
        low, high = (0, 1) if dtype.kind == "b" else _ends(dtype)
        values = st.integers(low, high)
    array = np.array(draw(st.lists(values, min_size=1, max_size=20)), dtype)
    low = draw(st.floats(-1e5, 1e5))
    return array, (low, low + draw(st.floats(1, 1e5)))


def _ends(dtype):
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(images())
def test_any_values_come_back_through_any_range(image):
    values, limits = image
    back = from_unit(to_unit(values, limits), limits, values.dtype)
    assert back.dtype == values.dtype
    if values.dtype.kind == "f":  # of the seven digits that the network computes with
        far = np.abs(values - limits[0]).max() + limits[1] - limits[0]
        np.testing.assert_allclose(back, values, rtol=0, atol=1e-6 * far)
    else:
        np.testing.assert_array_equal(back, values)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data(), st.permutations("TCZYXS"), st.integers(0, 4))
def test_axes_in_any_order_are_seen_plane_by_plane(data, order, left_out):
    axes = "".join(axis for axis in order if axis not in "TCZS"[:left_out])
    sizes = {axis: data.draw(st.integers(1, 4)) for axis in axes}
    image = np.arange(math.prod(sizes.values())).reshape(list(sizes.values()))
    spec, view = understand(image, axes), plane_view(image, axes)
    letters = spec.leading + "YX" + "S" * ("S" in axes)
    expected = image.transpose([axes.index(axis) for axis in letters])
    np.testing.assert_array_equal(view, expected.reshape(view.shape))
    for place in np.ndindex(*spec.leading_shape):
        np.testing.assert_array_equal(read_plane(image, axes, place), view[place])
    assert np.shares_memory(view, image)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_only_the_type_clips(dtype):
    info = np.iinfo(dtype)
    far = np.array([-1e6, 1e6], np.float32)
    low, high = from_unit(far, (float(info.min), float(info.max)), np.dtype(dtype))
    assert low == info.min
    assert high >= info.max - 2**11  # the largest float64 below 2**64 - 1
    np.testing.assert_array_equal(to_unit(np.array([-5, 15]), (0, 10)), [-0.5, 1.5])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_floats_keep_values_beyond_the_range(dtype):
    values = np.array([[-3.0, 0.25], [0.5, 40.0]], dtype)
    back = from_unit(to_unit(values, (0.0, 10.0)), (0.0, 10.0), values.dtype)
    assert back.dtype == values.dtype
    np.testing.assert_allclose(back.astype("f8"), values.astype("f8"), atol=4e-6)


def test_a_value_too_large_for_half_precision_stays_finite():
    assert np.isfinite(from_unit(np.float32([1e9]), (0.0, 1.0), np.dtype("f2"))).all()


@pytest.mark.promise("the type's range for 8-bit and RGB")
@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((20, 20), "u1", (0, 255)),
        ((20, 20), "i1", (-128, 127)),
        ((20, 20, 3), "u2", (0, 65535)),
        ((20, 20), "?", (0, 1)),
    ],
)
def test_auto_is_the_types_range_for_8_bit_and_colour(shape, dtype, expected, rng):
    image = rng.integers(0, 2, shape).astype(dtype)
    assert intensity_ranges(image) == [expected]


def test_auto_is_percentiles_for_a_camera_image(rng):
    image = rng.integers(90, 4096, (200, 200)).astype("u2")
    lo, hi = np.percentile(image, (0.1, 99.9))
    assert intensity_ranges(image) == [(lo, hi)]


@pytest.mark.promise("else percentiles of the whole stack")
def test_one_range_per_channel_and_one_for_a_stack(rng):
    image = rng.normal(size=(4, 2, 30, 30)) * np.array([1, 100])[:, None, None]
    ranges = intensity_ranges(image, "TCYX")
    expected = [tuple(np.percentile(image[:, c], (0.1, 99.9))) for c in range(2)]
    assert ranges == expected
    assert intensity_ranges(image[:, 0], "TYX") == expected[:1]


def test_percentiles_leave_out_alpha_and_what_is_not_finite(rng):
    grey = rng.random((30, 30))
    holes = grey.copy()
    holes[3, 4], holes[5, 6] = np.nan, np.inf
    lo, hi = np.percentile(np.delete(grey, [3 * 30 + 4, 5 * 30 + 6]), (0.1, 99.9))
    assert intensity_ranges(holes) == [(lo, hi)]
    with_alpha = np.stack([grey, np.full_like(grey, 5000)], -1)
    assert intensity_ranges(with_alpha, "YXS") == intensity_ranges(grey)


def test_flat_images_with_and_without_spots():
    flat = np.full((200, 200), 7, "u2")
    assert intensity_ranges(flat) == [(7, 7)]
    back = from_unit(np.float32([[0.3]]), (7, 7), flat.dtype)
    assert back == 7
    flat[50, 50] = 900
    assert intensity_ranges(flat) == [(7, 900)]
    assert intensity_ranges(np.full((4, 4), np.nan)) == [(0, 1)]


@pytest.mark.parametrize(
    ("fill", "columns", "remedy"),
    [(-9999, 20, "make them NaN"), (60000, 20, "make them NaN"), (-3e38, 1, "mend it")],
)
def test_a_value_far_from_all_others_is_said(rng, fill, columns, remedy):
    image = rng.random((40, 40), np.float32) * 1000
    image[0, :columns] = fill
    with pytest.warns(EDSRWarning, match=rf"lies far from all others, .* {remedy}"):
        intensity_ranges(image)
    image[0, :columns] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        intensity_ranges(image)


def test_what_cameras_and_masks_give_is_not_far_from_all_others(rng):
    camera = rng.integers(100, 200, (40, 40)).astype("u2")
    masked, hot, bar = camera.copy(), camera.copy(), camera.copy()
    masked[:20], hot[3, 4], bar[:2] = 0, 4095, 65535
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for image in (camera, masked, hot, bar, camera > 150):
            intensity_ranges(image, normalize="percentile")
    assert said == []


def test_floats_beyond_0_to_1_are_warned_of():
    with pytest.warns(EDSRWarning, match="from -2 to 3 leave the expected range 0-1"):
        intensity_ranges(np.array([[-2.0, 3.0], [np.nan, np.inf]]), normalize="dtype")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert intensity_ranges(np.eye(3), normalize="dtype") == [(0, 1)]


def test_ranges_that_are_given():
    stack = np.zeros((2, 4, 4), "u2")
    limits = [(0, 10), (5, 20)]
    assert intensity_ranges(stack, "CYX", (1, 2)) == [(1, 2), (1, 2)]
    assert intensity_ranges(stack, "CYX", "contrast-limits", limits) == limits
    assert intensity_ranges(stack, "ZYX", "contrast-limits", (3, 4)) == [(3, 4)]


@pytest.mark.parametrize(
    ("normalize", "limits", "words"),
    [
        ("best", None, "'best' is unknown; choose auto"),
        ((2, 1), None, "must be finite and rise"),
        ((0, np.inf), None, "must be finite and rise"),
        ((0, 1, 2), None, "is two numbers"),
        ("contrast-limits", None, "has no contrast limits"),
        ("contrast-limits", [(0, 1)] * 3, "3 contrast limits do not fit 1 channels"),
    ],
)
def test_ranges_that_make_no_sense(normalize, limits, words):
    with pytest.raises(ImageError, match=words):
        intensity_ranges(np.zeros((4, 4)), None, normalize, limits)


def test_nan_is_filled_from_the_nearest_pixel():
    plane = np.arange(12.0).reshape(3, 4)
    plane[0, 0], plane[2, 3] = np.nan, -np.inf
    filled, bad = fill_nonfinite(plane)
    assert np.argwhere(bad).tolist() == [[0, 0], [2, 3]]
    assert filled[0, 0] in (plane[0, 1], plane[1, 0])
    assert filled[2, 3] in (plane[1, 3], plane[2, 2])
    whole = np.arange(4).reshape(2, 2)
    assert fill_nonfinite(whole)[0] is whole
    np.testing.assert_array_equal(fill_nonfinite(np.full((2, 2), np.nan))[0], 0)
