from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_edsr._qt.layers import result_settings
from napari_edsr._qt.pairing import Match, find_partner, match_layers
from napari_edsr.errors import ImageError

MATRIX = [[0.9, 0.3, 5], [-0.2, 1.4, -6], [0, 0, 1]]
PLACES = {
    "scaled": {"scale": (0.5, 0.25)},
    "moved": {"scale": (2, 3), "translate": (10, -7)},
    "rotated": {"scale": (0.5, 0.25), "rotate": 30, "translate": (3, 4)},
    "sheared": {"scale": (0.5, 0.25), "shear": [0.3]},
    "affine": {"scale": (2, 0.5), "rotate": 20, "affine": MATRIX},
    "measured": {"scale": (0.1, 0.1), "units": ("um", "um"), "translate": (7, 0)},
}
#: Rows and columns of the high-resolution layer that lie over the low-resolution one.
PARTS = [
    {"Y": (0, 24), "X": (0, 36)},
    {"Y": (2, 19), "X": (5, 36)},
    {"Y": (13, 24), "X": (0, 25)},
]


def image(shape=(24, 36), name="fine", dtype=np.uint16, **settings):
    return Image(np.zeros(shape, dtype), name=name, **settings)


def coarse(shape=(12, 18), **settings):
    return image(shape, **{"name": "coarse", **settings})


def shrunk(hr, scale, shape):
    """A layer with the pixels of `hr` put together, in the same place."""
    y, x = hr.ndim - 2, hr.ndim - 1
    settings = result_settings(hr, 1)
    factors = np.ones(hr.ndim)
    factors[[y, x]] = scale
    settings["scale"] = np.asarray(hr.scale) * factors
    layer = Image(np.zeros(shape, np.uint16), **settings, name="coarse")
    block = (factors - 1) / 2  # the centre of the first one
    apart = np.subtract(hr.data_to_world(block), layer.data_to_world([0] * hr.ndim))
    inverse = np.linalg.inv(hr.affine.linear_matrix)
    layer.translate = np.asarray(layer.translate) + inverse @ apart
    return layer


def cut(layer, part):
    """The part of a layer, where it was."""
    settings = result_settings(layer, 1, part)
    rows, columns = (slice(*part[axis]) for axis in "YX")
    return Image(layer.data[..., rows, columns], **settings, name=layer.name)


