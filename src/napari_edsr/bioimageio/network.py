"""EDSR (Lim et al., CVPR Workshops 2017) for one scale, as a file on its own.

It is part of a package for BioImage.IO, written by napari-edsr (BSD-3-Clause), and
needs torch alone. Its parameters have the names of mmagic's EDSR. A single scale of an
MDSR is the same network with two blocks of 5x5 convolutions before the body.
"""

import torch
from torch import Tensor, nn


class MeanShift(nn.Module):
    """A 1x1 transform of the colours, ``weight @ colour + bias``, which is not trained."""

    weight: Tensor
    bias: Tensor

    def __init__(self, n_colors: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_colors, n_colors, 1, 1))
        self.register_buffer("bias", torch.zeros(n_colors))

    def forward(self, x: Tensor) -> Tensor:
        """Shift (N, C, H, W) colours."""
        # Not a convolution: TF32 would round the picture to 8 bits.
        shifted = self.bias.view(1, -1, 1, 1)
        for color in range(x.shape[1]):
            shifted = shifted + self.weight[:, color] * x[:, color : color + 1]
        return shifted


class ResBlock(nn.Module):
    """Convolution, ReLU, convolution, times `res_scale`, plus the input."""

    def __init__(self, n_feats: int, res_scale: float, kernel: int = 3) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.conv1 = nn.Conv2d(n_feats, n_feats, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(n_feats, n_feats, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Refine (N, F, H, W) features."""
        return x + self.conv2(self.conv1(x).relu()) * self.res_scale


class UpsampleStep(nn.Module):
    """A convolution to `factor`² times the features, shuffled into space."""

    def __init__(self, n_feats: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.upsample_conv = nn.Conv2d(n_feats, n_feats * factor**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, H, W) features to (N, F, factor*H, factor*W)."""
        return nn.functional.pixel_shuffle(self.upsample_conv(x), self.factor)


class EDSR(nn.Module):
    """The network.

    Parameters
    ----------
    scale : int
        2, 3 or 4.
    n_resblocks, n_feats, n_colors : int
        Blocks of the body, features of a layer, channels in and out.
    res_scale : float
        Factor on the residual branches.
    rgb_range : float
        Value that the weights take for white.
    multi_scale : bool
        Whether this is a scale of an MDSR.
    """

    def __init__(
        self,
        scale: int,
        n_resblocks: int,
        n_feats: int,
        n_colors: int = 3,
        res_scale: float = 1.0,
        rgb_range: float = 1.0,
        multi_scale: bool = False,
    ) -> None:
        super().__init__()
        self.rgb_range = rgb_range
        self.sub_mean = MeanShift(n_colors)
        self.add_mean = MeanShift(n_colors)
        self.conv_first = nn.Conv2d(n_colors, n_feats, 3, padding=1)
        blocks = [ResBlock(n_feats, res_scale) for _ in range(n_resblocks)]
        self.body = nn.Sequential(*blocks)
        self.conv_after_body = nn.Conv2d(n_feats, n_feats, 3, padding=1)
        factors = [2, 2] if scale == 4 else [scale]
        steps = nn.Sequential(*(UpsampleStep(n_feats, factor) for factor in factors))
        # Of an MDSR named as there, where each is a list with one entry for a scale.
        self.pre_process = nn.Sequential()
        if multi_scale:
            before = [ResBlock(n_feats, res_scale, kernel=5) for _ in range(2)]
            self.pre_process.append(nn.Sequential(*before))
        self.upsample = nn.Sequential(steps) if multi_scale else steps
        self.conv_last = nn.Conv2d(n_feats, n_colors, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Upscale (N, C, H, W) float32 images, 0 black and 1 white; nothing is clipped."""
        x = self.sub_mean(x * self.rgb_range)
        x = self.pre_process(self.conv_first(x))
        x = x + self.conv_after_body(self.body(x))
        x = self.conv_last(self.upsample(x))
        return self.add_mean(x) / self.rgb_range
