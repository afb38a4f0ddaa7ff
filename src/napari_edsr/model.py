"""EDSR and MDSR as in the paper (Lim et al., CVPR Workshops 2017).

Parameter names are those of mmagic; colour means are buffers. A network keeps the
intensity range its weights were trained for (`EDSRConfig.rgb_range`), so loading a
published file changes none of its numbers.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from napari_edsr.config import (
    DIV2K_MEAN,
    MDSR_PRE_BLOCKS,
    EDSRConfig,
    upsampling_steps,
)
from napari_edsr.errors import ModelError


@dataclass(frozen=True)
class Provenance:
    """Where a model's weights come from.

    Parameters
    ----------
    name : str
        Name in the zoo, or the file's name without its suffix.
    path : str
        File the weights were read from; empty for a model built in memory.
    sha256 : str
        64 hex digits over that file's bytes.
    layout : str
        Layout of that file, as in `napari_edsr.layouts.LAYOUTS`.
    licence, credit, source : str
        Terms of use, who is to be named, and the address it was published at.
    extra : mapping
        Anything else that was saved with the weights, as JSON values.
    """

    name: str = "untitled"
    path: str = ""
    sha256: str = ""
    layout: str = ""
    licence: str = ""
    credit: str = ""
    source: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def default_mean(config: EDSRConfig) -> tuple[float, ...]:
    """Mean colour, 0-1, of a network whose file names none: DIV2K's, or zero."""
    return DIV2K_MEAN if config.n_colors == 3 else (0.0,) * config.n_colors


class MeanShift(nn.Module):
    """A 1x1 colour transform, ``weight @ colour + bias``, that is never trained.

    Published files hold it as a convolution, some with a trained weight that is
    not the identity; it is applied as it stands in the file.

    Parameters
    ----------
    offset : sequence of float
        What is added to each colour channel, in the network's range.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, offset: Sequence[float]) -> None:
        super().__init__()
        colors = len(offset)
        self.offset = tuple(offset)
        # Not torch.eye: on the meta device it takes seconds to import torch's compiler.
        same = [float(i == j) for i in range(colors) for j in range(colors)]
        self.register_buffer("weight", torch.tensor(same).view(colors, colors, 1, 1))
        self.register_buffer("bias", torch.tensor(offset))

    def forward(self, x: Tensor) -> Tensor:
        """Shift (N, C, H, W) colours, in the dtype of `x`."""
        # Not a convolution: TF32 or autocast would round the picture to 8 bits.
        weight = self.weight.to(x.dtype)
        shifted = self.bias.to(x.dtype).view(1, -1, 1, 1)
        for color in range(x.shape[1]):
            shifted = shifted + weight[:, color] * x[:, color : color + 1]
        return shifted

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> MeanShift:
        """Follow the network to its device, but not into half precision."""
        kept = self.weight, self.bias
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.weight.dtype.itemsize < 4:
            self.weight, self.bias = (old.to(self.weight.device) for old in kept)
        elif self.bias.dtype == torch.float64:
            self._regain_digits()
        return self

    def _regain_digits(self) -> None:
        """Undo the rounding of `offset` to float32, now that float64 can hold it."""
        exact = self.bias.new_tensor(self.offset)
        rounded = exact.float().double()
        self.bias = torch.where(self.bias == rounded, exact, self.bias)


class ResBlock(nn.Module):
    """Convolution, ReLU, convolution, times `res_scale`, plus the input."""

    def __init__(self, n_feats: int, res_scale: float, kernel: int = 3) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.conv1 = _conv(n_feats, n_feats, kernel)
        self.conv2 = _conv(n_feats, n_feats, kernel)
        if res_scale == 1:
            _init_kaiming(self.conv1, gain=0.1)
            _init_kaiming(self.conv2, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Refine (N, F, H, W) features."""
        branch: Tensor = self.conv2(self.conv1(x).relu())
        return x + branch * self.res_scale


