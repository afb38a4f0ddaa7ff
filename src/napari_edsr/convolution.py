"""Convolutions of rows as an engine runs them, with oneDNN's fused forms where torch has them.

The rows above and below are there already: padded is only to the left and the right.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Convolution:
    """Weights of a convolution, ready to run.

    Parameters
    ----------
    weight : Tensor, (out, in, k, k)
        With an odd k.
    bias : Tensor, (out,)
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, conv: nn.Conv2d, factor: float = 1.0) -> Convolution:
        """Take the weights of a layer, times a factor."""
        weight, bias = conv.weight.detach(), conv.bias
        assert bias is not None
        if factor != 1:
            weight, bias = weight * factor, bias * factor
        return cls(weight, bias.detach())

    def to(self, dtype: torch.dtype) -> Convolution:
        """Compute in another type."""
        return Convolution(self.weight.to(dtype), self.bias.to(dtype))

    @property
    def margin(self) -> int:
        """Rows and columns of context on each side."""
        return self.weight.shape[-1] // 2

    def __call__(self, x: Tensor, *, relu: bool = False, rows: int = 0) -> Tensor:
        """Convolve (1, in, H, W) to (1, out, H - 2 * margin + 2 * rows, W).

        Parameters
        ----------
        x : Tensor
        relu : bool
            Put negative results to zero.
        rows : int
            Rows of zeros to take above and below.
        """
        x, padding = x.to(self.weight.dtype), [rows, self.margin]
        if _fuses(x):
            return self._fused(x, padding, relu)
        y = functional.conv2d(x, self.weight, self.bias, padding=padding)
        return y.relu_() if relu else y

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """Add the convolution of `x` to `y` in place, and return `y`.

        Both are in channels_last.
        """
        x, padding = x.to(self.weight.dtype), [0, self.margin]
        if _fuses(x) and x.dtype == y.dtype:
            return self._fused_add(y, x, padding)
        return y.add_(functional.conv2d(x, self.weight, self.bias, padding=padding))

    def _fused(self, x: Tensor, padding: list[int], relu: bool) -> Tensor:
        run = torch.ops.mkldnn._convolution_pointwise
        return run(x, *self._arguments(padding), "relu" if relu else "none", [], "")

    def _fused_add(self, y: Tensor, x: Tensor, padding: list[int]) -> Tensor:
        run = torch.ops.mkldnn._convolution_pointwise_.binary
        return run(y, x, *self._arguments(padding), "add", 1.0, None, [], None)

    def _arguments(self, padding: list[int]) -> tuple[Any, ...]:
        stride = dilation = [1, 1]
        return self.weight, self.bias, padding, stride, dilation, 1


def _fuses(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and _has_fused()


@functools.cache
def _has_fused() -> bool:
    """Whether this torch has them and they do what is expected: they are private to it."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.rand(shape, generator=generator).to(memory_format=torch.channels_last)
        for shape in ((1, 8, 6, 5), (8, 8, 3, 3))
    )
    conv = Convolution(weight - 0.5, weight[:, 0, 0, 0].clone())
    plain = functional.conv2d(x, conv.weight, conv.bias, padding=1)
    try:
        fused = conv._fused(x, [1, 1], relu=True)
        added = conv._fused_add(x.clone(memory_format=torch.preserve_format), x, [1, 1])
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(fused, plain.relu(), atol=1e-5) and torch.allclose(
        added, x + plain, atol=1e-5
    )
