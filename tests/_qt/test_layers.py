from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_edsr._qt import layers
from napari_edsr.events import drain

PLACES = {
    "plain": {},
    "scaled": {"scale": (0.5, 0.25)},
    "moved": {"scale": (2, 3), "translate": (10, -7)},
    "rotated": {"scale": (0.5, 0.25), "rotate": 30, "translate": (3, 4)},
    "sheared": {"scale": (0.5, 0.25), "shear": [0.3]},
    "all": {"scale": (2, 0.5), "rotate": -50, "shear": [0.7], "translate": (1, 2)},
    "affine": {
        "scale": (2, 0.5),
        "rotate": 20,
        "affine": [[0.9, 0.3, 5], [-0.2, 1.4, -6], [0, 0, 1]],
    },
}
REGIONS = [None, {"Y": (3, 7), "X": (2, 9)}]


def enlarge(*arguments):
    return drain(layers.iter_enlarge(*arguments))


def result_of(layer, scale, region=None):
    data = enlarge(layers.layer_array(layer), layers.layer_axes(layer), scale, region)
    return Image(data, **layers.result_settings(layer, scale, region))


def assert_blocks_lie_on_their_pixels(layer, result, scale, origin):
    """The centre of each `scale` x `scale` block is the centre of its source pixel."""
    for offset in itertools.product((0, 1, 3), (0, 2, 5)):
        inside = np.zeros(layer.ndim)
        inside[-2:] = offset
        block = inside.copy()
        block[-2:] = np.multiply(offset, scale) + (scale - 1) / 2
        np.testing.assert_allclose(
            result.data_to_world(block), layer.data_to_world(inside + origin), atol=1e-9
        )


@pytest.mark.promise("Pixel size, units, rotation, contrast and colormap go along")
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("place", PLACES)
def test_result_lies_on_its_source(place, region, scale):
    layer = Image(np.arange(80.0).reshape(8, 10), **PLACES[place])

    result = result_of(layer, scale, region)

    origin = (3, 2) if region else (0, 0)
    assert_blocks_lie_on_their_pixels(layer, result, scale, origin)


@st.composite
def placed_layers(draw, ndim):
    """A layer anywhere in the world: scaled, sheared, turned, moved, and all that again."""

    def numbers(low, high, count=ndim):
        return draw(st.lists(st.floats(low, high), min_size=count, max_size=count))

    angles = numbers(-180, 180, 3)
    rotate, n_shears = (angles[0], 1) if ndim == 2 else (angles, 3)
    # once more around the whole, by a matrix that can be undone
    affine = np.eye(ndim + 1)
    affine[:ndim, :ndim] += np.reshape(numbers(-0.3, 0.3, ndim**2), (ndim, ndim))
    affine[:ndim, ndim] = numbers(-100, 100)
    return Image(
        np.zeros((4, 8, 10)[-ndim:], np.uint8),
        scale=numbers(0.01, 100),
        translate=numbers(-1e3, 1e3),
        rotate=rotate,
        shear=numbers(-1, 1, n_shears),
        affine=affine if draw(st.booleans()) else None,
    )


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari, of such layers
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from((2, 3)), st.sampled_from((2, 3, 4)))
def test_any_result_covers_its_part_of_any_source(data, ndim, scale):
    layer = data.draw(placed_layers(ndim))
    region = {
        axis: tuple(sorted(data.draw(st.permutations(range(length + 1)))[:2]))
        for axis, length in zip("ZYX"[-ndim:], layer.data.shape, strict=True)
    }

    result = result_of(layer, scale, region)

    starts = np.array([start for start, _ in region.values()])
    factors = np.array([1, scale, scale][-ndim:])
    size = float(np.abs(layer.extent.world).max())
    for corner in itertools.product((0, 1), repeat=ndim):
        ends = np.array(corner) * result.data.shape
        np.testing.assert_allclose(
            result.data_to_world(ends - 0.5),
            layer.data_to_world(starts + ends / factors - 0.5),
            atol=1e-9 * size,
        )


@pytest.mark.parametrize("scale", [2, 3])
def test_planes_of_a_sheared_stack_stay_where_they_are(scale):
    data = np.zeros((4, 3, 6, 8), np.uint8)
    layer = Image(
        data, scale=(2, 5, 0.5, 0.25), shear=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], rotate=15
    )

    one = result_of(layer, scale, {"T": (2, 3), "Z": (1, 2)})
    whole = result_of(layer, scale)

    assert one.data.shape == (1, 1, 6 * scale, 8 * scale)
    assert_blocks_lie_on_their_pixels(layer, one, scale, (2, 1, 0, 0))
    assert_blocks_lie_on_their_pixels(layer, whole, scale, (0, 0, 0, 0))


