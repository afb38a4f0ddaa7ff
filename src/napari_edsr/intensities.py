"""Intensities of an image to the network's 0-1 and back, without loss."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_edsr.errors import EDSRWarning, ImageError
from napari_edsr.images import (
    ImageSpec,
    as_source,
    plane_view,
    read_plane,
    understand,
)
from napari_edsr.sampling import BLOCK, sample_chunks, sample_places

#: Percentiles that become 0 and 1, so that a 12-bit camera image stored in 16 bits
#: does not reach the network nearly black.
PERCENTILES = (0.1, 99.9)
NORMALIZATIONS = ("auto", "dtype", "percentile", "contrast-limits")
Range = tuple[float, float]

_MISSING = (
    "If it stands for missing pixels, give the range to normalize by as two numbers, or "
    "make them NaN in an image of floats."
)
_DEFECT = "If it is a defect, such as a hot pixel, mend it first, by a median for one."

_EXACT = 2**53  # integers up to here are exact in float64
_READ_AT_MOST = 2**28  # where these were all one
_FAR, _HUGE = 3, 1000  # ranges of all other values, from one that fills, or is rare
_MEASURED_AT_MOST = 2**24  # values a percentile is taken of; more are sampled evenly


def intensity_ranges(
    image: ArrayLike,
    axes: str | None = None,
    normalize: str | Range = "auto",
    contrast_limits: Range | Sequence[Range] | None = None,
) -> list[Range]:
    """Intensities that the network sees as 0 and 1: one pair, or one per channel.

    The mapping is affine and never clips. One range holds for a whole stack, so that
    time series do not flicker, and for all colours of a pixel, so that hues stay.

    Parameters
    ----------
    image : array_like
        As for `understand`.
    axes : str, optional
        As for `understand`.
    normalize : str or (float, float)
        ``"dtype"``: the type's own range, 0-1 for floats and bool; ``"percentile"``:
        0.1 to 99.9 %; ``"contrast-limits"``: `contrast_limits`; a pair: those
        intensities; ``"auto"``: ``"dtype"`` for 8-bit and RGB images, else
        ``"percentile"``.
    contrast_limits : (float, float) or sequence of them, optional
        The display range, or one per channel.

    Returns
    -------
    list of (float, float)
        As long as axis C, or one pair without it; equal values mean a constant image.

    Raises
    ------
    ImageError
        If the choice is unknown or a range is not increasing.
    """
    spec = understand(image, axes)
    n_ranges = spec.size("C")
    if not isinstance(normalize, str):
        return [_checked_range(normalize)] * n_ranges
    method = normalization_method(spec, normalize)
    if method == "contrast-limits":
        return _limits(contrast_limits, n_ranges)
    if method == "dtype" and spec.dtype.kind in "bu" and spec.dtype.itemsize < 8:
        return [dtype_range(spec.dtype)] * n_ranges  # without looking at the image
    channels = _channels(as_source(image), spec)
    for channel in channels:
        _warn_beyond_doubles(channel)
    if method == "dtype":
        _warn_outside_unit(channels)
        return [dtype_range(spec.dtype)] * n_ranges
    is_whole = isinstance(image, np.ndarray) or _is_small(spec)
    return [
        _percentile_range(
            values,
            partial(_finite_extremes, values)
            if is_whole
            else partial(_extremes_of_more, image, spec, channel),
        )
        for channel, values in enumerate(channels)
    ]


def sampling_notes(image: Any, spec: ImageSpec, normalize: str | Range) -> list[str]:
    """What is to be said where only parts of a lazy image were looked at."""
    measured = isinstance(normalize, str) and (
        normalization_method(spec, normalize) == "percentile"
    )
    if isinstance(image, np.ndarray) or not measured or _is_small(spec):
        return []
    parts = _n_blocks(spec)
    return [
        f"The intensity range was taken from {parts} parts of {BLOCK} x {BLOCK} "
        "pixels, spread by chance, but always the same; from more where these are flat."
    ]


def _channels(image: Any, spec: ImageSpec) -> list[NDArray]:
    """Intensities of each channel, (..., Y, X, S) without alpha; of a lazy image a sample.

    A large image that lies on disk is not read as a whole: parts of it stand for it.
    """
    colours = len(spec.colors)
    if isinstance(image, np.ndarray):
        values = plane_view(image, spec.axes)[..., :colours]
        if "C" not in spec.axes:
            return [values]
        return list(np.moveaxis(values, spec.leading.index("C"), 0))
    return [_sampled(image, spec, channel) for channel in range(spec.size("C"))]


def _sampled(image: Any, spec: ImageSpec, channel: int) -> NDArray:
    """Intensities of a channel of a lazy image: all of a small one, or of some blocks."""
    whole = slice(None), slice(None)
    leads = list(np.ndindex(*spec.leading_shape)) if _is_small(spec) else []
    if "C" in spec.axes:
        leads = [n for n in leads if n[spec.leading.index("C")] == channel]
    places = [(lead, whole) for lead in leads] or sample_places(
        spec, _n_blocks(spec), channel
    )
    parts = (read_plane(image, spec.axes, *place) for place in places)
    values = [part[..., : len(spec.colors)].reshape(-1) for part in parts]
    return np.concatenate(values)[:, None, None, None]


def _extremes_of_more(image: Any, spec: ImageSpec, channel: int) -> Range:
    """As `_finite_extremes`, of a channel of which some parts had but one value.

    The range of the type where even many more tell nothing: it loses no spot.
    """
    lo, hi = math.inf, -math.inf
    for part in sample_chunks(image, spec, _READ_AT_MOST, channel):
        values = np.asarray(image[part])
        if "S" in spec.axes:
            values = np.moveaxis(values, spec.axes.index("S"), -1)
            values = values[..., : len(spec.colors)]
        low, high = _finite_extremes(values)
        lo, hi = min(lo, low), max(hi, high)
    is_all = math.prod(spec.shape) // spec.size("C") <= _READ_AT_MOST
    return (lo, hi) if lo < hi or is_all else dtype_range(spec.dtype)


def _is_small(spec: ImageSpec) -> bool:
    values = math.prod(spec.shape) // spec.size("C")
    return values <= _MEASURED_AT_MOST


def _n_blocks(spec: ImageSpec) -> int:
    return _MEASURED_AT_MOST // (BLOCK**2 * len(spec.colors))


def _pixel_step(values: int) -> int:
    """Every how many rows and columns are looked at."""
    return math.ceil(math.sqrt(max(1.0, values / _MEASURED_AT_MOST)))


def normalization_method(spec: ImageSpec, normalize: str) -> str:
    """What ``"auto"`` stands for on this image; other choices are only checked."""
    if normalize not in NORMALIZATIONS:
        choices = ", ".join(NORMALIZATIONS)
        raise ImageError(
            f"Normalization {normalize!r} is unknown; choose {choices}, or a pair (lo, hi)."
        )
    if normalize != "auto":
        return normalize
    by_type = spec.dtype.itemsize == 1 or len(spec.colors) == 3
    return "dtype" if by_type else "percentile"


def dtype_range(dtype: np.dtype) -> Range:
    """Smallest and largest value of an integer type; 0 and 1 for floats and bool."""
    if dtype.kind in "fb":
        return 0.0, 1.0
    info = np.iinfo(dtype)
    return float(info.min), float(info.max)


def _checked_range(limits: Sequence[float]) -> Range:
    try:
        lo, hi = (float(limit) for limit in limits)
    except (TypeError, ValueError) as error:
        raise ImageError(
            f"An intensity range is two numbers, not {limits!r}."
        ) from error
    if not (math.isfinite(lo) and math.isfinite(hi) and lo < hi):
        raise ImageError(
            f"The intensity range {lo:g} to {hi:g} must be finite and rise."
        )
    return lo, hi


def _limits(limits: Any, n_ranges: int) -> list[Range]:
    if limits is None:
        raise ImageError(
            "This image has no contrast limits; normalize by percentile, or by two numbers."
        )
    try:
        pairs = np.asarray(limits, dtype=float).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise ImageError(
            f"Contrast limits are pairs of numbers, not {limits!r}."
        ) from error
    if len(pairs) not in (1, n_ranges):
        raise ImageError(
            f"{len(pairs)} contrast limits do not fit {n_ranges} channels."
        )
    checked = [_checked_range(pair) for pair in pairs.tolist()]
    return checked * n_ranges if len(checked) == 1 else checked


def _percentile_range(values: NDArray, extremes: Callable[[], Range]) -> Range:
    """Percentiles of the finite values; `extremes` of all where those fall together."""
    step = _pixel_step(values.size)
    sample = values[..., ::step, ::step, :]
    sample = sample[np.isfinite(sample)].astype(np.float64, copy=False)
    lo, hi = np.percentile(sample, PERCENTILES).tolist() if sample.size else (0.0, 0.0)
    if lo == hi:  # a few bright spots on a flat ground: take them all
        lo, hi = extremes()
    else:
        _warn_of_fill(sample, lo, hi, values.dtype)
    if lo > hi:
        return 0.0, 1.0  # nothing is finite
    if not math.isfinite(hi - lo):
        raise ImageError(
            f"Intensities from {lo:g} to {hi:g} span more than can be computed with; "
            "divide the image by a constant first."
        )
    return lo, hi


def _finite_extremes(values: NDArray) -> Range:
    """Least and greatest finite value; infinities the other way round without any."""
    if values.dtype.kind != "f":
        return float(values.min()), float(values.max())
    finite = np.isfinite(values)
    lo = np.min(values, initial=np.inf, where=finite)
    hi = np.max(values, initial=-np.inf, where=finite)
    return float(lo), float(hi)


def _warn_of_fill(
    sample: NDArray[np.float64], lo: float, hi: float, dtype: np.dtype
) -> None:
    """Say so where one value, such as -9999, lies far from all others.

    It would leave them little contrast, or where it is huge ruin all around it.
    """
    white = None if dtype.kind == "f" else dtype_range(dtype)[1]
    for value, limit in ((float(sample.min()), lo), (float(sample.max()), hi)):
        if value != limit and abs(value - limit) <= _HUGE * (hi - lo):
            continue  # without a look at all others, which reach at least as far
        if value == white:
            continue  # saturated, or drawn into the image
        others = sample != value
        low = float(sample.min(where=others, initial=np.inf))
        high = float(sample.max(where=others, initial=-np.inf))
        gap = max(low - value, value - high) / ((high - low) or math.inf)
        if gap > (_FAR if value == limit else _HUGE):
            warnings.warn(
                f"The value {value:g} lies far from all others, {low:g} to {high:g}. "
                + (_MISSING if value == limit else _DEFECT),
                EDSRWarning,
                stacklevel=3,
            )


def _warn_outside_unit(channels: Sequence[NDArray]) -> None:
    if channels[0].dtype.kind != "f":
        return
    extremes = [_finite_extremes(channel) for channel in channels]
    lo, hi = min(low for low, _ in extremes), max(high for _, high in extremes)
    if lo < 0 or hi > 1:
        warnings.warn(
            f"Float intensities from {lo:g} to {hi:g} leave the expected range 0-1; "
            "normalize by percentile, or by two numbers.",
            EDSRWarning,
            stacklevel=3,
        )


def _warn_beyond_doubles(values: NDArray) -> None:
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8:
        return
    if max(map(abs, _finite_extremes(values))) > _EXACT:
        warnings.warn(
            "Integers beyond 2**53 lose their last digits; subtract an offset first.",
            EDSRWarning,
            stacklevel=3,
        )


def to_unit(values: NDArray, limits: Range) -> NDArray[np.float32]:
    """Map intensities to the network's: `limits` become 0 and 1, nothing is clipped."""
    lo, hi = limits
    span = hi - lo or 1.0
    with np.errstate(over="ignore"):  # the engine reports what becomes infinite
        return ((values.astype(np.float64) - lo) / span).astype(np.float32)


