"""How close layers are to the truth over a part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_edsr._qt.compare.sampling import Lattice, sample
from napari_edsr._qt.compare.window import (
    Window,
    World,
    data_to_world,
    points_to_data,
)
from napari_edsr._qt.layers import layer_array
from napari_edsr.errors import ImageError
from napari_edsr.metrics import SSIM_WINDOW, psnr, ssim

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ON_PIXELS = 1e-3  # pixels of a layer


@dataclass(frozen=True)
class Box:
    """Rows and columns of a layer, from start to stop."""

    start: tuple[int, int]
    stop: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """How many there are."""
        return self.stop[0] - self.start[0], self.stop[1] - self.start[1]


@dataclass(frozen=True)
class Pair:
    """A layer's values at the pixels of the truth, and those of the truth, (H, W, S)."""

    values: NDArray
    truth: NDArray
    white: float

    def psnr(self) -> float:
        """In dB."""
        return psnr(self.values, self.truth, data_range=self.white)

    def ssim(self) -> float | None:
        """Up to 1; None where the part is too small, or not all of it is known."""
        if min(self.truth.shape[:2]) < SSIM_WINDOW:
            return None
        value = ssim(self.values, self.truth, data_range=self.white)
        return None if math.isnan(value) else value


def box_in(world: World, truth: Image, window: Window) -> Box | None:
    """Pixels of the truth whose centres lie within a window, None if there are none."""
    corners = points_to_data(world, truth, window.outline())
    size = layer_array(truth).shape[truth.ndim - 2 : truth.ndim]
    first = np.maximum(np.ceil(corners.min(axis=0) - _ON_PIXELS), 0).astype(int)
    stop = np.floor(corners.max(axis=0) - _ON_PIXELS).astype(int) + 1
    stop = np.minimum(stop, size)
    if np.any(stop <= first):
        return None
    return Box((int(first[0]), int(first[1])), (int(stop[0]), int(stop[1])))


def pair_of(world: World, layer: Image, truth: Image, box: Box) -> Pair:
    """Values to be compared, at the pixels of the truth.

    The layer is read through the world: without interpolation where the truth's pixels
    lie on its own, bilinearly elsewhere.

    Raises
    ------
    ImageError
        In a few words, if the two do not hold the same kind of values, or the part
        reaches beyond the layer.
    """
    if _kind(layer) != _kind(truth):
        raise ImageError(f"{_type(layer)}, not {_type(truth)}")
    own = _lattice(world, truth, truth, box)
    other = _lattice(world, truth, layer, box)
    wanted = sample(world, truth, own)
    found = sample(world, layer, other, smooth=not _on_pixels(other))
    if not found.inside.all():
        raise ImageError("beyond its edge")
    colours = 3 if truth.rgb else 1  # no alpha
    values, truths = found.values[..., :colours], wanted.values[..., :colours]
    return Pair(values, truths, white_of(truth))


def white_of(truth: Image) -> float:
    """White less black: of integers the type's, of floats that of the contrast limits."""
    kind = np.dtype(truth.dtype)
    if kind.kind in "iu":
        return float(np.iinfo(kind).max)
    if truth.rgb:
        return 1.0
    low, high = truth.contrast_limits
    return float(high - low)


def range_text(truth: Image) -> str:
    """What the numbers take for white, in words."""
    is_whole = np.dtype(truth.dtype).kind in "iu"
    source = _type(truth) if is_whole or truth.rgb else "its contrast limits"
    return f"Measured with the truth's data range: {white_of(truth):g} ({source})."


def decibels(value: float) -> str:
    """A PSNR in words."""
    if math.isnan(value):
        return "holds NaN"
    return "identical" if math.isinf(value) else f"{value:.2f} dB"


def _kind(layer: Image) -> tuple[bool, object]:
    kind = np.dtype(layer.dtype)
    return layer.rgb, "float" if kind.kind == "f" else kind.newbyteorder("=")


def _type(layer: Image) -> str:
    """In words, without the order of the bytes."""
    return np.dtype(layer.dtype).name


def _lattice(world: World, truth: Image, layer: Image, box: Box) -> Lattice:
    """The truth's pixels in those of a layer."""
    y, x = box.start
    places = data_to_world(world, truth, [(y, x), (y + 1, x), (y, x + 1)])
    return Lattice.of_points(points_to_data(world, layer, places), box.shape)


def _on_pixels(lattice: Lattice) -> bool:
    """Whether all places are centres of pixels."""
    places = (lattice.origin, lattice.down, lattice.across)
    away = [np.abs(place - np.rint(place)).max() for place in places]
    height, width = lattice.shape
    return bool(away[0] + away[1] * height + away[2] * width < _ON_PIXELS)
