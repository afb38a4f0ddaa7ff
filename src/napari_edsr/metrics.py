"""How well an upscaled image matches the truth, by the protocols of the literature.

The same two images differ by several decibels between protocols, so a score always
carries its colour, border, rounding and data range. Images are (H, W) or (H, W, S).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.errors import ImageError

Array = NDArray[Any]

#: ITU-R BT.601 luma of 0-255 RGB, studio range 16-235.
Y_WEIGHTS = (65.481 / 255, 128.553 / 255, 24.966 / 255)
Y_OFFSET = 16.0
SSIM_WINDOW = 11


@dataclass(frozen=True)
class Protocol:
    """A convention of measuring, under which tables of the literature were made.

    Attributes
    ----------
    name : str
        As `score` takes it.
    luma : bool
        Measured on Y of YCbCr instead of on all channels.
    crops_truth : bool
        A truth larger than the prediction loses its last rows and columns.
    """

    name: str
    luma: bool
    crops_truth: bool


@dataclass(frozen=True)
class Score:
    """PSNR and SSIM with all that must be known to compare them with others.

    Attributes
    ----------
    psnr : float
        In dB; inf for identical images.
    ssim : float
        At most 1, which identical images have.
    protocol : str
        Name of the protocol.
    colour : str
        ``"RGB"``, ``"Y"`` or ``"grey"``.
    border : int
        Pixels shaved from each side first.
    rounded : bool
        Whether values were clipped and rounded to 8 bits first.
    data_range : float
        White minus black in the units measured in.
    """

    psnr: float
    ssim: float
    protocol: str
    colour: str
    border: int
    rounded: bool
    data_range: float


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("mmagic", luma=False, crops_truth=False),
        Protocol("edsr-y", luma=True, crops_truth=True),
    )
}


def psnr(
    prediction: Array, truth: Array, *, data_range: float, border: int = 0
) -> float:
    """Peak signal-to-noise ratio over all pixels and channels together.

    Parameters
    ----------
    prediction, truth : ndarray, (H, W) or (H, W, S)
        In the same units, any real dtype.
    data_range : float
        White minus black in those units, e.g. 255.
    border : int
        Pixels to shave from each side first.

    Returns
    -------
    float
        In dB; inf for identical images.

    Raises
    ------
    ImageError
        If the shapes differ, nothing is left inside the border, or the data range
        is not positive.
    """
    prediction, truth = _comparable(prediction, truth, data_range, border)
    error = float(np.mean(np.square(prediction - truth)))
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(
    prediction: Array, truth: Array, *, data_range: float, border: int = 0
) -> float:
    """Structural similarity: Gaussian window of 11 px, sigma 1.5, valid region only.

    Parameters
    ----------
    prediction, truth : ndarray, (H, W) or (H, W, S)
        In the same units, any real dtype.
    data_range : float
        White minus black in those units, e.g. 255.
    border : int
        Pixels to shave from each side first.

    Returns
    -------
    float
        Mean over pixels and channels; 1 for identical images.

    Raises
    ------
    ImageError
        As `psnr`, and if less than 11 x 11 pixels are left inside the border.
    """
    from skimage.metrics import structural_similarity

    prediction, truth = _comparable(prediction, truth, data_range, border)
    if min(truth.shape[:2]) < SSIM_WINDOW:
        raise ImageError(
            f"SSIM needs {SSIM_WINDOW} x {SSIM_WINDOW} pixels inside the border; "
            f"this image has {truth.shape[0]} x {truth.shape[1]}."
        )
    if np.array_equal(prediction, truth):
        return 1.0
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        prediction,
        truth,
        data_range=data_range,
        channel_axis=-1 if truth.ndim == 3 else None,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(similarity)


def to_y(rgb: Array) -> Array:
    """Luma of an RGB image, never rounded.

    Parameters
    ----------
    rgb : ndarray, (..., 3)
        Values 0-255.

    Returns
    -------
    ndarray of float64, (...)
        Y of YCbCr, 16-235.

    Raises
    ------
    ImageError
        If the last axis does not hold three channels.
    """
    rgb = np.asarray(rgb, dtype=np.float64)
    if rgb.ndim == 0 or rgb.shape[-1] != 3:
        raise ImageError(f"Y needs three channels on the last axis, not {rgb.shape}.")
    return Y_OFFSET + rgb @ np.asarray(Y_WEIGHTS)


def score(
    prediction: Array,
    truth: Array,
    *,
    scale: int,
    protocol: str = "mmagic",
    data_range: float | None = None,
) -> Score:
    """Compare by a named protocol of the literature.

    All protocols here clip and round to 8 bits and shave `scale` pixels. ``mmagic``
    measures the channels as they are, ``edsr-y`` on Y (a grey image counting as three
    equal channels) with a larger truth cropped to the prediction.

    Parameters
    ----------
    prediction, truth : ndarray, (H, W) or (H, W, 3)
        In the same units.
    scale : int
        Factor the prediction was upscaled by.
    protocol : {"mmagic", "edsr-y"}
        Convention to measure by.
    data_range : float, optional
        White in the units of the images (black is 0). None takes the largest value
        of the truth's integer dtype.

    Returns
    -------
    Score
        Measured on 0-255.

    Raises
    ------
    ImageError
        If the protocol is unknown or the images do not suit it.
    """
    if protocol not in PROTOCOLS:
        raise ImageError(f"Unknown protocol {protocol!r}; use {', '.join(PROTOCOLS)}.")
    rules = PROTOCOLS[protocol]
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    white = _white(truth) if data_range is None else data_range
    if rules.crops_truth:
        truth = truth[tuple(slice(size) for size in prediction.shape[:2])]
    colour, measured = _planes([prediction, truth], white, luma=rules.luma)
    return Score(
        psnr=psnr(*measured, data_range=255, border=scale),
        ssim=ssim(*measured, data_range=255, border=scale),
        protocol=protocol,
        colour=colour,
        border=scale,
        rounded=True,
        data_range=255.0,
    )


def _white(truth: Array) -> float:
    if truth.dtype.kind not in "iu":
        raise ImageError("Say the data_range of float images: the value of white.")
    return float(np.iinfo(truth.dtype).max)


def _planes(
    images: list[Array], white: float, *, luma: bool
) -> tuple[str, tuple[Array, Array]]:
    """Name of the colours measured, and both images in them on 0-255."""
    for image in images:
        if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            raise ImageError(
                f"Protocols measure grey or RGB images, not {image.shape}."
            )
    colour = "grey" if images[1].ndim == 2 else "RGB"
    prediction, truth = (_eight_bit(image, white) for image in images)
    if luma:
        return "Y", (_luma(prediction), _luma(truth))
    return colour, (prediction, truth)


def _luma(image: Array) -> Array:
    return to_y(image if image.ndim == 3 else np.stack([image] * 3, axis=-1))


def _eight_bit(image: Array, white: float) -> Array:
    if not white > 0:
        raise ImageError(f"The data range must be positive, not {white}.")
    grey_levels = np.asarray(image, dtype=np.float64) * (255 / white)
    return np.rint(np.clip(grey_levels, 0, 255))


def _comparable(
    prediction: Array, truth: Array, data_range: float, border: int
) -> tuple[Array, Array]:
    """Both as float64, shaved; float64 since uint8 differences wrap."""
    prediction = np.asarray(prediction, dtype=np.float64)
    truth = np.asarray(truth, dtype=np.float64)
    if prediction.shape != truth.shape or truth.ndim not in (2, 3):
        raise ImageError(
            f"Only two images of one shape, (H, W) or (H, W, S), can be compared, "
            f"not {prediction.shape} and {truth.shape}."
        )
    if not data_range > 0:
        raise ImageError(f"The data range must be positive, not {data_range}.")
    inner = tuple(slice(border, max(size - border, border)) for size in truth.shape[:2])
    if border < 0 or truth[inner].size == 0:
        raise ImageError(
            f"Nothing of {truth.shape} is left inside a border of {border}."
        )
    return prediction[inner], truth[inner]
