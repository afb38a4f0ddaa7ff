"""Values of a layer in the colours that the viewer gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_edsr._qt.compare.sampling import Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEVELS = 4095  # of the colour table; the screen has 255


def coloured(layer: Image, samples: Samples) -> NDArray[np.uint8]:
    """Samples with a layer's colormap, contrast, gamma and opacity.

    Returns
    -------
    ndarray of uint8, (H, W, 4)
        Red, green, blue and alpha; transparent outside the layer.
    """
    paint = _of_colours if layer.rgb else _of_intensities
    rgba = paint(layer, samples.values)
    if layer.opacity < 1:
        rgba[..., 3] = np.rint(rgba[..., 3] * layer.opacity).astype(np.uint8)
    if not samples.inside.all():
        rgba[~samples.inside] = 0
    return rgba


def _of_colours(layer: Image, values: NDArray) -> NDArray[np.uint8]:
    rgba = np.full((*values.shape[:2], 4), 255, np.uint8)
    rgba[..., : values.shape[2]] = _eight_bit(layer, values)
    return rgba


def _eight_bit(layer: Image, values: NDArray) -> NDArray:
    """As napari shows colours: integers over their whole range, floats from 0 to 1."""
    kind = np.dtype(layer.dtype)
    if values.dtype == np.uint8:
        return values
    white = np.iinfo(kind).max if kind.kind in "iu" else 1.0
    return np.rint(np.clip(np.nan_to_num(values) / white, 0, 1) * 255)


def _of_intensities(layer: Image, values: NDArray) -> NDArray[np.uint8]:
    low, high = layer.contrast_limits
    precise = np.float32 if values.dtype.itemsize <= 2 else np.float64
    shade = np.asarray(values[..., 0], dtype=precise)
    shade = (shade - low) * (_LEVELS / (high - low))
    np.clip(shade, 0, _LEVELS, out=shade)
    if values.dtype.kind == "f":
        shade[np.isnan(shade)] = _LEVELS + 1
    return (
        _table(layer)[np.rint(shade).astype(np.uint16)]
        .view(np.uint8)
        .reshape(*shade.shape, 4)
    )


def _table(layer: Image) -> NDArray[np.uint32]:
    """Colours from black to white, and after them that of NaN, four bytes each."""
    shades = np.append(np.linspace(0, 1, _LEVELS + 1) ** layer.gamma, np.nan)
    colours = np.rint(np.clip(layer.colormap.map(shades), 0, 1) * 255)
    return np.ascontiguousarray(colours.astype(np.uint8)).view(np.uint32)[:, 0]
