"""The paper's network the ways others build it, written anew from its description.

All take and give (1, 3, H, W) floats; `copy_weights` puts the same numbers into each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from napari_edsr.config import DIV2K_MEAN, EDSRConfig, upsampling_steps
from napari_edsr.model import EDSR

Network = Callable[[Tensor], Tensor]
#: Weight and bias of each 3x3 convolution.
Weights = list[tuple[Tensor, Tensor]]


def weights_of(model: EDSR) -> Weights:
    """Weights and biases of our convolutions, first to last, for white as 255."""
    config = model.config
    convs = [model.conv_first]
    for block in model.body:
        convs += [block.conv1, block.conv2]
    convs.append(model.conv_after_body)
    convs += [step.upsample_conv for step in model.upsampler(config.scales[0])]
    convs.append(model.conv_last)
    pairs = [(conv.weight.detach(), conv.bias.detach()) for conv in convs]
    (first, first_bias), (last, last_bias) = pairs[0], pairs[-1]
    white = 255 / config.rgb_range
    pairs[0] = first / white, first_bias
    pairs[-1] = last * white, last_bias * white
    return pairs


def copy_weights(network: nn.Module, weights: Weights) -> nn.Module:
    """Put weights into the 3x3 convolutions of a network, in their order."""
    convs = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    ]
    with torch.no_grad():
        for conv, (weight, bias) in zip(convs, weights, strict=True):
            conv.weight.copy_(weight)
            conv.bias.copy_(bias)
    return network.eval()


def conv3(inside: int, outside: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps height and width."""
    return nn.Conv2d(inside, outside, 3, padding=1)


def mean_shift(sign: int) -> nn.Conv2d:
    """The mean colour added or taken away by a 1x1 convolution, for white as 255."""
    shift = nn.Conv2d(3, 3, 1)
    shift.weight.data = torch.eye(3).view(3, 3, 1, 1)
    shift.bias.data = sign * 255 * torch.tensor(DIV2K_MEAN)
    return shift.requires_grad_(False)


def upsampler(feats: int, scale: int) -> nn.Sequential:
    """Convolutions to factor² times the features, each shuffled into space."""
    layers: list[nn.Module] = []
    for factor in upsampling_steps(scale):
        layers += [conv3(feats, feats * factor**2), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Convolution, ReLU, convolution, scaled and added to the input.

    Parameters
    ----------
    feats : int
    factor : float
        The residual scale.
    in_place : bool
        Add the input to the branch where it lies, as EDSR-PyTorch does; mmagic and
        BasicSR make a new array.
    """

    def __init__(self, feats: int, factor: float, in_place: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv3(feats, feats), nn.ReLU(inplace=True), conv3(feats, feats)
        )
        self.factor, self.in_place = factor, in_place

    def forward(self, x: Tensor) -> Tensor:
        """Refine features."""
        branch = self.branch(x) * self.factor
        return branch.add_(x) if self.in_place else x + branch


class Original(nn.Module):
    """As the authors' EDSR-PyTorch has it: 0 to 255, mean colour by convolutions."""

    def __init__(self, config: EDSRConfig) -> None:
        super().__init__()
        feats, factor = config.n_feats, config.res_scale
        self.sub_mean, self.add_mean = mean_shift(-1), mean_shift(1)
        self.head = conv3(3, feats)
        blocks = [Residual(feats, factor, True) for _ in range(config.n_resblocks)]
        self.body = nn.Sequential(*blocks, conv3(feats, feats))
        self.tail = nn.Sequential(
            upsampler(feats, config.scales[0]), conv3(feats, config.n_colors)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Upscale colours between 0 and 255."""
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(self.body(x).add_(x)))


class Broadcast(nn.Module):
    """As mmagic and BasicSR have it: 0 to 1, mean colour by broadcasting, nothing in place."""

    def __init__(self, config: EDSRConfig) -> None:
        super().__init__()
        feats, factor = config.n_feats, config.res_scale
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1))
        self.conv_first = conv3(3, feats)
        blocks = [Residual(feats, factor, False) for _ in range(config.n_resblocks)]
        self.body = nn.Sequential(*blocks)
        self.conv_after_body = conv3(feats, feats)
        self.upsample = upsampler(feats, config.scales[0])
        self.conv_last = conv3(feats, config.n_colors)

    def forward(self, x: Tensor) -> Tensor:
        """Upscale colours between 0 and 1."""
        x = self.conv_first((x - self.mean) * 255)
        x = x + self.conv_after_body(self.body(x))
        return self.conv_last(self.upsample(x)) / 255 + self.mean


def chopped(
    network: Network, scale: int, *, shave: int = 10, smallest: int = 160_000
) -> Network:
    """EDSR-PyTorch's way to bound memory: four quarters that overlap, each cut again.

    Parameters
    ----------
    network : callable
    scale : int
    shave : int
        Columns and rows that a quarter takes from its neighbours.
    smallest : int
        Quarters of fewer pixels are not cut again.
    """

    def run(x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        small = (height // 2 + shave) * (width // 2 + shave) < smallest
        y = x.new_empty(1, 3, height * scale, width * scale)
        for rows, kept_rows in _halves(height, shave):
            for columns, kept_columns in _halves(width, shave):
                part = (network if small else run)(x[..., rows, columns])
                inside = (
                    _shifted(kept_rows, rows.start, scale),
                    _shifted(kept_columns, columns.start, scale),
                )
                place = _shifted(kept_rows, 0, scale), _shifted(kept_columns, 0, scale)
                y[..., *place] = part[..., *inside]
        return y

    return run


def _halves(size: int, shave: int) -> Iterable[tuple[slice, slice]]:
    """What is read for each half, and what of it is kept."""
    half, taken = size // 2, size // 2 + shave
    yield slice(0, taken), slice(0, half)
    yield slice(size - taken, size), slice(half, size)


def _shifted(kept: slice, start: int, scale: int) -> slice:
    return slice((kept.start - start) * scale, (kept.stop - start) * scale)
