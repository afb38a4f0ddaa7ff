"""Band by band is exactly the untiled result, whatever the network and the bands."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edsr import convolution, load_model, plan, upscale
from napari_edsr.config import EDSRConfig
from napari_edsr.convolution import Convolution
from napari_edsr.folding import fold
from napari_edsr.model import build_model, upscale_batch
from napari_edsr.streaming import StreamedNetwork

#: What a result may differ by from that in double precision, before rounding.
TOLERANCE = 2e-3 / 255


def by_bands(model, image, scale, height, dtype=torch.float32):
    network = copy.deepcopy(model).float().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        stream = StreamedNetwork(network, scale, dtype).stream()
        *first, last = torch.from_numpy(image)[None].float().split(height, 2)
        rows = [stream.push(band) for band in first]
        rows.append(stream.push(last, last=True))
        return torch.cat([part for part in rows if part is not None], 2)[0].numpy()


def untiled(model, image, scale):
    with torch.inference_mode():
        wide = copy.deepcopy(model).double()
        return upscale_batch(wide, torch.from_numpy(image)[None], scale)[0].numpy()


@st.composite
def networks(draw):
    multi = draw(st.booleans())
    scale = draw(st.sampled_from((2, 3, 4)))
    config = EDSRConfig(
        scales=(2, 3, 4) if multi else (scale,),
        n_resblocks=draw(st.integers(1, 6)),
        n_feats=draw(st.integers(1, 24)),
        n_colors=draw(st.sampled_from((1, 3, 5))),
        res_scale=draw(st.sampled_from((1.0, 0.1))),
        rgb_range=draw(st.sampled_from((1.0, 255.0))),
        multi_scale=multi,
    )
    torch.manual_seed(draw(st.integers(0, 1000)))
    return build_model(config).eval(), scale


@pytest.mark.promise(
    "in bands of rows, each layer keeping what the next band needs",
    "the result is the untiled one, without seams, for any image size",
)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    networks(),
    st.tuples(st.integers(1, 60), st.integers(1, 40)),
    st.integers(1, 70),
    st.booleans(),
)
def test_bands_give_the_untiled_image(network, shape, height, grey):
    model, scale = network
    colors = 1 if grey else model.config.n_colors
    image = np.random.default_rng(shape).random((colors, *shape))
    expected = untiled(model, image, scale)
    assert np.abs(by_bands(model, image, scale, height) - expected).max() < TOLERANCE


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_built_in_models_are_exact(scale, photo_planes):
    model = load_model(f"edsr-light-x{scale}")
    expected = untiled(model, photo_planes, scale)
    difference = by_bands(model, photo_planes, scale, 16) - expected
    assert np.abs(difference).max() < TOLERANCE


def test_a_deep_network_with_a_small_residual_scale_is_exact(rng):
    torch.manual_seed(0)
    model = build_model(EDSRConfig.large(2, n_feats=32)).eval()
    image = rng.random((3, 90, 20))
    expected = untiled(model, image, 2)
    assert np.abs(by_bands(model, image, 2, 8) - expected).max() < TOLERANCE


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_folded_layers_are_the_layers_but_for_the_edges(scale, tiny_model):
    model = tiny_model(scale).double()
    layers = torch.nn.Sequential(model.upsampler(scale), model.conv_last)
    weight, bias = fold(layers, 8, scale)
    x = torch.rand(1, 8, 9, 7, dtype=torch.float64)
    y = torch.nn.functional.conv2d(x, weight, bias, padding=2)
    difference = torch.nn.functional.pixel_shuffle(y, scale) - layers(x)
    inside = difference[..., scale:-scale, scale:-scale]
    assert inside.abs().max() < 1e-12
    assert difference.abs().max() > 1e-3  # the edges, which the engine computes apart


def test_fused_convolutions_that_changed_are_not_used(monkeypatch):
    def changed(self, x, padding, relu):
        raise RuntimeError("_convolution_pointwise() takes 9 positional arguments")

    assert convolution._has_fused()
    convolution._has_fused.cache_clear()
    monkeypatch.setattr(Convolution, "_fused", changed)
    assert not convolution._has_fused()
    convolution._has_fused.cache_clear()


def test_without_fused_convolutions_it_is_the_same(tiny_model, rng, monkeypatch):
    image = rng.random((3, 30, 20))
    fused = by_bands(tiny_model(), image, 2, 8)
    monkeypatch.setattr(convolution, "_has_fused", lambda: False)
    np.testing.assert_allclose(by_bands(tiny_model(), image, 2, 8), fused, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_what_is_added_up_in_fp32(dtype, photo_planes):
    """A built-in model loses a hundredth of a grey level, not the tenths of all-half."""
    model = load_model("edsr-light-x2")
    image = photo_planes[:, :48, :48]
    expected = untiled(model, image, 2)
    mixed = by_bands(model, image, 2, 16, dtype) - expected
    network = copy.deepcopy(model).to(dtype)
    with torch.inference_mode():
        half = network(torch.from_numpy(image)[None].to(dtype), 2)[0].float().numpy()
    root = [np.sqrt(np.mean(np.square(e))) * 255 for e in (mixed, half - expected)]
    assert np.abs(mixed).max() * 255 < 0.5
    assert root[0] < 0.05 < root[1] * 2
    assert root[0] < root[1] / 3


@pytest.mark.parametrize("dtype", ["u1", "f4"])
@pytest.mark.parametrize(
    "region",
    [
        {"Y": (0, 9), "X": (0, 9)},
        {"Y": (40, 41), "X": (60, 61)},
        {"Y": (71, 90), "X": (33, 120)},
        {"X": (100, 120)},
    ],
)
@pytest.mark.parametrize("stripe", [4096, 50])
def test_a_preview_has_the_bits_of_the_run(
    region, dtype, stripe, tiny_model, rng, monkeypatch
):
    monkeypatch.setattr(plan, "_BAND_PIXELS", 600)
    monkeypatch.setattr(plan, "_WIDEST_STRIPE", stripe)
    image = (rng.random((90, 120)) * 200).astype(dtype)
    whole = upscale(image, tiny_model(), normalize=(0, 200))
    part = upscale(image, tiny_model(), normalize=(0, 200), region=region)
    rows, columns = (
        slice(*(2 * edge for edge in region.get(axis, (0, side))))
        for axis, side in (("Y", 90), ("X", 120))
    )
    np.testing.assert_array_equal(part, whole[rows, columns])


def test_a_convolution_knows_its_margin_and_type(rng):
    conv = torch.nn.Conv2d(2, 3, 5, padding=2)
    ready = Convolution.of(conv, factor=0.5)
    x = torch.rand(1, 2, 9, 6)
    assert ready.margin == 2
    y = ready(x, rows=2)
    torch.testing.assert_close(y, conv(x) * 0.5)
    assert ready(x).shape == (1, 3, 5, 6)
    assert ready.to(torch.bfloat16)(x, rows=2).dtype == torch.bfloat16
