"""Tiles cover a plane once, are near-equal, and land where they belong; so do bands."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edsr.errors import ImageError
from napari_edsr.tiling import (
    Tile,
    area,
    count_bands,
    grown,
    holds,
    overlap,
    plan_bands,
    plan_tiles,
    relative,
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
    assert parts[0].source == (slice(0, 19), slice(0, 14))


def test_parts_begin_at_multiples_of_a_step_from_the_first_pixel():
    parts = Tile(3, 33, 5, 25, (40, 40), 2).split((16, 10), step=4)
    rows = [(3, 19), (19, 33)]
    columns = [(5, 9), (9, 17), (17, 25)]
    assert [(p.y0, p.y1, p.x0, p.x1) for p in parts] == [
        (*row, *column) for row in rows for column in columns
    ]
    narrow = Tile(0, 9, 0, 4, (40, 40), 2).split((3, 3), step=4)
    assert [(p.y0, p.y1) for p in narrow] == [(0, 4), (4, 8), (8, 9)]


def test_equal_tiles_read_as_much_each_with_more_context_at_the_edges():
    parts = plan_tiles((50, 33), tile=(20, 12), halo=3, equal=True)
    rows = [slice(0, 23), slice(13, 36), slice(27, 50)]
    columns = [slice(0, 17), slice(8, 25), slice(16, 33)]
    assert [part.source for part in parts] == list(product(rows, columns))
    usual = plan_tiles((50, 33), tile=(20, 12), halo=3)
    assert [part.box for part in parts] == [part.box for part in usual]
    (small,) = plan_tiles((20, 9), tile=20, halo=3, equal=True)
    assert small.source == (slice(0, 20), slice(0, 9))


def test_the_part_of_a_tile_inside_a_box_is_a_tile():
    tile = Tile(10, 20, 30, 40, (50, 60), 4)
    part = tile.within((slice(0, 15), slice(35, 90)))
    assert part == Tile(10, 15, 35, 40, (50, 60), 4)
    assert tile.within((slice(12, 50), slice(0, 31))).box == (
        slice(12, 20),
        slice(30, 31),
    )


def test_without_a_halo_a_tile_reads_itself():
    for tile in plan_tiles((9, 7), tile=4, halo=0):
        assert tile.source == tile.box


@pytest.mark.parametrize(
    ("shape", "tile", "halo"), [((0, 4), 8, 1), ((4, 4), 0, 1), ((4, 4), 8, -1)]
)
def test_impossible_plans_are_refused(shape, tile, halo):
    with pytest.raises(ImageError, match="No tiles"):
        plan_tiles(shape, tile=tile, halo=halo)


BOXES = [
    (slice(*rows), slice(*columns))
    for rows, columns in product(combinations(range(4), 2), repeat=2)
]


@pytest.mark.parametrize("box", BOXES)
def test_boxes_relate_as_their_pixels_do(box):
    plane = np.arange(9).reshape(3, 3)
    tile = Tile(box[0].start, box[0].stop, box[1].start, box[1].stop, (3, 3), 0)
    assert area(box) == plane[box].size
    for other in BOXES:
        shared = np.intersect1d(plane[box], plane[other])
        assert tile.intersects(other) == (shared.size > 0)
        assert holds(box, other) == (shared.size == plane[other].size)
        if shared.size:
            assert plane[overlap(box, other)].ravel().tolist() == shared.tolist()
        if holds(box, other):
            inner = plane[box][relative(other, box)]
            np.testing.assert_array_equal(inner, plane[other])


def test_a_margin_ends_at_the_limits():
    limits = (slice(4, 20), slice(0, 11))
    assert grown((slice(5, 7), slice(1, 3)), 2, limits) == (slice(4, 9), slice(0, 5))
    assert grown((slice(9, 19), slice(4, 10)), 2, limits) == (
        slice(7, 20),
        slice(2, 11),
    )


def test_bands_begin_one_early_and_end_when_the_tile_is_done():
    bands = plan_bands(Tile(25, 33, 4, 15, (60, 24), 3), 8)
    assert [band.source for band in bands] == [
        (slice(top, top + 8), slice(1, 18)) for top in (8, 16, 24, 32)
    ]
    assert [band.last for band in bands] == [False] * 4
    parts = [band.tile and (band.tile.y0, band.tile.y1, band.skip) for band in bands]
    assert parts == [None, None, (25, 29, 4), (29, 33, 0)]
    above = plan_bands(Tile(2, 7, 0, 24, (60, 24), 3), 8)
    assert [band.source[0] for band in above] == [slice(0, 8), slice(8, 16)]


@pytest.mark.parametrize(("y0", "y1"), [(0, 60), (25, 33), (47, 60), (0, 5)])
@pytest.mark.parametrize("height", [1, 8, 24, 100])
@pytest.mark.parametrize("halo", [0, 3, 9])
def test_rows_that_lag_behind_what_is_read_make_up_the_tile(y0, y1, height, halo, rng):
    plane = rng.integers(0, 1000, (60, 24))
    tile = Tile(y0, y1, 4, 15, plane.shape, halo)
    result = np.zeros((y1 - y0, 11), int).repeat(2, 0).repeat(2, 1)
    bands = plan_bands(tile, height)
    done = read = bands[0].source[0].start
    for band in bands:
        rows, columns = band.source
        assert rows.start == read
        assert band.last == (rows.stop == 60)
        read, known = rows.stop, 60 if band.last else max(done, rows.stop - halo)
        if band.tile is not None:
            _, target = band.tile.placed(tile.box, 2)
            given = plane[done:known, columns].repeat(2, 0).repeat(2, 1)
            result[target] = given[band.crop(2)]
        done = known
    np.testing.assert_array_equal(result, plane[tile.box].repeat(2, 0).repeat(2, 1))
    parts = [band.tile for band in bands if band.tile is not None]
    assert all(part.y0 < part.y1 for part in parts)
    assert count_bands(tile, height) == (read - bands[0].source[0].start, len(parts))
