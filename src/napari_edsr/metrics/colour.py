"""Colours as protocols measure them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_edsr.errors import ImageError
from napari_edsr.images import as_array
from napari_edsr.metrics.common import Array, as_plane

#: ITU-R BT.601 luma of 0-255 RGB, studio range 16-235.
Y_WEIGHTS = (65.481 / 255, 128.553 / 255, 24.966 / 255)
Y_OFFSET = 16 / 255


def to_y(rgb: ArrayLike, *, data_range: float = 255.0) -> NDArray[np.float64]:
    """Luma of an RGB image, never rounded.

    Parameters
    ----------
    rgb : array_like, (..., 3)
        Black is 0.
    data_range : float
        Value of white.

    Returns
    -------
    ndarray of float64, (...)
        Y of YCbCr: 16-235 where white is 255.

    Raises
    ------
    ImageError
        If the last axis does not hold three channels.
    """
    rgb = as_array(rgb)
    if rgb.ndim == 0 or rgb.shape[-1] != 3:
        raise ImageError(f"Y needs three channels on the last axis, not {rgb.shape}.")
    return Y_OFFSET * data_range + rgb.astype(np.float64) @ np.asarray(Y_WEIGHTS)


def without_alpha(image: ArrayLike) -> Array:
    """The colours of an image, (H, W) if it is grey or (H, W, 3).

    Raises
    ------
    ImageError
        If a pixel has more than four samples, or it is no image.
    """
    plane = as_plane(image)
    samples = plane.shape[2] if plane.ndim == 3 else 1
    if samples > 4:
        raise ImageError(f"Protocols measure grey or RGB images, not {plane.shape}.")
    if plane.ndim == 3 and samples < 3:
        return plane[..., 0]
    return plane[..., :3] if samples == 4 else plane


def as_rgb(image: Array) -> Array:
    """A grey image as three equal channels, without copying it."""
    if image.ndim == 3:
        return image
    return np.broadcast_to(image[..., np.newaxis], (*image.shape, 3))
