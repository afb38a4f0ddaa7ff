"""From images to pairs of high and low resolution."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_edsr import images, intensities
from napari_edsr.degradation import corrupt, shrink
from napari_edsr.errors import ImageError, TrainingError
from napari_edsr.events import ImageDone
from napari_edsr.files import ImageFile
from napari_edsr.intensities import Range
from napari_edsr.train_config import Degradation

#: Rows and columns in high-resolution pixels: y0, y1, x0, x1.
Window = tuple[int, int, int, int]

NO_IMAGE = "There is no image to train on; add one with some contrast."
#: Low-resolution pixels between what is trained on and what is kept aside, so that the
#: kernels of shrinking do not reach from one into the other.
_MARGIN = 4
_BLUR_REACHES = 4  # standard deviations
#: Luma of RGB (ITU-R BT.601), for a network of one colour.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Source:
    """An image to learn from, which may still be on disk.

    Attributes
    ----------
    name : str
    read : callable
        Gives the image, its axes and, if known, the size of its pixels.
    read_lr : callable or None
        Gives its low-resolution counterpart, of the same axes; None to make it.
    normalize : str or (float, float)
        As for `napari_edsr.intensities.intensity_ranges`, of the high-resolution image.
    held_out : Window or float
        What is kept aside for measuring: a rectangle, or a share of its rows or columns.
    """

    name: str
    read: Callable[[], ImageFile]
    read_lr: Callable[[], ImageFile] | None = None
    normalize: str | Range = "auto"
    held_out: Window | float = 0.0


@dataclass(frozen=True)
class Pair:
    """A plane in high resolution and, for each scale, in low resolution.

    Attributes
    ----------
    name : str
    hr : ndarray, (C, H, W)
        In the source's dtype.
    lr : dict of int to ndarray
        By scale, (C, H // scale, W // scale).
    limits : (float, float)
        Intensities that the network sees as 0 and 1.
    kept : Window or None
        What is not trained on, in pixels of `hr`.
    blur : (float, float)
        Standard deviation along Y and X, in pixels of `hr`, with which `lr` was made.
    place : tuple of int
        Index of the plane along the image's leading axes.
    corner : (int, int)
        Row and column of the plane at which `hr` begins.
    is_real : bool
        Whether `lr` was given, and has its own noise.
    """

    name: str
    hr: NDArray
    lr: dict[int, NDArray]
    limits: Range
    kept: Window | None = None
    blur: tuple[float, float] = (0.0, 0.0)
    place: tuple[int, ...] = ()
    corner: tuple[int, int] = (0, 0)
    is_real: bool = False

    @property
    def is_flat(self) -> bool:
        """Whether each colour has one intensity; the limits may be those of the type."""
        return bool((self.hr == self.hr[:, :1, :1]).all())

    def aside(self, scale: int) -> Pair | None:
        """What is kept aside, as a pair of its own."""
        if self.kept is None:
            return None
        y0, y1, x0, x1 = _inner(self.kept, scale)
        if y0 >= y1 or x0 >= x1:
            return None
        hr = self.hr[:, y0 * scale : y1 * scale, x0 * scale : x1 * scale].copy()
        lr = {scale: self.lr[scale][:, y0:y1, x0:x1].copy()}
        corner = y0 * scale, x0 * scale
        return replace(self, hr=hr, lr=lr, kept=None, corner=corner)

    def areas(self, scale: int) -> list[Window]:
        """Rectangles to train on, in pixels of ``lr[scale]``; they may overlap."""
        _, height, width = self.lr[scale].shape
        if self.kept is None:
            return [(0, height, 0, width)]
        y0, y1, x0, x1 = (edge / scale for edge in self.kept)
        down, across = (
            _MARGIN + math.ceil(_BLUR_REACHES * sigma / scale) for sigma in self.blur
        )
        above, below = int(y0) - down, int(np.ceil(y1)) + down
        left, right = int(x0) - across, int(np.ceil(x1)) + across
        around = [
            (0, above, 0, width),
            (below, height, 0, width),
            (0, height, 0, left),
            (0, height, right, width),
        ]
        return [area for area in around if area[1] > area[0] and area[3] > area[2]]


def _inner(window: Window, scale: int) -> Window:
    """Whole low-resolution pixels inside a high-resolution rectangle."""
    y0, y1, x0, x1 = window
    return -(-y0 // scale), y1 // scale, -(-x0 // scale), x1 // scale


def iter_pairs(
    sources: Sequence[Source],
    *,
    scales: Sequence[int],
    n_colors: int,
    degradation: Degradation,
) -> Generator[ImageDone, None, list[Pair]]:
    """Read images and make their low-resolution sides, without noise.

    Yields
    ------
    ImageDone
        After each image.

    Raises
    ------
    TrainingError
        If an image does not suit the network or the degradation, or a given
        low-resolution side its high-resolution one.
    """
    pairs: list[Pair] = []
    for done, source in enumerate(sources, start=1):
        with _named(source.name):
            pairs.extend(_pairs(source, scales, n_colors, degradation))
        yield ImageDone(done, len(sources))
    return pairs


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which image a problem is with, which may be one of hundreds."""
    try:
        yield
    except (TrainingError, ImageError) as error:
        if re.search(rf"\b{re.escape(name)}\b", str(error)):
            raise
        raise type(error)(f"{name}: {error}") from error


def _pairs(
    source: Source, scales: Sequence[int], n_colors: int, degradation: Degradation
) -> Iterator[Pair]:
    image = source.read()
    given = source.read_lr() if source.read_lr else None
    lows = _planes(given, (0.0, 1.0), n_colors) if given else None
    made = degradation if given is None else Degradation()
    sigma_y, sigma_x = (
        made.blur_in_pixels(size, image.unit) for size in image.plane_pixel_size
    )
    if given is not None:
        _check_alike(source.name, image, given)
    for number, (place, hr, limits) in enumerate(
        _planes(image, source.normalize, n_colors)
    ):
        if limits[0] == limits[1]:
            continue  # a flat plane teaches nothing
        if lows is None:
            _check_jpeg(source.name, hr, degradation)
            lr = {s: _made(hr, s, degradation, (sigma_y, sigma_x)) for s in scales}
        else:
            lr = {s: _matched(source.name, hr, lows[number][1], s) for s in scales}
        yield Pair(
            source.name,
            hr,
            lr,
            limits,
            kept=_kept(source.held_out, hr),
            blur=(sigma_y, sigma_x),
            place=place,
            is_real=given is not None,
        )


def _check_jpeg(name: str, hr: NDArray, degradation: Degradation) -> None:
    if degradation.jpeg and (hr.dtype != np.uint8 or len(hr) not in (1, 3)):
        raise TrainingError(
            f"JPEG can only be simulated on 8-bit grey or RGB images, and {name} is "
            f"{hr.dtype} of {len(hr)} colours; leave out jpeg, or convert the image."
        )


def _check_alike(name: str, hr: ImageFile, lr: ImageFile) -> None:
    """Refuse sides that cannot be of one image: other types, colours or planes."""
    small = images.understand(lr.data, lr.axes)
    large = images.understand(hr.data, hr.axes)
    for what, found, wanted in (
        ("type", _native(small.dtype), _native(large.dtype)),
        ("planes", small.stack_shape, large.stack_shape),
        ("samples", small.samples, large.samples),
    ):
        if found != wanted:
            raise TrainingError(
                f"The low-resolution side of {name} has {what} {found}, the "
                f"high-resolution one {wanted}; they must be the same."
            )


def _native(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("=")


def _planes(
    image: ImageFile, normalize: str | Range, n_colors: int
) -> list[tuple[tuple[int, ...], NDArray, Range]]:
    """Index, (C, H, W) and range of each plane; a network of one colour sees luma.

    The range is empty where no value of the plane is known.
    """
    spec = images.understand(image.data, image.axes)
    ranges = intensities.intensity_ranges(
        image.data, image.axes, normalize, image.contrast_limits
    )
    view = images.plane_view(image.data, spec.axes)[..., : len(spec.colors)]
    planes = []
    for lead in np.ndindex(*view.shape[:-3]):
        channel = lead[spec.leading.index("C")] if "C" in spec.axes else 0
        plane = _colours(np.moveaxis(view[lead], -1, 0), n_colors)
        is_known = bool(np.isfinite(view[lead]).any())
        planes.append((lead, plane, ranges[channel] if is_known else (0.0, 0.0)))
    return planes


def _colours(plane: NDArray, n_colors: int) -> NDArray:
    colours = len(plane)
    filled = np.stack([intensities.fill_nonfinite(part)[0] for part in plane])
    native = filled.astype(filled.dtype.newbyteorder("="), copy=False)
    if colours in (1, n_colors):
        return native
    if (colours, n_colors) == (3, 1):
        grey = np.tensordot(_LUMA, native, 1)[np.newaxis]
        whole = native.dtype.kind in "iu"
        return (np.rint(grey) if whole else grey).astype(native.dtype)
    raise TrainingError(
        f"An image of {colours} colours does not suit a network of {n_colors}; "
        "choose another model or name the axes."
    )


def _made(
    hr: NDArray, scale: int, degradation: Degradation, blur: tuple[float, float]
) -> NDArray:
    height, width = (side // scale * scale for side in hr.shape[1:])
    if not (height and width):
        raise TrainingError(
            f"An image of {hr.shape[2]} x {hr.shape[1]} is too small to be shrunk."
        )
    cropped = np.moveaxis(hr[:, :height, :width], 0, -1)
    return np.moveaxis(shrink(cropped, scale, degradation, blur=blur), -1, 0)


def _matched(name: str, hr: NDArray, lr: NDArray, scale: int) -> NDArray:
    fits = all(
        high // scale == low
        for high, low in zip(hr.shape[1:], lr.shape[1:], strict=True)
    )
    if not fits or len(hr) != len(lr):
        raise TrainingError(
            f"The low-resolution side of {name} is {lr.shape[2]} x {lr.shape[1]}; for "
            f"x{scale} it must be {hr.shape[2] // scale} x {hr.shape[1] // scale}."
        )
    return lr


def _kept(held_out: Window | float, hr: NDArray) -> Window | None:
    """The rectangle kept aside; of a share, the end of the longer side."""
    _, height, width = hr.shape
    if isinstance(held_out, tuple):
        y0, y1 = (min(max(edge, 0), height) for edge in held_out[:2])
        x0, x1 = (min(max(edge, 0), width) for edge in held_out[2:])
        if y0 >= y1 or x0 >= x1:
            raise TrainingError(
                f"The window {list(held_out)} holds no pixel of the image of {height} "
                f"rows and {width} columns; move it into the image."
            )
        return y0, y1, x0, x1
    if not held_out:
        return None
    if height >= width:
        return height - max(1, round(height * held_out)), height, 0, width
    return 0, height, width - max(1, round(width * held_out)), width


def noisy(pairs: Sequence[Pair], degradation: Degradation, seed: int) -> list[Pair]:
    """Pairs whose low-resolution sides have the noise they would be trained with.

    It is the same noise each time, so that what is measured on them can be compared.
    Real pairs have theirs already.
    """
    if not degradation.is_random:
        return list(pairs)
    return [
        pair
        if pair.is_real
        else replace(
            pair,
            lr={
                scale: _degraded(lr, pair.limits, degradation, [seed, number, scale])
                for scale, lr in pair.lr.items()
            },
        )
        for number, pair in enumerate(pairs)
    ]


def _degraded(
    lr: NDArray, limits: Range, degradation: Degradation, seed: Any
) -> NDArray:
    generator = torch.Generator()
    generator.manual_seed(int(np.random.default_rng(seed).integers(2**62)))
    unit = torch.from_numpy(intensities.to_unit(lr, limits))[None]
    noised = corrupt(unit, degradation, generator)[0].numpy()
    return intensities.from_unit(noised, limits, lr.dtype)
