"""Which layer shows in low resolution what another shows in high, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.transforms import Affine

from napari_edsr._qt.layers import has_unit, layer_array, layer_spec, unit_factor
from napari_edsr.config import SCALES
from napari_edsr.errors import ImageError
from napari_edsr.images import ImageSpec, Region

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

#: High-resolution pixels by which the two may be off anywhere in the image.
TOLERANCE = 0.1
_NEARLY = 0.05  # of a whole factor, for which another scale is suggested
_KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}
# What a misfit is worth: how much of the way to a pair the layer has come.
_UNITS, _TURN, _SIZE, _PLACE, _CONTENT = range(5)


@dataclass(frozen=True)
class Match:
    """The part that two layers share.

    Attributes
    ----------
    hr : Region
        Rows and columns in pixels of the high-resolution layer: `scale` times as many
        as in `lr`, and of the same place.
    lr : Region
        Rows and columns in pixels of the low-resolution layer.
    """

    hr: Region
    lr: Region

    @property
    def area(self) -> int:
        """Low-resolution pixels of a plane."""
        (y0, y1), (x0, x1) = self.lr["Y"], self.lr["X"]
        return (y1 - y0) * (x1 - x0)


class Misfit(ImageError):
    """Why a layer is no partner; `rank` is higher the nearer it comes to one."""

    def __init__(self, message: str, rank: int) -> None:
        super().__init__(message)
        self.rank = rank

    @property
    def is_in_place(self) -> bool:
        """Whether the layer lies right, and only what it holds is of another kind."""
        return self.rank == _CONTENT


def find_partner(
    hr: Image, candidates: Sequence[Image], scale: int
) -> tuple[Image, Match]:
    """Find the low-resolution layer that shares most with a high-resolution one.

    Parameters
    ----------
    hr : Image
    candidates : sequence of Image
        `hr` itself may be among them; of equals the first is taken.
    scale : int
        How many times smaller the partner's rows and columns are.

    Returns
    -------
    Image, Match

    Raises
    ------
    ImageError
        If none fits, with the reason of the one that comes nearest.
    """
    others = [layer for layer in candidates if layer is not hr]
    if not others:
        raise ImageError(f"Open the low-resolution layer of {hr.name}.")
    matches: list[tuple[Image, Match]] = []
    misfits: list[Misfit] = []
    for layer in others:
        try:
            matches.append((layer, match_layers(hr, layer, scale)))
        except Misfit as misfit:
            misfits.append(misfit)
    if not matches:
        raise _nearest(hr, misfits, scale)
    return max(matches, key=lambda pair: pair[1].area)


def _nearest(hr: Image, misfits: Sequence[Misfit], scale: int) -> Misfit:
    best = max(misfits, key=lambda misfit: misfit.rank)
    if len(misfits) == 1:
        return best
    return Misfit(
        f"None of the {len(misfits)} layers fits {hr.name} at x{scale}: {best}",
        best.rank,
    )


def match_layers(hr: Image, lr: Image, scale: int) -> Match:
    """Find the part that two layers share, by where their pixels lie in the world.

    Layers that nobody has placed, those without any translation, rotation, shear or
    affine, are taken for the same field if their shapes are in the ratio of `scale`:
    with the centre of each first pixel at 0, they would be half a pixel off. Planes
    belong together by their number, whatever the world says.

    Parameters
    ----------
    hr, lr : Image
        In high and in low resolution. They may differ in position, in unit and in axes
        of length 1.
    scale : int
        How many times as many rows and columns `hr` has.

    Returns
    -------
    Match
        The low-resolution pixels whose `scale` x `scale` block lies within `hr`.

    Raises
    ------
    ImageError
        If the two are turned against one another, differ in size, position, type or
        planes, or share nothing; the message says what to do.
    """
    match = match_grids(hr, lr, scale)
    _check_type(hr, lr)
    check_planes(hr, lr)
    return match


def match_grids(hr: Image, lr: Image, scale: int) -> Match:
    """As `match_layers`, whatever the two hold."""
    if _are_of_one_field(hr, lr, scale):
        starts = np.zeros((1, 2))
    else:
        starts = starts_in_world(hr, lr, scale)
    start = np.round(starts.mean(axis=0)).astype(int)
    match = common_part(hr, lr, scale, start)
    off = float(np.abs(starts - start).max())
    if off > TOLERANCE:
        raise Misfit(
            f"{lr.name} is shifted by {off:.2g} px against {hr.name}; register them first.",
            _PLACE,
        )
    return match


def _are_of_one_field(hr: Image, lr: Image, scale: int) -> bool:
    """Whether sizes alone say so; nobody has said where either layer lies."""
    if not (is_unplaced(hr) and is_unplaced(lr)):
        return False
    large, small = plane_shape(hr), plane_shape(lr)
    fits = small == (large[0] // scale, large[1] // scale)
    if not (_is_uncalibrated(hr) and _is_uncalibrated(lr)):
        sizes = np.asarray(lr.scale)[-2:] * _factors(hr, lr)
        return fits and not _drift(sizes / hr.scale[-2:], scale, small).any()
    if not fits:
        raise Misfit(_says_sizes(hr, lr, scale), _SIZE)
    return True


def _drift(ratio: NDArray, scale: int, shape: Sequence[int]) -> NDArray:
    """Pixels by which rows and columns drift apart; 0 while it can be tolerated."""
    apart = np.abs(ratio - scale) * (np.asarray(shape) - 1)
    return np.where(apart > 2 * TOLERANCE, apart, 0)


def _says_sizes(hr: Image, lr: Image, scale: int) -> str:
    (height, width), (rows, columns) = plane_shape(hr), plane_shape(lr)
    return (
        f"{lr.name} is {columns} x {rows} pixels, where {hr.name} at x{scale} needs "
        f"{width // scale} x {height // scale}; choose another layer, or give both "
        "layers their pixel size and position."
    )


def starts_in_world(hr: Image, lr: Image, scale: int) -> NDArray:
    """Where `lr` begins in pixels of `hr`, (y, x), by its first and by its last pixel.

    Raises
    ------
    Misfit
        If a pixel is not `scale` times as large, the two are turned against one
        another, or their units cannot be compared.
    """
    ndim = max(hr.ndim, lr.ndim)
    to_world = np.diag([*_factors(hr, lr, ndim), 1]) @ _matrix(lr, ndim)
    to_hr = np.linalg.inv(_matrix(hr, ndim)) @ to_world
    last = np.zeros(ndim)
    last[-lr.ndim :] = np.array(layer_array(lr).shape[: lr.ndim]) - 1
    _check_directions(hr, lr, to_hr[:-1, :-1], last)
    ratio = np.diag(to_hr)[-3:-1]
    drift = _drift(ratio, scale, plane_shape(lr))
    if drift.any():
        raise Misfit(_says_ratio(hr, lr, float(ratio[drift.argmax()]), scale), _SIZE)
    first = to_hr[-3:-1, -1] - (scale - 1) / 2
    return np.array([first, first + (ratio - scale) * last[-2:]])


def _check_directions(hr: Image, lr: Image, linear: NDArray, last: NDArray) -> None:
    """Rows must run along rows, columns along columns, planes along neither."""
    aside = linear.copy()
    aside[:-2, :-2] = 0
    aside[-2, -2] = aside[-1, -1] = 0
    turned = np.abs(aside) @ last > TOLERANCE
    if turned.any() or (np.diag(linear)[-2:] <= 0).any():
        raise Misfit(
            f"{lr.name} is turned, mirrored or sheared against {hr.name}; register them "
            "first.",
            _TURN,
        )


def _says_ratio(hr: Image, lr: Image, ratio: float, scale: int) -> str:
    better = round(ratio)
    if scale > 1 and better in SCALES and better != scale and _is_nearly(ratio, better):
        remedy = f"choose scale x{better} or another layer"
    else:
        remedy = "choose another layer, or correct the pixel sizes"
    wanted = f"not {scale} times" if scale > 1 else "not equally large"
    return (
        f"A pixel of {lr.name} is {ratio:.4g} times as large as one of {hr.name}, "
        f"{wanted}; {remedy}."
    )


def _is_nearly(ratio: float, whole: int) -> bool:
    return abs(ratio - whole) < _NEARLY


def common_part(hr: Image, lr: Image, scale: int, start: NDArray) -> Match:
    """The part two layers share where `lr` begins at pixel `start` of `hr`.

    Raises
    ------
    Misfit
        If they share nothing.
    """
    large, small = np.array(plane_shape(hr)), np.array(plane_shape(lr))
    first = np.maximum(0, -(start // scale))
    stop = np.minimum(small, (large - start) // scale)
    if (stop <= first).any():
        raise Misfit(
            f"{lr.name} shows no part of {hr.name}; choose another layer, or correct "
            "the positions of the two.",
            _PLACE,
        )
    return Match(
        hr=_region(first * scale + start, stop * scale + start), lr=_region(first, stop)
    )


def _region(first: NDArray, stop: NDArray) -> Region:
    (y0, x0), (y1, x1) = first.tolist(), stop.tolist()
    return {"Y": (y0, y1), "X": (x0, x1)}


def _check_type(hr: Image, lr: Image) -> None:
    types = [layer_spec(layer).dtype.newbyteorder("=").name for layer in (lr, hr)]
    _check_alike(hr, lr, types, "convert one of them")


def check_planes(hr: Image, lr: Image) -> None:
    """Raise `Misfit` unless two layers have the same colours and planes."""
    specs = [layer_spec(layer) for layer in (lr, hr)]
    kinds = [_KINDS[spec.samples] for spec in specs]
    _check_alike(hr, lr, kinds, "split the colours, or choose another layer")
    counts = [_says_planes(spec) for spec in specs]
    _check_alike(hr, lr, counts, "choose a layer with the same planes")


def _check_alike(hr: Image, lr: Image, words: Sequence[str], remedy: str) -> None:
    found, wanted = words
    if found != wanted:
        raise Misfit(
            f"{lr.name} is {found}, but {hr.name} {wanted}; {remedy}.", _CONTENT
        )


def _says_planes(spec: ImageSpec) -> str:
    """Leading axes in words, those of length 1 left out: ``"2 channels x 5 planes"``."""
    words = [
        f"{size} {'channels' if axis == 'C' else 'planes'}"
        for axis, size in zip(spec.leading, spec.leading_shape, strict=True)
        if size > 1
    ]
    return " x ".join(words) or "a single plane"


def plane_shape(layer: Image) -> tuple[int, int]:
    """Rows and columns of a layer's planes."""
    height, width = layer_array(layer).shape[layer.ndim - 2 : layer.ndim]
    return int(height), int(width)


