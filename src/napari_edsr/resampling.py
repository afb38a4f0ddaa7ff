"""Bicubic resizing as MATLAB's ``imresize`` does it: how low-resolution images are made.

The benchmarks of super-resolution, and the networks' training data, are defined by
this resampling. Pillow, OpenCV and SciPy differ from it at edges or when shrinking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.errors import ImageError

Array = NDArray[Any]

KERNEL_WIDTH = 4


def imresize(
    image: Array, scale: float | Sequence[int], *, axes: Sequence[int] = (0, 1)
) -> Array:
    """Resize by bicubic interpolation, with antialiasing where it shrinks.

    The cubic has a = -0.5, is widened by the factor of shrinking, and sees the image
    mirrored beyond its edges. Axes are resized one after the other; integers are
    rounded after each, which is what MATLAB does to 8-bit images.

    Parameters
    ----------
    image : ndarray
        Any shape, integer (values up to 2**53) or float.
    scale : float or sequence of int
        Factor on each axis, or the sizes wanted along `axes`.
    axes : sequence of int
        Axes to resize, in this order. The default suits (H, W) and (H, W, S)
        images; a stack of (T, H, W) takes ``axes=(-2, -1)``.

    Returns
    -------
    ndarray
        Of the same dtype; integers are rounded and clipped to their range.

    Raises
    ------
    ImageError
        If the image is empty or not of real numbers, or the sizes make no sense.
    """
    image = np.asarray(image)
    if image.dtype.kind not in "iuf" or image.size == 0:
        raise ImageError(
            "Only images of integers or floats with pixels can be resized."
        )
    resized = image
    for axis, size, factor in _targets(image.shape, scale, axes):
        resized = _resize_axis(resized, axis, size, factor)
        if image.dtype.kind in "iu":
            resized = _rounded(resized, image.dtype)
    return resized.astype(image.dtype, copy=resized is image)


def _targets(
    shape: tuple[int, ...], scale: float | Sequence[int], axes: Sequence[int]
) -> list[tuple[int, int, float]]:
    """Axis, new size and factor of each pass."""
    if isinstance(scale, Sequence):
        sizes = [int(size) for size in scale]
        factors = [size / shape[axis] for size, axis in zip(sizes, axes, strict=True)]
    else:
        factors = [float(scale)] * len(axes)
        if not all(math.isfinite(factor) for factor in factors):
            raise ImageError(f"An image cannot be resized by {scale}.")
        # the small difference keeps 0.1 * 30 from becoming 4 pixels
        sizes = [math.ceil(shape[axis] * float(scale) - 1e-9) for axis in axes]
    if min(sizes) < 1:
        raise ImageError(f"An image cannot be resized to {sizes} pixels.")
    return list(zip(axes, sizes, factors, strict=True))


def _resize_axis(image: Array, axis: int, size: int, factor: float) -> Array:
    """One pass, as the sum of the taps: no matrix, no copy of the neighbourhoods."""
    indices, weights = _taps(image.shape[axis], size, factor)
    column = [1] * image.ndim
    column[axis] = size
    resized = 0.0
    for source, weight in zip(indices, weights, strict=True):
        resized = resized + np.take(image, source, axis=axis) * weight.reshape(column)
    return np.asarray(resized)


def _taps(length: int, size: int, factor: float) -> tuple[Array, Array]:
    """Source pixels and weights, each (taps, size), of every new pixel."""
    widening = max(1.0, 1 / factor)
    width = KERNEL_WIDTH * widening
    centres = (np.arange(size) + 0.5) / factor - 0.5
    first = np.floor(centres - width / 2).astype(int)
    indices = first + np.arange(math.ceil(width) + 2)[:, None]
    weights = _cubic((centres - indices) / widening)
    weights /= weights.sum(axis=0)
    used = weights.any(axis=1)
    period = indices[used] % (2 * length)
    return np.minimum(period, 2 * length - 1 - period), weights[used]


def _cubic(x: Array) -> Array:
    """Keys' cubic with a = -0.5, zero from 2 pixels on."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    """To integers, halves away from zero, clipped to the range of `dtype`."""
    limits = np.iinfo(dtype)
    whole = np.trunc(values + np.copysign(0.5, values))
    return np.clip(whole, limits.min, limits.max).astype(dtype)