def from_unit(values: NDArray, limits: Range, dtype: np.dtype) -> NDArray:
    """Undo `to_unit` and cast: integers are rounded, and only the type's range clips.

    A constant image (equal limits) comes back as that constant.
    """
    lo, hi = limits
    scaled = values.astype(np.float64) * (hi - lo) + lo
    if dtype.kind == "b":
        return scaled >= 0.5
    if dtype.kind == "f":
        info = np.finfo(dtype)
        return np.clip(scaled, float(info.min), float(info.max)).astype(dtype)
    return np.clip(np.rint(scaled), *_float_bounds(dtype)).astype(dtype)


def _float_bounds(dtype: np.dtype) -> Range:
    """Extreme floats that still fit an integer type: 2**64 - 1 would round up to 2**64."""
    info = np.iinfo(dtype)
    top = float(info.max)
    return float(info.min), top if int(top) <= info.max else np.nextafter(top, 0)


def fill_nonfinite(plane: NDArray) -> tuple[NDArray, NDArray[np.bool_] | None]:
    """Replace NaN and infinities by the nearest finite value.

    Parameters
    ----------
    plane : ndarray, (H, W)
        One sample of a plane.

    Returns
    -------
    ndarray, (H, W)
        `plane` itself where all of it is finite; zeros where none of it is.
    ndarray of bool, (H, W), or None
        Where values were replaced; None where none were.
    """
    if plane.dtype.kind != "f":
        return plane, None
    bad = ~np.isfinite(plane)
    if not bad.any():
        return plane, None
    if bad.all():
        return np.zeros_like(plane), bad
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(
        bad, return_distances=False, return_indices=True
    )
    return plane[tuple(nearest)], bad
