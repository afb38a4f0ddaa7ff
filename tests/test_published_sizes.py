"""Tiling with the networks of the paper at their full depth, on random weights."""

from __future__ import annotations

import numpy as np
import pytest

from napari_edsr import EDSRConfig, upscale

LARGE = EDSRConfig.large
NETWORKS = {
    "EDSR x2": (LARGE(2), 2, (240, 12)),
    "EDSR x3": (LARGE(3), 3, (240, 12)),
    "EDSR x4": (LARGE(4), 4, (240, 12)),
    "MDSR x2": (EDSRConfig.mdsr(), 2, (500, 12)),
    "MDSR x4": (EDSRConfig.mdsr(), 4, (500, 12)),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_of_a_deep_network_leave_no_seams(name, tiny_model, rng):
    config, scale, shape = NETWORKS[name]
    model = tiny_model(**config.to_dict())
    image = rng.random((*shape, 3), np.float32)
    options = {"scale": scale, "axes": "YXS", "normalize": (0, 1), "device": "cpu"}

    whole = upscale(image, model, tile=max(shape), **options)
    tiled = upscale(image, model, tile=max(shape) // 6, **options)

    assert whole.shape == (shape[0] * scale, shape[1] * scale, 3)
    assert np.ptp(whole) > 0.1
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-3 / 255)
