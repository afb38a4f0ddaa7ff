"""How well an upscaled image matches the truth, by the protocols of the literature.

The same two images differ by several decibels between protocols, so a score always
carries its colour, border, rounding and data range. Images are (H, W) or (H, W, S).

Pixels of which a sample of the truth is not finite are unknown and left out. Where the
truth is known and the prediction is not finite the answer is NaN, and so it is where
nothing is left to measure.
"""

from __future__ import annotations

from napari_edsr.metrics.colour import to_y
from napari_edsr.metrics.pixels import (
    error_map,
    mae,
    psnr,
    range_invariant_psnr,
    rmse,
)
from napari_edsr.metrics.protocols import PROTOCOLS, Protocol, Score, score
from napari_edsr.metrics.structure import SSIM_WINDOW, ssim, ssim_map

__all__ = [
    "PROTOCOLS",
    "SSIM_WINDOW",
    "Protocol",
    "Score",
    "error_map",
    "mae",
    "psnr",
    "range_invariant_psnr",
    "rmse",
    "score",
    "ssim",
    "ssim_map",
    "to_y",
]
