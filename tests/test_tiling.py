"""Tiles cover a plane once, are near-equal, and land where they belong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edsr.errors import ImageError
from napari_edsr.tiling import (
    Tile,
    count_bands,
    grown,
    holds,
    overlap,
    plan_bands,
    plan_tiles,
)

SHAPES = [(1, 1), (1, 50), (17, 3), (64, 64), (65, 129), (100, 37)]
sides = st.integers(1, 40)
quickly = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def parts_of(draw, shape):
    """A box of at least a pixel within a plane."""
    starts = [draw(st.integers(0, length - 1)) for length in shape]
    stops = [
        draw(st.integers(start + 1, length))
        for start, length in zip(starts, shape, strict=True)
    ]
    return tuple(map(slice, starts, stops))


@quickly
@given(
    st.data(),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.integers(0, 20),
    st.booleans(),
    st.integers(2, 4),
)
def test_any_tiles_put_together_are_any_part(data, shape, size, halo, equal, scale):
    box = data.draw(parts_of(shape))
    plane = np.arange(shape[0] * shape[1]).reshape(shape)
    result = np.full([scale * (part.stop - part.start) for part in box], -1)
    whole = (slice(0, shape[0]), slice(0, shape[1]))
    tiles = plan_tiles(shape, tile=size, halo=halo, equal=equal)
    for tile in tiles:
        assert holds(whole, tile.source)
        assert holds(tile.source, grown(tile.box, halo, whole))
        if tile.intersects(box):
            assert holds(box, overlap(tile.box, box))
            crop, target = tile.placed(box, scale)
            assert (result[target] == -1).all()
            result[target] = plane[tile.source].repeat(scale, 0).repeat(scale, 1)[crop]
    np.testing.assert_array_equal(result, plane[box].repeat(scale, 0).repeat(scale, 1))
    if equal:
        assert len({plane[tile.source].shape for tile in tiles}) == 1


@quickly
@given(st.data(), st.tuples(sides, sides), st.integers(0, 20), st.integers(1, 50))
def test_any_bands_give_each_row_of_a_tile_once(data, shape, halo, height):
    rows, columns = data.draw(parts_of(shape))
    tile = Tile(rows.start, rows.stop, columns.start, columns.stop, shape, halo)
    bands = plan_bands(tile, height)
    given_rows = []
    for band, following in zip(bands, [*bands[1:], None], strict=True):
        read = band.source[0]
        assert read.start % height == 0
        assert following is None or following.source[0].start == read.stop
        assert band.last == (read.stop == shape[0])
        if band.tile:
            given_rows += range(band.tile.y0, band.tile.y1)
            assert band.last or band.tile.y1 + halo <= read.stop
    assert given_rows == list(range(rows.start, rows.stop))
    assert bands[0].source[0].start <= max(0, rows.start - halo)
    n_rows = bands[-1].source[0].stop - bands[0].source[0].start
    parts = sum(band.tile is not None for band in bands)
    assert count_bands(tile, height) == (n_rows, parts)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tile", [1, 7, 16, 64, 1000])
def test_tiles_cover_every_pixel_once_and_differ_by_one_pixel(shape, tile):
    covered = np.zeros(shape, int)
    heights, widths = set(), set()
    for part in plan_tiles(shape, tile=tile, halo=5):
        covered[part.y0 : part.y1, part.x0 : part.x1] += 1
        heights.add(part.y1 - part.y0)
        widths.add(part.x1 - part.x0)
    assert covered.min() == covered.max() == 1
    for sides in (heights, widths):
        assert max(sides) <= tile
        assert max(sides) - min(sides) <= 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_cropped_tiles_put_together_are_the_enlarged_plane(shape, scale, rng):
    plane = rng.integers(0, 1000, shape)
    enlarged = plane.repeat(scale, 0).repeat(scale, 1)
    result = np.zeros_like(enlarged)
    box = (slice(0, shape[0]), slice(0, shape[1]))
    for tile in plan_tiles(shape, tile=11, halo=3):
        crop, target = tile.placed(box, scale)
        result[target] = plane[tile.source].repeat(scale, 0).repeat(scale, 1)[crop]
    np.testing.assert_array_equal(result, enlarged)


def test_a_box_takes_only_its_own_part_of_each_tile(rng):
    plane = rng.integers(0, 1000, (40, 50))
    box = (slice(9, 31), slice(18, 19))
    result = np.zeros((44, 2), int)
    for tile in plan_tiles(plane.shape, tile=16, halo=4):
        if tile.intersects(box):
            crop, target = tile.placed(box, 2)
            result[target] = plane[tile.source].repeat(2, 0).repeat(2, 1)[crop]
    np.testing.assert_array_equal(result, plane[box].repeat(2, 0).repeat(2, 1))


def test_context_stops_at_the_edges_of_the_plane():
    first, *_, last = plan_tiles((20, 20), tile=10, halo=4)
    assert first.source == (slice(0, 14), slice(0, 14))
    assert last.source == (slice(6, 20), slice(6, 20))


def test_a_split_tile_keeps_its_pixels_and_halo():
    (whole,) = plan_tiles((30, 20), tile=64, halo=4)
    parts = whole.split((15, 15))
    assert [(p.y0, p.y1, p.x0, p.x1) for p in parts] == [
        (0, 15, 0, 10),
        (0, 15, 10, 20),
        (15, 30, 0, 10),
        (15, 30, 10, 20),
    ]
    assert {part.halo for part in parts} == {4}


@pytest.mark.parametrize(
    ("shape", "tile", "halo"), [((0, 4), 8, 1), ((4, 4), 0, 1), ((4, 4), 8, -1)]
)
def test_impossible_plans_are_refused(shape, tile, halo):
    with pytest.raises(ImageError, match="No tiles"):
        plan_tiles(shape, tile=tile, halo=halo)