def _matrix(layer: Image, ndim: int) -> NDArray:
    """From pixels to the world, homogeneous, with axes added in front up to `ndim`."""
    own = Affine(
        scale=layer.scale,
        rotate=layer.rotate,
        shear=layer.shear,
        translate=layer.translate,
        ndim=layer.ndim,
    )
    matrix = np.eye(ndim + 1)
    place = slice(ndim - layer.ndim, None)
    matrix[place, place] = layer.affine.affine_matrix @ own.affine_matrix
    return matrix


def is_unplaced(layer: Image) -> bool:
    """Whether a layer lies where napari puts it, at most with its pixel size set."""
    matrix = _matrix(layer, layer.ndim)
    sizes = np.diag(matrix)
    return bool(np.array_equal(matrix, np.diag(sizes)) and (sizes > 0).all())


def _is_uncalibrated(layer: Image) -> bool:
    """Whether nobody has said how large the pixels are."""
    plain = not any(has_unit(unit) for unit in layer.units[-2:])
    return plain and bool((np.asarray(layer.scale)[-2:] == 1).all())


def _factors(hr: Image, lr: Image, ndim: int = 2) -> NDArray:
    """One unit of `lr` in those of `hr`, for each of the last `ndim` axes."""
    factors = np.ones(ndim)
    units = zip(hr.units[::-1], lr.units[::-1], strict=False)
    for i, (wanted, found) in enumerate(list(units)[:ndim]):
        factor = unit_factor(found, wanted)
        if factor is not None:
            factors[-1 - i] = factor
        elif i < 2 and (has_unit(found) or has_unit(wanted)):
            raise Misfit(
                f"{lr.name} is measured in {found}, {hr.name} in {wanted}; give both "
                "the same unit.",
                _UNITS,
            )
    return factors
