"""The linear end of a network as one convolution: less work, the same picture.

Between the body and the colours stands no activation. Convolutions and pixel shuffles
alone make a linear map that is the same at every pixel, so one convolution of 5x5 can
stand for all of it. Only along the edges of an image, where each convolution pads with
zeros of its own, the layers themselves are needed.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

#: In input pixels: a convolution before the first shuffle and all of those after it
#: reach one pixel each.
RADIUS = 2


def fold(layers: nn.Module, n_feats: int, scale: int) -> tuple[Tensor, Tensor]:
    """One convolution in the place of several layers without an activation.

    The weights of a linear map are its derivatives, which autograd gives.

    Parameters
    ----------
    layers : nn.Module
        From (N, n_feats, H, W) to (N, C, scale*H, scale*W).
    n_feats, scale : int

    Returns
    -------
    weight : Tensor of float64, (C * scale**2, n_feats, 5, 5)
    bias : Tensor of float64, (C * scale**2,)
        Of a convolution whose output `pixel_shuffle` turns into that of the layers. They
        are on the CPU, for not every device has that type.
    """
    side = 2 * RADIUS + 1
    with torch.inference_mode(False), torch.enable_grad():
        layers = copy.deepcopy(layers).cpu().double().requires_grad_(False)
        x = torch.zeros(1, n_feats, side, side, dtype=torch.float64, requires_grad=True)
        y = functional.pixel_unshuffle(layers(x), scale)[0, :, RADIUS, RADIUS]
        rows = [torch.autograd.grad(value, x, retain_graph=True)[0] for value in y]
    return torch.cat(rows), y.detach()