def assert_same_place(hr, lr, match, scale):
    """Each low-resolution pixel is the centre of its block."""
    for axis in "YX":
        (start, stop), (first, last) = match.hr[axis], match.lr[axis]
        assert stop - start == scale * (last - first) > 0
    for corner in itertools.product((0, 1), (0, 1)):
        small, large = np.zeros(lr.ndim), np.zeros(hr.ndim)
        for i, axis in enumerate("YX"):
            inside = corner[i] * (match.lr[axis][1] - match.lr[axis][0] - 1)
            small[i - 2] = match.lr[axis][0] + inside
            large[i - 2] = match.hr[axis][0] + scale * inside + (scale - 1) / 2
        np.testing.assert_allclose(hr.data_to_world(large), lr.data_to_world(small))


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("place", PLACES)
def test_pair_is_found_wherever_it_lies(place, part, scale):
    whole = image(**PLACES[place])
    lr = shrunk(whole, scale, (24 // scale, 36 // scale))
    hr = cut(whole, part)

    match = match_layers(hr, lr, scale)

    for axis in "YX":
        start, stop = part[axis]
        first, last = -(-start // scale), stop // scale
        assert match.lr[axis] == (first, last)
        assert match.hr[axis] == (first * scale - start, last * scale - start)
    assert_same_place(hr, lr, match, scale)


def test_low_resolution_may_be_the_smaller_field():
    whole = shrunk(image(scale=(3, 3)), 2, (12, 18))
    lr = cut(whole, {"Y": (4, 9), "X": (3, 18)})

    match = match_layers(image(scale=(3, 3)), lr, 2)

    assert match == Match(
        hr={"Y": (8, 18), "X": (6, 36)}, lr={"Y": (0, 5), "X": (0, 15)}
    )
    assert match.area == 75


def test_fields_that_reach_over_one_another():
    hr = image(scale=(1, 1), translate=(10, 20))
    lr = coarse(scale=(2, 2), translate=(10 - 7.5, 20 + 8.5))  # 8 before, 8 behind

    match = match_layers(hr, lr, 2)

    assert match == Match(
        hr={"Y": (0, 16), "X": (8, 36)}, lr={"Y": (4, 12), "X": (0, 14)}
    )


@pytest.mark.parametrize("shape", [(24, 36), (25, 37)])
def test_layers_without_any_calibration_cover_the_same_field(shape):
    match = match_layers(image(shape), coarse(), 2)
    assert match == Match(
        hr={"Y": (0, 24), "X": (0, 36)}, lr={"Y": (0, 12), "X": (0, 18)}
    )


def test_pixel_sizes_without_positions_mean_the_same_field():
    """Files tell the size of a pixel more often than the place of the stage."""
    hr = image(scale=(0.108, 0.108), units=("um", "um"))
    lr = coarse((8, 12), scale=(324, 324), units=("nm", "nm"))

    match = match_layers(hr, lr, 3)

    assert match.hr == {"Y": (0, 24), "X": (0, 36)}


def test_units_are_converted():
    hr = image(scale=(0.1, 0.1), translate=(5, 6), units=("um", "um"))
    lr = coarse(scale=(200, 200), translate=(5450, 5850), units=("nm", "nm"))

    match = match_layers(hr, lr, 2)

    assert match == Match(
        hr={"Y": (4, 24), "X": (0, 34)}, lr={"Y": (0, 10), "X": (1, 18)}
    )


def test_planes_of_stacks_are_paired_by_number():
    hr = image((3, 5, 24, 36), scale=(9, 1, 0.5, 0.5), translate=(0, 7, 1, 1))
    lr = coarse((3, 5, 12, 18), translate=(2, 0, 1.25, 1.25))

    match = match_layers(hr, lr, 2)

    assert match.lr == {"Y": (0, 12), "X": (0, 18)}


@pytest.mark.parametrize("extra", [(1,), (1, 1)])
def test_numbers_of_axes_may_differ(extra):
    hr = image((*extra, 24, 36), scale=(*(5 for _ in extra), 2, 2))
    lr = shrunk(image(scale=(2, 2), rotate=20), 2, (12, 18))
    turned = np.eye(hr.ndim)
    turned[-2:, -2:] = lr.rotate
    hr.rotate = turned

    assert match_layers(hr, lr, 2).hr == {"Y": (0, 24), "X": (0, 36)}


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_stacks_turned_alike_in_space():
    turn = {"rotate": (20, 30, 40), "scale": (2, 0.5, 0.5)}
    hr = image((3, 24, 36), **turn)
    lr = shrunk(hr, 2, (3, 12, 18))

    assert_same_place(hr, lr, match_layers(hr, lr, 2), 2)


def test_full_resolution_of_multiscale_layers_counts():
    hr = Image([np.zeros((24, 36)), np.zeros((12, 18))], multiscale=True)
    lr = Image([np.zeros((12, 18)), np.zeros((6, 9))], multiscale=True)

    assert match_layers(hr, lr, 2).lr == {"Y": (0, 12), "X": (0, 18)}


def test_colours_and_channels():
    labels = {"axis_labels": ("c", "y", "x")}
    colour = match_layers(
        image((24, 36, 3), rgb=True), coarse((12, 18, 3), rgb=True), 2
    )
    channels = match_layers(
        image((2, 24, 36), **labels), coarse((2, 12, 18), **labels), 2
    )

    assert colour == channels
    assert colour.hr == {"Y": (0, 24), "X": (0, 36)}


def test_what_is_off_by_less_than_a_tenth_of_a_pixel_is_taken():
    hr = image(scale=(1, 1), translate=(0, 1))
    lr = coarse(scale=(2.001, 2), translate=(0.58, 1.42))

    assert match_layers(hr, lr, 2).hr == {"Y": (0, 24), "X": (0, 36)}


UM = {"units": ("um", "um")}
MISFITS = {
    "turned": ({}, {"scale": (2, 2), "rotate": 3}, "coarse is turned.*fine; register"),
    "a little": ({}, {"scale": (2, 2), "rotate": 0.5, "translate": (1, 1)}, "turned"),
    "sheared": ({}, {"scale": (2, 2), "shear": [0.1]}, "or sheared against fine"),
    "mirrored": ({}, {"scale": (-2, 2), "translate": (22, 0)}, "mirrored"),
    "large": (
        {},
        {"scale": (2.5, 2.5)},
        "A pixel of coarse is 2.5 times as large as one of fine, not 2 times; choose "
        "another layer",
    ),
    "other scale": ({}, {"scale": (3, 3)}, "choose scale x3 or another layer"),
    "one axis": ({}, {"scale": (2, 3)}, "is 3 times as large"),
    "both a little": (
        {},
        {"scale": (2.01, 2), "translate": (0.56, 0.5)},
        "is shifted by 0.17 px",
    ),
    "tiny difference": ({}, {"scale": (2.02, 2)}, "is 2.02 times as large"),
    "same size": (UM, UM, "is 1 times as large"),
    "uncalibrated": (
        {},
        {"shape": (10, 18)},
        "coarse is 18 x 10 pixels, where fine at x2 needs 18 x 12; choose another layer",
    ),
    "shifted": (
        {},
        {"scale": (2, 2), "translate": (0.5, 4.9)},
        r"coarse is shifted by 0.4 px against fine; register them first\.",
    ),
    "beside": ({}, {"scale": (2, 2), "translate": (0.5, 40.5)}, "no part of fine"),
    "before": ({}, {"scale": (2, 2), "translate": (-24.5, 0.5)}, "no part of fine"),
    "units": (UM, {}, "coarse is measured in pixel, fine in micrometer; give both"),
    "other units": (UM, {"units": ("s", "s")}, "is measured in second"),
    "type": ({}, {"dtype": np.uint8}, "coarse is uint8, but fine uint16; convert"),
    "planes": (
        {"shape": (5, 24, 36)},
        {"shape": (4, 12, 18)},
        "coarse is 4 planes, but fine 5 planes; choose",
    ),
    "stack": ({}, {"shape": (4, 12, 18)}, "4 planes, but fine a single plane"),
    "channels": (
        {"shape": (3, 24, 36), "axis_labels": ("c", "y", "x")},
        {"shape": (3, 12, 18)},
        "coarse is 3 planes, but fine 3 channels",
    ),
    "colour": (
        {"shape": (24, 36, 3), "rgb": True},
        {},
        "coarse is grey, but fine RGB; split",
    ),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfits_are_refused_in_a_sentence(misfit):
    large, small, words = MISFITS[misfit]
    with pytest.raises(ImageError, match=words):
        match_layers(image(**large), coarse(**small), 2)


def test_a_stack_that_leans_sideways_is_refused():
    hr = image((5, 24, 36))
    lr = coarse((5, 12, 18), scale=(1, 2, 2), shear=[0.1, 0, 0])
    with pytest.raises(ImageError, match="sheared"):
        match_layers(hr, lr, 2)


@pytest.fixture
def viewer():
    """Layers around `fine`; at x2 three fit, of which `far` shares least."""
    viewer = ViewerModel()
    hr = viewer.add_image(np.zeros((24, 36)), name="fine", scale=(5, 5))
    viewer.add_image(np.zeros((24, 36)), name="other", scale=(15, 15))
    for name, start in (("far", 8), ("near", 2), ("again", 2)):
        place = 5 * (start + 0.5)
        viewer.add_image(
            np.zeros((12, 18)), name=name, scale=(10, 10), translate=(place, place)
        )
    assert hr is viewer.layers[0]
    return viewer


def test_partner_is_the_first_that_shares_most(viewer):
    hr = viewer.layers["fine"]

    layer, match = find_partner(hr, list(viewer.layers), 2)

    assert layer is viewer.layers["near"]
    assert match == match_layers(hr, layer, 2)
    assert match.area == 11 * 17


def test_without_another_layer_one_is_asked_for():
    hr = image()
    with pytest.raises(ImageError, match=r"Open the low-resolution layer of fine\."):
        find_partner(hr, [hr], 2)


def test_single_candidate_is_refused_for_its_own_reason():
    with pytest.raises(ImageError, match="^A pixel of coarse is 3 times"):
        find_partner(image(), [coarse(scale=(3, 3))], 2)


def test_of_several_the_nearest_is_named(viewer):
    hr = viewer.layers["fine"]
    viewer.layers["far"].translate = (5, 0)
    viewer.layers["near"].rotate = 45
    viewer.layers["again"].scale = (12, 12)
    words = (
        "None of the 4 layers fits fine at x2: far is shifted by 0.5 px against fine; "
        "register them first."
    )
    with pytest.raises(ImageError) as caught:
        find_partner(hr, list(viewer.layers), 2)
    assert str(caught.value) == words
