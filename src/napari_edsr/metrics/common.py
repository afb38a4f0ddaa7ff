"""What every metric asks of its two images."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_edsr.errors import ImageError
from napari_edsr.images import as_array

Array = NDArray[Any]


def as_plane(image: ArrayLike) -> Array:
    """An image as an array, (H, W) or (H, W, S), of integers, floats or bool.

    Raises
    ------
    ImageError
        If it is none, or empty, or some of its pixels are masked.
    """
    refuse_mask(image)
    plane = as_array(image)
    if plane.dtype.kind not in "buif":
        raise ImageError(
            f"Images of type {plane.dtype} cannot be compared; convert them to integers "
            "or floats."
        )
    if plane.ndim not in (2, 3):
        raise ImageError(
            f"Only images of shape (H, W) or (H, W, S) can be compared, not {plane.shape}."
        )
    if not plane.size:
        raise ImageError(f"The image is empty: its shape is {plane.shape}.")
    return plane


def refuse_mask(image: Any) -> None:
    """Refuse a masked array, whose mask would be lost.

    Raises
    ------
    ImageError
        If any of its pixels is masked.
    """
    if np.ma.is_masked(image):
        raise ImageError(
            "Masks are not understood; make masked pixels of the truth NaN, as in "
            "truth.astype(float).filled(numpy.nan)."
        )


def comparable(
    prediction: ArrayLike, truth: ArrayLike, border: int = 0
) -> tuple[Array, Array]:
    """Views of both without their borders.

    Raises
    ------
    ImageError
        If they are not two images of one shape, the border is no whole number, or
        nothing is left inside it.
    """
    prediction, truth = as_plane(prediction), as_plane(truth)
    check_same_size(prediction, truth)
    if prediction.shape != truth.shape:
        raise ImageError(
            f"The shapes {prediction.shape} of the prediction and {truth.shape} of the "
            "truth differ in their colours; convert one of them."
        )
    if not isinstance(border, int | np.integer):
        raise ImageError(f"The border {border!r} is not a whole number of pixels.")
    if border < 0 or min(truth.shape[:2]) <= 2 * border:
        raise ImageError(
            f"Nothing of {size_of(truth)} pixels is left inside a border of {border}; "
            "choose another one, 0 or more."
        )
    inner = tuple(slice(border, size - border) for size in truth.shape[:2])
    return prediction[inner], truth[inner]


def check_same_size(prediction: Array, truth: Array) -> None:
    """Refuse images of which one is larger.

    Raises
    ------
    ImageError
        If heights or widths differ.
    """
    if prediction.shape[:2] != truth.shape[:2]:
        raise ImageError(
            f"The prediction is {size_of(prediction)} pixels and the truth "
            f"{size_of(truth)}; crop or upscale one so that both show the same field."
        )


def check_data_range(data_range: float) -> None:
    """Refuse what is no white minus black.

    Raises
    ------
    ImageError
        If it is not positive and finite.
    """
    if not (isinstance(data_range, Real) and 0 < data_range < math.inf):
        raise ImageError(
            f"The data range must be positive and finite, not {data_range!r}."
        )


def check_scale(scale: Any) -> None:
    """Refuse what is no factor of an upscaling.

    Raises
    ------
    ImageError
        If it is not a whole number of 1 or more.
    """
    if not (isinstance(scale, int | np.integer) and scale >= 1):
        raise ImageError(f"The scale is a whole factor of 1 or more, not {scale!r}.")


def size_of(image: Array) -> str:
    """Width and height, e.g. ``"640 x 480"``."""
    return f"{image.shape[1]} x {image.shape[0]}"


def known_pixels(truth: Array) -> NDArray[np.bool_]:
    """Where all samples of the truth are finite, (H, W)."""
    finite: NDArray[np.bool_] = np.isfinite(truth)
    return np.all(finite, axis=2) if finite.ndim == 3 else finite


def known_values(image: Array, known: NDArray[np.bool_]) -> Array:
    """Samples of the known pixels; the image itself, not copied, if it is all of them."""
    return image if known.all() else image[known]
