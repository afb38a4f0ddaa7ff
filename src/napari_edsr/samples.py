"""Two real images to try the models on, each with a low-resolution version.

The low-resolution versions are made on the spot by `imresize`, so the original is
the truth to measure against. Authors and licences are in ``data/CREDITS.md``.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.resampling import imresize

Pixels = NDArray[np.uint8]
LayerData = tuple[Pixels, dict[str, Any], str]


def photo_hr() -> Pixels:
    """Towers of a city, (360, 480, 3) uint8 RGB; sides are multiples of 2, 3 and 4."""
    return _read("city.png")


def photo_lr(scale: int = 2) -> Pixels:
    """`photo_hr` reduced `scale` times by bicubic resampling, uint8 RGB."""
    return imresize(photo_hr(), 1 / scale)


def microscopy_hr() -> Pixels:
    """Fluorescent nuclei, (516, 696) uint8; sides are multiples of 2, 3 and 4."""
    return _read("nuclei.png")


def microscopy_lr(scale: int = 2) -> Pixels:
    """`microscopy_hr` reduced `scale` times by bicubic resampling, uint8."""
    return imresize(microscopy_hr(), 1 / scale)


def napari_photo() -> list[LayerData]:
    """Layers for napari: the photograph (hidden), and at half the resolution."""
    return _layers("city", photo_hr(), photo_lr(), {"rgb": True})


def napari_microscopy() -> list[LayerData]:
    """Layers for napari: the nuclei (hidden), and at half the resolution."""
    truth = microscopy_hr()
    limits = [int(truth.min()), int(truth.max())]
    return _layers("nuclei", truth, microscopy_lr(), {"contrast_limits": limits})


def _layers(
    name: str, hr: Pixels, lr: Pixels, shared: dict[str, Any]
) -> list[LayerData]:
    """Both in the pixels of `hr`; `lr` last, which napari makes the active layer."""
    scale = hr.shape[0] // lr.shape[0]
    centre = (scale - 1) / 2  # of the first low-resolution pixel
    placed = {"scale": (scale, scale), "translate": (centre, centre)}
    return [
        (hr, {"name": f"{name} (truth)", "visible": False, **shared}, "image"),
        (lr, {"name": name, **placed, **shared}, "image"),
    ]


def _read(name: str) -> Pixels:
    from PIL import Image

    with (files("napari_edsr") / "data" / name).open("rb") as stream:
        return np.array(Image.open(stream))
