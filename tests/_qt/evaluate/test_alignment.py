"""Which pixels of a candidate lie on which of the truth."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_edsr._qt.evaluate.alignment import (
    Alignment,
    align,
    align_enlarged,
    common_region,
    find_low,
)
from napari_edsr._qt.layers import METADATA_KEY, result_settings
from napari_edsr.errors import ImageError

SHAPE = (40, 60)


def layer(shape=SHAPE, name="candidate", dtype=np.uint8, **settings):
    return Image(np.zeros(shape, dtype), name=name, **settings)


@pytest.fixture
def placed():
    """A truth that has a place of its own in the world, in micrometres."""
    return layer(name="truth", scale=(0.5, 0.25), translate=(7, -3), units=("um", "um"))


def test_same_place_is_no_offset(placed):
    other = layer(scale=(0.5, 0.25), translate=(7, -3), units=("um", "um"))
    assert align(placed, other) == Alignment((0, 0), SHAPE)


def test_offset_is_counted_in_pixels_of_the_truth(placed):
    other = layer(scale=(0.5, 0.25), translate=(8, -4), units=("um", "um"))
    assert align(placed, other).start == (2, -4)


def test_units_are_converted(placed):
    other = layer(scale=(500, 250), translate=(8000, -4000), units=("nm", "nm"))
    assert align(placed, other).start == (2, -4)


def test_rotated_together_they_match_as_well():
    place = {"rotate": 30, "scale": (2, 2)}
    truth = layer(name="truth", translate=(5, 5), **place)
    corner = truth.data_to_world((3, 4))
    assert align(truth, layer(translate=corner, **place)).start == (3, 4)


def test_part_of_a_pixel_is_a_shift_of_the_content(placed):
    other = layer(scale=(0.5, 0.25), translate=(8.2, -3), units=("um", "um"))
    found = align(placed, other)
    assert found.start == (2, 0)
    np.testing.assert_allclose(found.shift, (-0.4, 0), atol=1e-9)


def test_result_over_its_source_matches_a_truth_without_a_place_by_size():
    low = layer((20, 30), "low")
    result = layer(**result_settings(low, 2))
    found = align(layer(name="truth"), result)
    assert found == Alignment((0, 0), SHAPE, by_size=True)


def test_truth_may_be_larger_by_what_was_cropped():
    low = layer((20, 30), "low")
    result = layer(**result_settings(low, 2))
    assert align(layer((41, 61), "truth"), result).by_size
    with pytest.raises(ImageError, match=r"0\.5 times as large as one of truth"):
        align(layer((44, 61), "truth"), result)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_low_resolution_is_no_candidate_but_a_source_of_baselines(scale):
    truth = layer((40 * scale, 60 * scale), "truth")
    low = layer(name="small")
    with pytest.raises(ImageError, match="small shows truth in low resolution"):
        align(truth, low)
    assert align_enlarged(truth, low) == (
        scale,
        Alignment((0, 0), (40 * scale, 60 * scale)),
    )


def test_low_resolution_that_begins_elsewhere(placed):
    low = layer((20, 30), "low", scale=(1, 0.5), units=("um", "um"))
    low.translate = placed.data_to_world((4 + 0.5, -6 + 0.5))
    assert align_enlarged(placed, low) == (2, Alignment((4, -6), (40, 60)))


def test_of_several_layers_the_low_one_is_found():
    truth, low = layer(name="truth"), layer((20, 30), "low")
    assert find_low(truth, [truth, layer(), low]) is low
    assert find_low(truth, [truth, layer()]) is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (layer((*SHAPE, 3), rgb=True), "candidate is RGB, but truth grey"),
        (layer((3, *SHAPE)), "candidate is 3 planes, but truth a single plane"),
        (layer(scale=(0.5, 0.25), rotate=20, units=("um", "um")), "turned"),
        (layer(scale=(0.5, 0.25), translate=(99, 0), units=("um", "um")), "no part"),
    ],
)
def test_what_cannot_be_compared_is_refused(placed, other, message):
    with pytest.raises(ImageError, match=message):
        align(placed, other)


def test_region_is_what_all_cover():
    alignments = [Alignment((2, -4), (40, 60)), Alignment((-1, 3), (30, 99))]
    region = common_region(SHAPE, alignments)
    assert region == {"Y": (2, 29), "X": (3, 56)}
    assert alignments[0].box(region) == (slice(0, 27), slice(7, 60))
    assert alignments[1].box(region) == (slice(3, 30), slice(0, 53))


def test_nothing_in_common_is_said():
    with pytest.raises(ImageError, match="covered by all"):
        common_region(SHAPE, [Alignment((0, 0), (5, 60)), Alignment((9, 0), (5, 60))])


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("region", [{}, {"Y": (3, 11), "X": (5, 20)}])
def test_result_and_truth_of_one_field_with_only_a_pixel_size(scale, region):
    low = layer((20, 30), "low", scale=(2, 3), units=("um", "um"))
    size = {"scale": (2 / scale, 3 / scale), "units": ("um", "um")}
    truth = layer((20 * scale, 30 * scale), "truth", **size)
    (y0, y1), (x0, x1) = region.get("Y", (0, 20)), region.get("X", (0, 30))
    shape = (y1 - y0) * scale, (x1 - x0) * scale
    result = layer(shape, **result_settings(low, scale, region))
    result.metadata[METADATA_KEY] = {"scale": scale, "region": region}
    assert align(truth, result) == Alignment((y0 * scale, x0 * scale), shape)


def test_result_of_a_layer_that_was_placed_lies_where_the_world_says(placed):
    low = layer((20, 30), "low", scale=(1, 0.5), units=("um", "um"))
    low.translate = placed.data_to_world((0.5, 0.5))
    result = layer(**result_settings(low, 2))
    result.metadata[METADATA_KEY] = {"scale": 2}
    assert align(placed, result) == Alignment((0, 0), SHAPE)


def test_result_of_a_part_lies_on_a_truth_that_knows_no_place_as_its_source_does():
    low = layer((20, 30), "low")
    region = {"Y": (3, 11), "X": (5, 20)}
    result = layer((16, 30), **result_settings(low, 2, region))
    result.metadata[METADATA_KEY] = {"scale": 2, "region": region, "source": "low"}
    found = align(layer(name="truth"), result, low)
    assert found == Alignment((6, 10), (16, 30), by_size=True)
    with pytest.raises(ImageError, match="times as large"):
        align(layer(name="truth"), result)
