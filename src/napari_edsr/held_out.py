"""How good a network is on the images that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_edsr.events import ImageDone, ImageMeasured, relay
from napari_edsr.inference import iter_upscale
from napari_edsr.metrics import psnr
from napari_edsr.model import EDSR, MDSR
from napari_edsr.resampling import imresize
from napari_edsr.training_data import Pair


def iter_psnr(
    pairs: Sequence[Pair], model: EDSR | MDSR, device: torch.device
) -> Generator[ImageDone, Any, float]:
    """Mean PSNR of a network in dB over pairs and their scales; NaN without any.

    As many pixels as the scale are shaved from the borders; white is the intensity that
    the network sees as 1. On 8-bit images that is the protocol ``mmagic``.

    Yields
    ------
    ImageDone
        While an image is at work, so that this can be cancelled.
    ImageMeasured
        After it.
    """
    scores = []
    for number, pair in enumerate(pairs):
        for scale, lr in pair.lr.items():
            job = iter_upscale(
                lr,
                model,
                scale=scale,
                axes="SYX" if len(lr) in (1, 3) else "CYX",
                device=device,
                precision="fp32",
                normalize=pair.limits,
            )
            result = yield from relay(
                job, partial(ImageDone.at_work, number + 1, len(pairs))
            )
            scores.append(_score(result.image, pair, scale))
            yield ImageMeasured(
                number + 1,
                len(pairs),
                name=pair.name,
                place=pair.place,
                corner=pair.corner,
                scale=scale,
                upscaled=result.image,
                truth=pair.hr,
                psnr=scores[-1],
            )
    return float(np.mean(scores)) if scores else math.nan


def bicubic_psnr(pairs: Sequence[Pair]) -> float:
    """Mean PSNR of bicubic interpolation in dB, measured as `iter_psnr` does."""
    return float(
        np.mean(
            [
                _score(_enlarged(lr, scale), pair, scale)
                for pair in pairs
                for scale, lr in pair.lr.items()
            ]
        )
    )


def _enlarged(lr: NDArray, scale: int) -> NDArray:
    return imresize(lr, [side * scale for side in lr.shape[1:]], axes=(1, 2))


def can_tell(pair: Pair) -> bool:
    """Whether there is something to see where it is measured, at every scale.

    Of a flat truth, as at an empty margin, anything smooth is infinitely good.
    """
    for scale, lr in pair.lr.items():
        height, width = (side * scale for side in lr.shape[1:])
        edge = _border(height, width, scale)
        seen = pair.hr[:, edge : height - edge, edge : width - edge]
        if seen.min() == seen.max():
            return False
    return True


def _border(height: int, width: int, scale: int) -> int:
    return min(scale, (min(height, width) - 1) // 2)


def _score(upscaled: NDArray, pair: Pair, scale: int) -> float:
    _, height, width = upscaled.shape
    truth = pair.hr[:, :height, :width]
    border = _border(height, width, scale)
    low, high = pair.limits
    images = (np.moveaxis(image, 0, -1) for image in (upscaled, truth))
    return psnr(*images, data_range=high - low, border=border)
