"""The networks as modules: sizes, shapes, intensities, precision."""

import copy

import pytest
import torch

from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ModelError
from napari_edsr.model import EDSR, MDSR, MeanShift, build_model

pytestmark = pytest.mark.usefixtures("one_thread")


TINY = EDSRConfig(n_resblocks=2, n_feats=8)
TINY_MDSR = EDSRConfig.mdsr(2, n_feats=8)


def built(config=TINY, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(config).eval().requires_grad_(False)


def image(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (EDSRConfig.baseline(2), 1_369_859),
        (EDSRConfig.baseline(3), 1_554_499),
        (EDSRConfig.baseline(4), 1_517_571),
        (EDSRConfig.large(2), 40_729_603),
        (EDSRConfig.large(3), 43_680_003),
        (EDSRConfig.large(4), 43_089_923),
        (EDSRConfig.mdsr(16), 3_227_203),
        (EDSRConfig.mdsr(80), 7_953_987),
    ],
)
def test_parameter_counts_are_the_published_ones(config, parameters):
    with torch.device("meta"):
        model = build_model(config)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("config", "tensors"),
    [
        (EDSRConfig.baseline(2), 76),
        (EDSRConfig.baseline(4), 78),
        (EDSRConfig.mdsr(16), 106),
        (EDSRConfig.mdsr(80), 362),
    ],
)
def test_tensor_counts_are_the_published_ones(config, tensors):
    with torch.device("meta"):
        assert len(build_model(config).state_dict()) == tensors


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("colors", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 5)])
def test_output_is_scale_times_the_input(scale, colors, shape):
    config = EDSRConfig(scales=(scale,), n_resblocks=1, n_feats=4, n_colors=colors)
    output = built(config)(image(2, colors, *shape))
    assert output.shape == (2, colors, scale * shape[0], scale * shape[1])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_mdsr_has_a_branch_for_each_scale(scale):
    output = built(TINY_MDSR)(image(1, 3, 4, 6), scale)
    assert output.shape == (1, 3, 4 * scale, 6 * scale)


def test_mdsr_branches_differ_only_outside_the_body():
    model = built(TINY_MDSR)
    before = {scale: model(image(1, 3, 6, 6), scale) for scale in (2, 3, 4)}
    model.pre_process[1][0].conv1.weight.mul_(2)
    after = {scale: model(image(1, 3, 6, 6), scale) for scale in (2, 3, 4)}
    changed = [not torch.equal(before[scale], after[scale]) for scale in (2, 3, 4)]
    assert changed == [False, True, False]


def test_scale_is_checked():
    with pytest.raises(ModelError, match="cannot upscale x3; choose from x2"):
        built()(image(1, 3, 4, 4), 3)
    with pytest.raises(ModelError, match="needs a scale; choose from x2, x3, x4"):
        built(TINY_MDSR)(image(1, 3, 4, 4))


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (3, 4, 4), (1, 4, 4, 4)])
def test_other_numbers_of_colours_are_refused(shape):
    with pytest.raises(ModelError, match=r"takes \(N, 3, H, W\) images"):
        built()(image(*shape))


def test_each_class_takes_its_own_shape():
    with pytest.raises(ModelError):
        EDSR(TINY_MDSR)
    with pytest.raises(ModelError):
        MDSR(TINY)


def test_a_network_of_zeros_gives_the_mean_colour():
    for config in (TINY, EDSRConfig(n_resblocks=1, n_feats=4, rgb_range=255.0)):
        model = built(config)
        for parameter in model.parameters():
            parameter.zero_()
        colour = model(image(1, 3, 3, 3))[0, :, 0, 0]
        torch.testing.assert_close(colour, torch.tensor([0.4488, 0.4371, 0.4040]))


