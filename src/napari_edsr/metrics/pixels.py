"""Metrics that compare pixel with pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_edsr.metrics.common import (
    Array,
    check_data_range,
    comparable,
    known_pixels,
    known_values,
)


def psnr(
    prediction: ArrayLike, truth: ArrayLike, *, data_range: float, border: int = 0
) -> float:
    """Peak signal-to-noise ratio over all pixels and samples together.

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
        In dB; inf for identical images, NaN where the prediction is not finite or
        nothing of the truth is.

    Raises
    ------
    ImageError
        If the images are none or their shapes differ, nothing is left inside the
        border, or the data range is not positive.
    """
    check_data_range(data_range)
    return _decibels(data_range, _mean_square(_errors(prediction, truth, border)))


def mae(prediction: ArrayLike, truth: ArrayLike, *, border: int = 0) -> float:
    """Mean absolute error in the units of the images.

    Parameters
    ----------
    prediction, truth, border
        As for `psnr`.

    Returns
    -------
    float
        0 for identical images; NaN as for `psnr`.

    Raises
    ------
    ImageError
        As `psnr`.
    """
    errors = _errors(prediction, truth, border)
    return _mean(np.abs(errors, out=errors))


def rmse(prediction: ArrayLike, truth: ArrayLike, *, border: int = 0) -> float:
    """Root of the mean squared error, in the units of the images.

    Parameters
    ----------
    prediction, truth, border
        As for `psnr`.

    Returns
    -------
    float
        0 for identical images; NaN as for `psnr`.

    Raises
    ------
    ImageError
        As `psnr`.
    """
    return math.sqrt(_mean_square(_errors(prediction, truth, border)))


def range_invariant_psnr(
    prediction: ArrayLike, truth: ArrayLike, *, border: int = 0
) -> float:
    """PSNR after the prediction's offset and gain were fitted to the truth.

    The scale-invariant PSNR of CARE (Weigert et al., Nature Methods 2018) and
    CAREamics: the means of both are taken off, the prediction is multiplied by
    ``sum(truth * prediction) / sum(prediction ** 2)``, and white minus black is the
    truth's maximum minus its minimum. CARE divides the truth and this range by the
    truth's standard deviation as well, which changes nothing.

    Parameters
    ----------
    prediction, truth, border
        As for `psnr`; their units need not be the same.

    Returns
    -------
    float
        In dB; NaN as for `psnr`. A negative gain is fitted as well, as CARE does. A
        constant prediction counts as the truth's mean. On a constant truth any
        constant scores inf, and anything else NaN: there is no range to measure by.

    Raises
    ------
    ImageError
        As `psnr`.
    """
    prediction, truth = comparable(prediction, truth, border)
    known = known_pixels(truth)
    prediction, truth = known_values(prediction, known), known_values(truth, known)
    if not (truth.size and np.isfinite(prediction).all()):
        return math.nan
    if _span(truth) == 0:
        return math.inf if _span(prediction) == 0 else math.nan
    return _decibels(1.0, _mean_square(_misfit(prediction, truth)))


def error_map(prediction: ArrayLike, truth: ArrayLike) -> NDArray[np.float32]:
    """Prediction minus truth, the mean over the samples of each pixel.

    Parameters
    ----------
    prediction, truth
        As for `psnr`, without alpha.

    Returns
    -------
    ndarray of float32, (H, W)
        In the units of the images; positive where the prediction is too bright, NaN
        where a sample of either is not finite.

    Raises
    ------
    ImageError
        As `psnr`.
    """
    errors = _difference(*comparable(prediction, truth))
    if errors.ndim == 3:
        errors = errors.mean(axis=2)
    errors[~np.isfinite(errors)] = np.nan
    return errors.astype(np.float32)


def _errors(prediction: ArrayLike, truth: ArrayLike, border: int) -> Array:
    """Prediction minus truth where the truth is known."""
    prediction, truth = comparable(prediction, truth, border)
    return known_values(_difference(prediction, truth), known_pixels(truth))


def _difference(minuend: Array, subtrahend: Array) -> Array:
    """In float64, since unsigned differences wrap; neither is copied."""
    with np.errstate(invalid="ignore"):  # of two infinities
        return np.subtract(minuend, subtrahend, dtype=np.float64)


def _mean_square(errors: Array) -> float:
    with np.errstate(over="ignore"):
        return _mean(np.square(errors, out=errors))


def _mean(values: Array) -> float:
    mean = float(values.mean()) if values.size else math.nan
    return mean if math.isfinite(mean) else math.nan


def _decibels(data_range: float, mean_square: float) -> float:
    if mean_square == 0:
        return math.inf
    return 20 * math.log10(data_range) - 10 * math.log10(mean_square)


def _span(values: Array) -> float:
    return float(values.max()) - float(values.min())


def _misfit(prediction: Array, truth: Array) -> Array:
    """What a gain of the prediction leaves of the truth, whose range becomes 1."""
    target, centred = _centred(truth), _centred(prediction)
    power = np.vdot(centred, centred)
    gain = np.vdot(target, centred) / power if power else 0.0
    centred *= gain
    target -= centred
    return target


def _centred(values: Array) -> Array:
    """Without the mean; on a range of 1, so that no square over- or underflows."""
    span = _span(values)
    if span == 0:  # a mean is rounded
        return np.zeros(values.shape)
    centred = _difference(values, values.mean(dtype=np.float64))
    return np.divide(centred, span, out=centred)
