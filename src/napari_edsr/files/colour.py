"""Colours as a screen shows them: from inks, inverted greys, premultiplied alpha."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from napari_edsr.files.common import ImageFile

_ASSOCIATED = 1  # of the TIFF tag ExtraSamples
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


def as_displayed(image: ImageFile) -> ImageFile:
    """For formats that know but one convention: 0 is black, alpha stands apart.

    TIFF may store white as 0, or colours multiplied by alpha ("associated"); these
    stay as they are from TIFF to TIFF.
    """
    data = image.data
    if image.metadata.get("white_is_zero"):
        return replace(image, data=~data)
    associated = image.metadata.get("extrasample") == _ASSOCIATED
    if not associated or data.dtype.kind == "f" or image.size("S") not in (2, 4):
        return image
    white = np.iinfo(data.dtype).max
    alpha = data[..., -1:] / white
    colours = np.rint(data[..., :-1] / np.where(alpha, alpha, 1))
    straight = np.clip(colours, 0, white).astype(data.dtype)
    return replace(image, data=np.concatenate([straight, data[..., -1:]], axis=-1))