def test_outer_corners_are_the_same():
    layer = Image(
        np.zeros((2, 5, 7)), scale=(1, 0.3, 0.2), rotate=30, translate=(1, 2, 3)
    )

    result = result_of(layer, 4)

    for y, x in itertools.product((0, 1), (0, 1)):
        np.testing.assert_allclose(
            result.data_to_world((1, 20 * y - 0.5, 28 * x - 0.5)),
            layer.data_to_world((1, 5 * y - 0.5, 7 * x - 0.5)),
        )


@pytest.mark.promise("Pixel size, units, rotation, contrast and colormap go along")
def test_result_looks_like_its_source():
    layer = Image(
        np.zeros((3, 5, 7), np.uint16),
        colormap="magenta",
        contrast_limits=(100, 3000),
        gamma=0.7,
        blending="additive",
        opacity=0.4,
        interpolation2d="linear",
        rendering="attenuated_mip",
        units=("um", "um", "um"),
        axis_labels=("z", "y", "x"),
        metadata={"sample": "A1", layers.METADATA_KEY: {"model": "an earlier run"}},
        visible=False,
    )

    result = result_of(layer, 2)

    for name in (
        "contrast_limits",
        "gamma",
        "blending",
        "opacity",
        "interpolation2d",
        "rendering",
        "units",
        "axis_labels",
    ):
        assert getattr(result, name) == getattr(layer, name)
    assert result.colormap.name == "magenta"
    assert result.metadata == {"sample": "A1"}
    assert result.metadata is not layer.metadata
    assert result.visible


def test_result_of_a_multiscale_layer_is_single_scale():
    levels = [np.arange(64.0).reshape(8, 8), np.arange(16.0).reshape(4, 4)]
    layer = Image(levels, multiscale=True, scale=(0.5, 0.5))

    result = result_of(layer, 2)

    assert not result.multiscale
    assert layers.layer_array(layer) is layer.data[0]
    np.testing.assert_array_equal(result.data[::2, ::2], levels[0])
    assert_blocks_lie_on_their_pixels(layer, result, 2, (0, 0))


@pytest.mark.parametrize(
    ("shape", "options", "axes"),
    [
        ((5, 6), {}, "YX"),
        ((4, 5, 6), {}, "ZYX"),
        ((2, 4, 5, 6), {}, "TZYX"),
        ((2, 4, 5, 6), {"axis_labels": ("c", "t", "y", "x")}, "CTYX"),
        ((2, 4, 5, 6), {"axis_labels": ("time", "z", "y", "x")}, "TZYX"),
        ((2, 4, 5, 6), {"axis_labels": ("z", "z", "y", "x")}, "TZYX"),
        ((4, 5, 6), {"axis_labels": ("x", "y", "z")}, "ZYX"),
        ((1, 2, 4, 5, 6), {}, "WTZYX"),
        ((5, 6, 3), {"rgb": True}, "YXS"),
        ((5, 6, 4), {"rgb": True}, "YXS"),
        ((2, 5, 6, 3), {"rgb": True}, "ZYXS"),
        ((5, 6, 3), {"rgb": False}, "ZYX"),
    ],
)
def test_axes_are_those_of_the_layer(shape, options, axes):
    layer = Image(np.zeros(shape, np.uint8), **options)
    spec = layers.layer_spec(layer)
    assert (layers.layer_axes(layer), spec.axes, spec.shape) == (axes, axes, shape)


def test_only_images_can_be_upscaled():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 4)))
    viewer.add_labels(np.zeros((4, 4), int))
    viewer.add_points(np.zeros((1, 2)))
    viewer.add_shapes()
    assert layers.image_layers(viewer.layers) == [image]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ""),
        ({"scale": (0.108, 0.108), "units": ("um", "um")}, "0.108 µm/px"),
        ({"scale": (0.2, 0.1), "units": ("um", "um")}, "0.1 × 0.2 µm/px"),
        ({"scale": (2, 2)}, "pixel size 2"),
        ({"units": ("nm", "nm")}, "1 nm/px"),
    ],
)
def test_pixel_size_in_words(options, words):
    assert layers.pixel_size(Image(np.zeros((4, 4)), **options)) == words


