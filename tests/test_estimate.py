"""What a run is said to take, and the tiles that "auto" stands for."""

import numpy as np
import pytest

from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ImageError, ModelError
from napari_edsr.estimate import estimate
from napari_edsr.images import understand

BASELINE = EDSRConfig.baseline()


def test_the_work_is_that_of_the_published_networks():
    """TFLOP per megapixel, a multiplication and an addition counted as two."""
    tflop = [EDSRConfig.baseline(scale).flops(scale) / 1e6 for scale in (2, 3, 4)]
    assert tflop == pytest.approx([2.745, 3.131, 3.966], rel=0.01)
    large = [EDSRConfig.large(scale).flops(scale) / 1e6 for scale in (2, 3, 4)]
    assert large == pytest.approx([81.5, 87.4, 100.5], rel=0.01)


def test_the_halo_is_the_receptive_field():
    configs = [EDSRConfig.baseline(s) for s in (2, 3, 4)] + [EDSRConfig.large(2)]
    assert [c.receptive_field(c.scales[0]) for c in configs] == [36, 36, 36, 68]
    assert [EDSRConfig.mdsr(n).receptive_field(4) for n in (16, 80)] == [44, 172]


def test_size_tiles_and_time_of_a_stack():
    spec = understand(np.zeros((5, 512, 512), "u2"), "ZYX")
    foreseen = estimate(spec, BASELINE, 2, tile=256, flops_per_second=1e11)
    assert foreseen.shape == (5, 1024, 1024)
    assert foreseen.output_bytes == 5 * 1024 * 1024 * 2
    assert (foreseen.tile, foreseen.tiles) == (256, 20)
    assert foreseen.flop == 5 * 4 * 292**2 * BASELINE.folded_flops(2)
    assert foreseen.seconds == foreseen.flop / 1e11
    assert foreseen.memory_bytes > foreseen.output_bytes


def test_ensembles_alpha_and_regions_count():
    whole = estimate(understand(np.zeros((100, 100, 3), "u1")), BASELINE, 2, tile=50)
    alpha = estimate(understand(np.zeros((100, 100, 4), "u1")), BASELINE, 2, tile=50)
    eight = estimate(
        understand(np.zeros((100, 100, 3), "u1")),
        BASELINE,
        2,
        tile=50,
        self_ensemble=True,
    )
    assert (alpha.flop, eight.flop) == (2 * whole.flop, 8 * whole.flop)
    region = {"Y": (0, 10), "X": (60, 70)}
    spec = understand(np.zeros((100, 100, 3), "u1"))
    part = estimate(spec, BASELINE, 2, tile=50, region=region)
    assert (part.shape, part.tiles, part.flop) == ((20, 20, 3), 1, whole.flop / 4)
    assert whole.seconds is None


def test_rows_of_a_wide_image_are_foreseen():
    spec = understand(np.zeros((300, 5000), "u1"))
    foreseen = estimate(spec, BASELINE, 2, free_bytes=10**11)
    assert foreseen.tile == "rows"
    # Two stripes of 2500 columns with a halo of 36 on one side each, in bands of 6 rows
    # of which the first six wait for those below.
    assert foreseen.tiles == 2 * (50 - 6)
    assert foreseen.flop == 300 * (5000 + 2 * 36) * BASELINE.folded_flops(2)
    taller = understand(np.zeros((3000, 5000), "u1"))
    grown = estimate(taller, BASELINE, 2, free_bytes=10**11)
    assert (
        grown.memory_bytes - foreseen.memory_bytes
        == grown.output_bytes - foreseen.output_bytes
    )


@pytest.mark.parametrize("tile", [0, -3, 2.5, "huge", True])
def test_odd_tiles_are_refused(tile):
    with pytest.raises(ImageError, match="is not 'auto', 'rows' or a number"):
        estimate(understand(np.zeros((9, 9))), BASELINE, 2, tile=tile)


def test_networks_that_can_not_be():
    with pytest.raises(ModelError, match="not among"):
        EDSRConfig(scales=(5,))
    with pytest.raises(ModelError, match="several need multi_scale"):
        EDSRConfig(scales=(2, 3))
    with pytest.raises(ModelError, match="Unknown network settings: depth"):
        EDSRConfig.from_dict({"depth": 3})
    assert EDSRConfig.from_dict(EDSRConfig.mdsr().to_dict()) == EDSRConfig.mdsr()
