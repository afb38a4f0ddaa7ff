"""What an array is taken for, and intensities to the network's and back."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edsr.errors import EDSRWarning, ImageError
from napari_edsr.images import plane_view, read_plane, understand
from napari_edsr.intensities import (
    fill_nonfinite,
    from_unit,
    intensity_ranges,
    to_unit,
)

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
        (np.zeros((4, 4, 5)), "YXS", "a pixel has 1 to 4"),
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
