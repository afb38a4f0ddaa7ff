"""Structural similarity (Wang et al., IEEE TIP 2004)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_edsr.errors import ImageError
from napari_edsr.metrics.common import (
    Array,
    check_data_range,
    comparable,
    known_pixels,
    size_of,
)

#: Side in pixels of the Gaussian window, whose sigma is 1.5.
SSIM_WINDOW = 11
_MARGIN = SSIM_WINDOW // 2
_BAND = 2**20  # pixels at a time, as the formula keeps a dozen arrays of them


def ssim(
    prediction: ArrayLike, truth: ArrayLike, *, data_range: float, border: int = 0
) -> float:
    """Structural similarity: Gaussian window of 11 px, sigma 1.5, valid region only.

    C1 is ``(0.01 * data_range) ** 2`` and C2 ``(0.03 * data_range) ** 2``, variances
    are those of the population: MATLAB's ``ssim.m`` and mmagic do the same.

    Parameters
    ----------
    prediction, truth : array_like, (H, W) or (H, W, S)
        In the same units, each of any integer or float type, or bool.
    data_range : float
        White minus black in those units, e.g. 255.
    border : int
        Pixels to shave from each side first.

    Returns
    -------
    float
        Mean over windows and samples; 1 for identical images. Windows that touch an
        unknown pixel of the truth are left out; NaN if none is left, or one that is
        has a prediction that is not finite.

    Raises
    ------
    ImageError
        As `psnr`, and if less than 11 x 11 pixels are left inside the border.
    """
    similarity, counted = _similarity(
        *comparable(prediction, truth, border), data_range
    )
    values = similarity[counted]
    return float(values.mean()) if values.size else math.nan


def ssim_map(
    prediction: ArrayLike, truth: ArrayLike, *, data_range: float
) -> NDArray[np.float32]:
    """Structural similarity of the window around each pixel, as `ssim` measures it.

    Parameters
    ----------
    prediction, truth, data_range
        As for `ssim`.

    Returns
    -------
    ndarray of float32, (H, W)
        Mean over the samples, at most 1. NaN within 5 px of the edges, where the
        window does not lie in the image, and where the window holds a pixel that is
        not finite. For a finite prediction ``numpy.nanmean`` of it is `ssim`.

    Raises
    ------
    ImageError
        As `ssim`.
    """
    similarity, counted = _similarity(*comparable(prediction, truth), data_range)
    return np.where(counted, similarity, np.nan).astype(np.float32)


def _similarity(
    prediction: Array, truth: Array, data_range: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Mean over the samples, (H, W), and where a window lies on known pixels alone."""
    check_data_range(data_range)
    if min(truth.shape[:2]) < SSIM_WINDOW:
        raise ImageError(
            f"SSIM needs {SSIM_WINDOW} x {SSIM_WINDOW} pixels inside the border; "
            f"this image has {size_of(truth)}."
        )
    known = known_pixels(truth)
    if truth.ndim == 2:
        prediction, truth = prediction[..., np.newaxis], truth[..., np.newaxis]
    mean = np.empty(known.shape)
    for rows, around in _bands(*known.shape):
        images = prediction[around], truth[around]
        band = _mean_similarity(*images, known[around], data_range)
        mean[rows] = band[rows.start - around.start :][: rows.stop - rows.start]
    return mean, _counted(known)


def _bands(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows to measure, and those that their windows reach."""
    step = max(SSIM_WINDOW, _BAND // width)
    for start in range(0, height, step):
        stop = min(start + step, height)
        first = max(0, min(start - _MARGIN, height - SSIM_WINDOW))
        yield slice(start, stop), slice(first, min(stop + _MARGIN, height))


def _mean_similarity(
    prediction: Array, truth: Array, known: NDArray[np.bool_], data_range: float
) -> Array:
    total = np.zeros(known.shape)
    for sample in range(truth.shape[2]):
        total += _similarity_of_sample(
            _filled(prediction[..., sample], known),
            _filled(truth[..., sample], known),
            data_range,
        )
    return total / truth.shape[2]


def _filled(sample: Array, known: NDArray[np.bool_]) -> Array:
    """In float64, 0 at unknown pixels, and NaN at others that are not finite."""
    values = np.where(known, sample, 0.0).astype(np.float64, copy=False)
    values[~np.isfinite(values)] = np.nan
    return values


def _similarity_of_sample(prediction: Array, truth: Array, data_range: float) -> Array:
    from skimage.metrics import structural_similarity

    if np.array_equal(prediction, truth):  # squares of huge values would overflow
        return np.ones_like(truth)
    with np.errstate(over="ignore", invalid="ignore"):
        _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
            prediction,
            truth,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
    return similarity


def _counted(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import minimum_filter

    counted = np.zeros_like(known)
    inside = (slice(_MARGIN, -_MARGIN),) * 2
    whole = known if known.all() else minimum_filter(known, size=SSIM_WINDOW)
    counted[inside] = whole[inside]
    return counted