@pytest.mark.parametrize("axes", ["YX", "YXS", "ZYX", "TCYXS"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlarging_repeats_pixels(axes, scale, rng):
    shape = tuple({"Y": 3, "X": 5, "S": 3}.get(axis, 2) for axis in axes)
    data = rng.integers(0, 2**16, shape, np.uint16)
    expected = np.repeat(data, scale, axes.index("Y")).repeat(scale, axes.index("X"))
    np.testing.assert_array_equal(enlarge(data, axes, scale), expected)


def test_enlarging_a_region_of_big_endian_data():
    data = np.arange(2 * 4 * 5, dtype=">u2").reshape(2, 4, 5)

    result = enlarge(data, "ZYX", 2, {"Z": (1, 2), "X": (1, 3)})

    assert result.dtype == np.dtype("uint16")
    assert result.dtype.isnative
    np.testing.assert_array_equal(result[:, ::2, ::2], data[1:2, :, 1:3])


def test_view_of_an_undrawn_layer_is_all_of_it():
    layer = Image(np.zeros((3, 6, 8)))
    assert layers.view_region(layer) == {"Y": (0, 6), "X": (0, 8)}


def test_view_is_what_the_canvas_shows():
    layer = Image(np.zeros((60, 80)))
    layer.corner_pixels = np.array([[10, 20], [29, 49]])
    assert layers.view_region(layer) == {"Y": (10, 30), "X": (20, 50)}


def test_no_view_is_known_of_data_with_other_axes_until_they_are_drawn():
    layer = Image(np.zeros((60, 80)))
    layer.corner_pixels = np.zeros((2, 3), int)
    assert layers.view_region(layer) is None


def test_view_beside_the_layer_is_none():
    layer = Image(np.zeros((60, 80)))
    layer.corner_pixels = np.array([[0, 79], [59, 79]])
    assert layers.view_region(layer) is None


def test_view_of_a_multiscale_layer_counts_full_resolution_pixels():
    layer = Image([np.zeros((60, 80)), np.zeros((30, 40))], multiscale=True)
    layer.data_level = 1
    layer.corner_pixels = np.array([[5, 10], [14, 39]])
    assert layers.view_region(layer) == {"Y": (10, 30), "X": (20, 80)}


def test_rectangle_goes_through_the_world():
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros((3, 40, 50)), scale=(1, 0.5, 0.5), translate=(0, 10, 20)
    )
    shapes = viewer.add_shapes()
    # world rows 12-17 and columns 22-30, drawn over pixel edges
    corners = np.array([[12, 22], [12, 30], [17, 30], [17, 22]]) - 0.25
    shapes.add_rectangles(corners)

    assert layers.rectangle_region(shapes, image) == {"Y": (4, 14), "X": (4, 20)}


def test_selected_rectangle_is_taken_and_cut_at_the_image():
    image = Image(np.zeros((40, 50)))
    shapes = ViewerModel().add_shapes()
    shapes.add_rectangles(np.array([[-9, -9], [-9, 4], [7, 4], [7, -9]]))
    shapes.add_rectangles(np.array([[70, 70], [70, 90], [90, 90], [90, 70]]))

    shapes.selected_data = {0}
    assert layers.rectangle_region(shapes, image) == {"Y": (0, 8), "X": (0, 5)}
    shapes.selected_data = {1}
    assert layers.rectangle_region(shapes, image) is None


def test_no_rectangle_is_no_region():
    assert (
        layers.rectangle_region(ViewerModel().add_shapes(), Image(np.zeros((4, 4))))
        is None
    )


def test_current_plane_follows_the_sliders():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((5, 6, 8, 8)), scale=(2, 1, 1, 1))
    viewer.dims.set_current_step((0, 1), (3, 4))

    assert layers.current_plane(viewer.dims, layer) == {"T": (3, 4), "Z": (4, 5)}


@pytest.mark.parametrize("first", ["um", "nm"])
def test_planes_are_found_in_whatever_unit_the_sliders_count(first):
    viewer = ViewerModel()
    placed = [
        layers.Image(
            np.zeros((5, 8, 8)),
            scale=(size, 1, 1),
            translate=(50 * size, 0, 0),
            units=(unit,) * 3,
        )
        for unit, size in (("um", 1), ("nm", 1000))
    ]
    for layer in placed if first == "um" else placed[::-1]:
        viewer.add_layer(layer)
    for layer in placed:
        layers.show_plane(viewer.dims, layer, (3,))
        assert viewer.dims.current_step[0] == 3
        for each in placed:
            assert layers.current_plane(viewer.dims, each) == {"Z": (3, 4)}
        viewer.dims.set_current_step(0, 0)


def test_current_plane_of_a_layer_with_fewer_axes():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 6, 8, 8)))
    small = viewer.add_image(np.zeros((6, 8, 8)))
    viewer.dims.set_current_step((0, 1), (3, 4))

    assert layers.current_plane(viewer.dims, small) == {"Z": (4, 5)}