class UpsampleStep(nn.Module):
    """A convolution to `factor`² times the features, shuffled into space."""

    def __init__(self, n_feats: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.upsample_conv = _conv(n_feats, n_feats * factor**2)
        _init_kaiming(self.upsample_conv)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, H, W) features to (N, F, factor*H, factor*W)."""
        return nn.functional.pixel_shuffle(self.upsample_conv(x), self.factor)


class Upsampler(nn.Sequential):
    """The steps that make up a scale: one of x2, one of x3, or two of x2 for x4."""

    def __init__(self, n_feats: int, scale: int) -> None:
        steps = upsampling_steps(scale)
        super().__init__(*(UpsampleStep(n_feats, factor) for factor in steps))

    def __iter__(self) -> Iterator[UpsampleStep]:
        """The steps, first to last."""
        return iter(self._modules.values())  # type: ignore[arg-type]


class _SuperResolution(nn.Module, ABC):
    """What EDSR and MDSR share: head, body, tail, and the way intensities go."""

    def __init__(self, config: EDSRConfig) -> None:
        super().__init__()
        feats, colors = config.n_feats, config.n_colors
        mean = [value * config.rgb_range for value in default_mean(config)]
        self.config = config
        self.provenance = Provenance()
        self.sub_mean = MeanShift([-value for value in mean])
        self.add_mean = MeanShift(mean)
        self.conv_first = _conv(colors, feats)
        blocks = range(config.n_resblocks)
        self.body = nn.Sequential(*(ResBlock(feats, config.res_scale) for _ in blocks))
        self.conv_after_body = _conv(feats, feats)
        self.conv_last = _conv(feats, colors)

    def forward(self, x: Tensor, scale: int | None = None) -> Tensor:
        """Upscale a batch of images.

        Parameters
        ----------
        x : Tensor
            (N, C, H, W), floating point, 0 black and 1 white; values beyond pass.
        scale : int, optional
            One of ``config.scales``; may be left out where there is only one.

        Returns
        -------
        Tensor
            (N, C, scale*H, scale*W) in the dtype of `x`, but at least float32;
            not clipped. The convolutions run in the dtype of their weights.

        Raises
        ------
        ModelError
            If the network has no such scale, or `x` not its number of colours.
        """
        scale = self._choose(scale)
        self._check_colors(x)
        features = self.pre_blocks(scale)(self.conv_first(self.enter(x)))
        features = features + self.conv_after_body(self.body(features))
        return self.leave(self.conv_last(self.upsampler(scale)(features)), x.dtype)

    def enter(self, x: Tensor) -> Tensor:
        """From intensities to what the first convolution takes."""
        wide = torch.promote_types(x.dtype, torch.float32)
        shifted = self.sub_mean(x.to(wide) * self.config.rgb_range)
        return shifted.to(self.conv_first.weight.dtype)

    def leave(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """From what the last convolution gives to intensities, at least float32."""
        wide = torch.promote_types(dtype, torch.float32)
        restored: Tensor = self.add_mean(y.to(wide))
        return restored / self.config.rgb_range

    @abstractmethod
    def pre_blocks(self, scale: int) -> nn.Sequential:
        """The residual blocks of a scale before the body; an EDSR has none."""

    @abstractmethod
    def upsampler(self, scale: int) -> Upsampler:
        """The layers of a scale between the body and the last convolution."""

    def _choose(self, scale: int | None) -> int:
        scales = self.config.scales
        if scale is None and len(scales) == 1:
            return scales[0]
        if scale in scales:
            return scale
        asked = "needs a scale" if scale is None else f"cannot upscale x{scale}"
        choices = ", ".join(f"x{known}" for known in scales)
        raise ModelError(f"This network {asked}; choose from {choices}.")

    def _check_colors(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.config.n_colors:
            raise ModelError(
                f"This network takes (N, {self.config.n_colors}, H, W) images, "
                f"not {tuple(x.shape)}; reshape the input or choose another model."
            )


class EDSR(_SuperResolution):
    """The paper's single-scale network.

    Parameters
    ----------
    config : EDSRConfig
        With one scale and without `multi_scale`.

    Attributes
    ----------
    config : EDSRConfig
        The network's shape.
    provenance : Provenance
        Where the weights come from.
    """

    def __init__(self, config: EDSRConfig) -> None:
        if config.multi_scale:
            raise ModelError("This is the shape of an MDSR; use build_model.")
        super().__init__(config)
        self.upsample = Upsampler(config.n_feats, config.scales[0])

    def pre_blocks(self, scale: int) -> nn.Sequential:
        """None."""
        return nn.Sequential()

    def upsampler(self, scale: int) -> Upsampler:
        """That of its only scale."""
        return self.upsample


class MDSR(_SuperResolution):
    """The paper's multi-scale network: one body, a head and a tail for each scale.

    Parameters
    ----------
    config : EDSRConfig
        With `multi_scale`; branch k serves ``config.scales[k]``.

    Attributes
    ----------
    config : EDSRConfig
        The network's shape.
    provenance : Provenance
        Where the weights come from.
    """

    def __init__(self, config: EDSRConfig) -> None:
        if not config.multi_scale:
            raise ModelError("This is the shape of an EDSR; use build_model.")
        super().__init__(config)
        feats = config.n_feats
        self.pre_process = nn.ModuleList(_pre_process(config) for _ in config.scales)
        self.upsample = nn.ModuleList(Upsampler(feats, s) for s in config.scales)

    def pre_blocks(self, scale: int) -> nn.Sequential:
        """The two blocks of 5x5 convolutions of a scale."""
        blocks = self.pre_process[self.config.scales.index(scale)]
        assert isinstance(blocks, nn.Sequential)
        return blocks

    def upsampler(self, scale: int) -> Upsampler:
        """That of a scale."""
        upsampler = self.upsample[self.config.scales.index(scale)]
        assert isinstance(upsampler, Upsampler)
        return upsampler


def build_model(config: EDSRConfig) -> EDSR | MDSR:
    """Build a freshly initialised network of the shape asked for."""
    return MDSR(config) if config.multi_scale else EDSR(config)


def upscale_batch(model: EDSR | MDSR, x: Tensor, scale: int) -> Tensor:
    """Run a network on images of its number of colours, or on grey ones.

    Parameters
    ----------
    model : EDSR or MDSR
    x : Tensor
        (N, C, H, W) with C the network's number of colours or 1. Grey goes into a
        colour network as equal colours, and the mean of its outputs comes out.
    scale : int

    Returns
    -------
    Tensor
        (N, C, scale*H, scale*W).
    """
    wide = as_colors(x, model.config.n_colors)
    return like_given(model(wide, scale), x)


def as_colors(x: Tensor, n_colors: int) -> Tensor:
    """Grey as equal colours, in channels_last."""
    wide = x.expand(-1, n_colors, -1, -1)
    return wide.contiguous(memory_format=torch.channels_last)


def like_given(y: Tensor, x: Tensor) -> Tensor:
    """The mean of the colours, if `x` is grey."""
    return y.mean(1, keepdim=True) if x.shape[1] < y.shape[1] else y


def weights_key(model: EDSR | MDSR) -> str:
    """Hash of a network's shape and weights."""
    digest = hashlib.sha256(str(model.config).encode())
    for tensor in model.state_dict().values():
        digest.update(tensor.cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _pre_process(config: EDSRConfig) -> nn.Sequential:
    blocks = range(MDSR_PRE_BLOCKS)
    return nn.Sequential(
        *(ResBlock(config.n_feats, config.res_scale, kernel=5) for _ in blocks)
    )


def _conv(n_in: int, n_out: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)


def _init_kaiming(conv: nn.Conv2d, gain: float = 1.0) -> None:
    """Start small, so that a deep body without normalisation trains."""
    if conv.weight.is_meta:  # a mere shape, for which torch would import its compiler
        return
    nn.init.kaiming_normal_(conv.weight)
    with torch.no_grad():
        conv.weight.mul_(gain)
        if conv.bias is not None:
            conv.bias.zero_()
