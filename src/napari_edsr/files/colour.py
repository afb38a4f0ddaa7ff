"""Colours of print to colours of the screen."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_WITH_PROFILE = "CMYK was converted to RGB (sRGB) by its colour profile."
_BY_FORMULA = (
    "CMYK was converted to RGB by formula, as it has no usable colour profile."
)


def cmyk_to_rgb(inks: NDArray, icc: bytes | None) -> tuple[NDArray, str]:
    """Convert unsigned CMYK, (..., 4), 0 being no ink, to RGB of the same type.

    Returns
    -------
    ndarray, (..., 3)
    str
        How it was done, one sentence.
    """
    if inks.dtype == np.uint8 and icc:
        try:
            return _by_profile(inks, icc), _WITH_PROFILE
        except ImageCms.PyCMSError:
            pass
    white = np.iinfo(inks.dtype).max
    paper = (white - inks.astype(np.float64)) / white
    rgb = paper[..., :3] * paper[..., 3:] * white
    return np.rint(rgb).astype(inks.dtype), _BY_FORMULA


def _by_profile(inks: NDArray, icc: bytes) -> NDArray:
    flat = np.ascontiguousarray(inks).reshape(-1, inks.shape[-2], 4)
    image = Image.fromarray(flat, "CMYK")
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ImageCms.PyCMSError("nothing was converted")
    return np.array(converted).reshape(*inks.shape[:-1], 3)
