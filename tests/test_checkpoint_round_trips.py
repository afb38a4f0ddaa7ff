"""Any network from any layout to any other, and on: the same network in the end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_edsr.checkpoints import SAVED_LAYOUTS, load_model, save_model
from napari_edsr.config import EDSRConfig
from napari_edsr.model import build_model

pytestmark = pytest.mark.usefixtures("one_thread")
#: Layouts that have an MDSR.
OF_SEVERAL_SCALES = ("napari-edsr", "edsr-pytorch")
#: The files are replaced, and the threads stay as they are.
REUSED = [HealthCheck.function_scoped_fixture]


@st.composite
def networks(draw):
    """A small EDSR or MDSR, and layouts that can hold it."""
    multi = draw(st.booleans())
    scales = st.sampled_from(((2, 3, 4), (2, 4), (3,)) if multi else ((2,), (3,), (4,)))
    config = EDSRConfig(
        scales=draw(scales),
        n_resblocks=draw(st.integers(1, 5)),
        n_feats=draw(st.integers(1, 20)),
        n_colors=3 if multi else draw(st.sampled_from((1, 2, 3, 4))),
        rgb_range=draw(st.sampled_from((1.0, 255.0))),
        multi_scale=multi,
    )
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    torch.manual_seed(draw(st.integers(0, 1000)))
    model = build_model(config).to(dtype).eval().requires_grad_(False)
    holding = OF_SEVERAL_SCALES if multi else SAVED_LAYOUTS
    return model, draw(st.lists(st.sampled_from(holding), min_size=2, max_size=4))


@settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=REUSED
)
@given(networks())
def test_any_network_survives_any_layouts(tmp_path, network):
    model, layouts = network
    image = torch.rand((1, model.config.n_colors, 5, 6), dtype=torch.float64)
    again = model
    for layout in layouts:
        again = load_model(save_model(again, tmp_path / "weights", layout=layout))
        assert again.provenance.layout == layout

    found, before = again.config.to_dict(), model.config.to_dict()
    del found["rgb_range"], before["rgb_range"]
    assert found == before
    assert again.conv_first.weight.dtype == model.conv_first.weight.dtype
    for scale in model.config.scales:
        result, expected = (
            one.double()(image, scale).numpy() for one in (again, model)
        )
        # each change of the range of colours rounds once
        np.testing.assert_allclose(result, expected, atol=1e-4 / 255)