def test_range_of_the_weights_does_not_change_the_picture():
    unit = built().double()
    white = built(EDSRConfig(n_resblocks=2, n_feats=8, rgb_range=255.0)).double()
    state = unit.state_dict()
    for name, factor in {"conv_first.weight": 1 / 255, "conv_last.bias": 255}.items():
        state[name] = state[name] * factor
    state["conv_last.weight"] = state["conv_last.weight"] * 255
    parameters = dict(white.named_parameters())
    for name in parameters:
        parameters[name].copy_(state[name])
    x = image(1, 3, 9, 7, dtype=torch.float64)
    assert (unit(x) - white(x)).abs().max() * 255 < 1e-9


@pytest.mark.promise("the network's receptive field")
def test_receptive_field_is_the_reach_of_one_pixel():
    for scale, blocks in ((2, 1), (3, 2), (4, 1)):
        config = EDSRConfig(scales=(scale,), n_resblocks=blocks, n_feats=4)
        radius = config.receptive_field(scale)
        size = 2 * radius + 5
        model, x = built(config).double(), image(1, 3, 1, size, dtype=torch.float64)
        touched = x.clone()
        touched[..., radius] += 1.0
        change = (model(touched) - model(x)).abs().amax((0, 1, 2))
        reached = (change > 0).nonzero().flatten() // scale
        assert reached.max() - radius <= radius
        assert reached.max() - radius >= radius - 1


def test_trained_colour_transform_is_applied_as_a_convolution():
    shift = MeanShift([0.0, 0.0, 0.0]).double()
    weight = image(3, 3, 1, 1, dtype=torch.float64)
    bias = image(3, dtype=torch.float64, seed=1)
    shift.weight, shift.bias = weight, bias
    x = image(2, 3, 5, 4, dtype=torch.float64, seed=2)
    expected = torch.nn.functional.conv2d(x, weight, bias)
    torch.testing.assert_close(shift(x), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_means_and_the_output_wide(dtype):
    model = built(EDSRConfig(n_resblocks=1, n_feats=4, rgb_range=255.0))
    means = {n: v.clone() for n, v in model.state_dict().items() if "mean" in n}
    half = copy.deepcopy(model).to(dtype)
    assert half.conv_first.weight.dtype == dtype
    for name, value in means.items():
        assert torch.equal(half.state_dict()[name], value)
    assert half(image(1, 3, 4, 4)).dtype == torch.float32
    assert half(image(1, 3, 4, 4).to(dtype)).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_of_a_silent_network_keeps_the_picture_exact(dtype):
    config = EDSRConfig(n_resblocks=1, n_feats=4, rgb_range=255.0)
    model = built(config)
    for parameter in model.parameters():
        parameter.zero_()
    expected = model(image(1, 3, 4, 4))
    assert torch.equal(model.to(dtype)(image(1, 3, 4, 4)), expected)


def test_autocast_does_not_touch_the_means():
    shift, x = built().sub_mean, image(1, 3, 4, 4)
    expected = shift(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(shift(x), expected)


def test_float64_means_have_all_their_digits():
    model = built(EDSRConfig(n_resblocks=1, n_feats=4, rgb_range=255.0)).double()
    expected = [255 * 0.4488, 255 * 0.4371, 255 * 0.4040]
    assert model.add_mean.bias.tolist() == expected
    assert model.half().double().add_mean.bias.tolist() == expected


def test_float64_network_takes_float32_images():
    model = built().double()
    x = image(1, 3, 4, 4)
    assert model(x).dtype == torch.float32
    torch.testing.assert_close(model(x), model(x.double()).float(), rtol=0, atol=1e-6)


def test_means_are_not_trained():
    model = build_model(TINY)
    names = {name for name, _ in model.named_parameters()}
    assert not any("mean" in name for name in names)
    assert len(names) == len(model.state_dict()) - 4


def test_residual_blocks_start_small_only_where_nothing_else_scales_them():
    plain = build_model(TINY).body[0].conv1
    scaled = build_model(EDSRConfig(n_resblocks=1, n_feats=8, res_scale=0.1)).body[0]
    assert plain.bias.abs().max() == 0
    assert plain.weight.std() < 0.05 < scaled.conv1.weight.std()
