"""How planes are cut: what "auto" means on a device, with its memory."""

import numpy as np
import pytest

from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ImageError
from napari_edsr.plan import plan_tiling
from napari_edsr.tiling import Tile, area, plan_bands

BASELINE = EDSRConfig.baseline()


def test_a_cpu_goes_by_rows_and_an_accelerator_by_tiles():
    assert plan_tiling("auto", BASELINE, 2, free_bytes=10**11).label == "rows"
    assert (
        plan_tiling("auto", BASELINE, 2, device="cuda:0", free_bytes=10**11).label
        == 1024
    )
    by_rows = plan_tiling("rows", BASELINE, 2, device="cuda:0", free_bytes=10**11)
    assert by_rows.label == "rows"
    assert (
        plan_tiling("auto", BASELINE, 2, ensemble=True, free_bytes=10**11).label == 272
    )
    with pytest.raises(ImageError, match="cannot go by rows; choose tile='auto'"):
        plan_tiling("rows", BASELINE, 2, ensemble=True)
    with pytest.raises(ImageError, match="MNN cannot go by rows"):
        plan_tiling("rows", BASELINE, 2, device="mnn")
    assert (
        plan_tiling("auto", BASELINE, 2, device="mnn", free_bytes=10**11).label == 496
    )


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_tiles_and_stripes_shrink_with_the_free_memory(device):
    widths = [
        plan_tiling("auto", BASELINE, 2, device=device, free_bytes=n).size[1]
        for n in (10**11, 2 * 10**8, 10**6)
    ]
    assert widths[0] > widths[1] > widths[2] == 32


@pytest.mark.parametrize("height", [1, 3, 16, 1000])
@pytest.mark.parametrize("rows", [(0, 90), (0, 7), (31, 32), (60, 90)])
def test_bands_read_what_a_tile_needs_and_finish_each_row_once(height, rows):
    whole = Tile(0, 90, 0, 40, (90, 40), 9)
    tile = whole.within((slice(*rows), slice(10, 20)))
    bands = plan_bands(tile, height)
    read = [row for band in bands for row in range(90)[band.source[0]]]
    assert read == list(range(read[0], read[-1] + 1))
    assert read[0] <= max(0, rows[0] - 9)
    assert read[-1] >= min(89, rows[1] - 1 + 9)
    done = [row for b in bands if b.tile for row in range(b.tile.y0, b.tile.y1)]
    assert done == list(range(*rows))
    assert all(band.source[1] == slice(1, 29) for band in bands)
    assert [band.last for band in bands].count(True) == (read[-1] == 89)
    # A band's rows come out once those below them are in.
    for band in bands:
        if band.tile and not band.last:
            assert band.tile.y1 + 9 <= band.source[0].stop


@pytest.mark.parametrize("rows", [(31, 32), (60, 90), (25, 70)])
def test_bands_of_a_part_are_bands_of_the_whole(rows):
    whole = Tile(0, 90, 0, 40, (90, 40), 9)
    cuts = {(b.source[0].start, b.source[0].stop) for b in plan_bands(whole, 4)}
    part = plan_bands(whole.within((slice(*rows), slice(0, 40))), 4)
    assert {(b.source[0].start, b.source[0].stop) for b in part} <= cuts
    first = next(band for band in part if band.tile)
    assert first.tile.y0 - 9 - part[0].source[0].start >= 4


def test_the_crop_of_a_band_is_its_tile():
    tile = Tile(0, 90, 0, 40, (90, 40), 9).within((slice(30, 50), slice(10, 20)))
    origin, fed = None, []
    for band in plan_bands(tile, 8):
        origin = band.source[0].start if origin is None else origin
        fed.extend(range(90)[band.source[0]])
        if band.tile:
            given = np.arange(origin + len(fed) - 9)[band.tile.y0 - band.skip :]
            crop = band.crop(1)
            assert given[crop[0]].tolist() == list(range(band.tile.y0, band.tile.y1))
            assert np.arange(1, 29)[crop[1]].tolist() == list(range(10, 20))


@pytest.mark.parametrize("tile", ["rows", 64, 37])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize(
    "box", [(slice(0, 700), slice(0, 9001)), (slice(3, 411), slice(10, 4500))]
)
def test_kinds_stand_for_all_tiles(tile, device, box):
    tiling = plan_tiling(tile, EDSRConfig(), 2, device=device, free_bytes=2**33)
    tiles = tiling.tiles((700, 9001), box)

    kinds = tiling.kinds((700, 9001), box)
    assert sum(count for _, count in kinds) == len(tiles) >= len(kinds)
    read = sum(area(part) for tile in tiles for part in tiling.sources(tile, box))
    assert sum(tiling.work(tile, box)[0] * count for tile, count in kinds) == read
    if tiling.by_rows:
        bands = [band for tile in tiles for band in tiling.bands(tile, box)]
        given = sum(band.tile is not None for band in bands)
        assert sum(tiling.work(tile, box)[1] * count for tile, count in kinds) == given
