"""Convolutions of rows as an engine runs them, with oneDNN's fused forms where torch has them.

The rows above and below are there already: padded is only to the left and the right.
"""

from __future__ import annotations

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
            attribute = "relu" if relu else "none"
            return torch.ops.mkldnn._convolution_pointwise(
                x, *self._arguments(padding), attribute, [], ""
            )
        y = functional.conv2d(x, self.weight, self.bias, padding=padding)
        return y.relu_() if relu else y

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """Add the convolution of `x` to `y` in place, and return `y`.

        Both are in channels_last.
        """
        x, padding = x.to(self.weight.dtype), [0, self.margin]
        if _fuses(x) and x.dtype == y.dtype:
            arguments = self._arguments(padding)
            return torch.ops.mkldnn._convolution_pointwise_.binary(
                y, x, *arguments, "add", 1.0, None, [], None
            )
        return y.add_(functional.conv2d(x, self.weight, self.bias, padding=padding))

    def _arguments(self, padding: list[int]) -> tuple[Any, ...]:
        stride = dilation = [1, 1]
        return self.weight, self.bias, padding, stride, dilation, 1


def _fuses(x: Tensor) -> bool:
    return _HAS_FUSED and x.device.type == "cpu" and x.dtype == torch.float32


#: Private to torch, hence asked for.
_HAS_FUSED = hasattr(torch.ops.mkldnn, "_convolution_pointwise_")
