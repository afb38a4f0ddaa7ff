"""Which pixels of a candidate lie on which of the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_edsr._qt.layers import record_of, recorded_place
from napari_edsr._qt.pairing import (
    TOLERANCE,
    Misfit,
    check_planes,
    common_part,
    is_unplaced,
    match_grids,
    plane_shape,
    starts_in_world,
)
from napari_edsr.config import SCALES
from napari_edsr.errors import EDSRError, ImageError

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_edsr.images import Region

Box = tuple[slice, slice]


@dataclass(frozen=True)
class Alignment:
    """Where an image begins on the pixels of the truth.

    Attributes
    ----------
    start : (int, int)
        Row and column of the truth on which the image's first pixel lies.
    shape : (int, int)
        Rows and columns of the image.
    shift : (float, float)
        By which its content, taken pixel for pixel from `start`, lies too far down
        and to the right; 0 unless the world puts its pixels between the truth's.
    by_size : bool
        Whether sizes alone decided, as one of the two has no position of its own.
    """

    start: tuple[int, int]
    shape: tuple[int, int]
    shift: tuple[float, float] = (0.0, 0.0)
    by_size: bool = False

    def box(self, region: Region) -> Box:
        """Rows and columns of the image that lie on a region of the truth."""
        parts = (region[axis] for axis in "YX")
        rows, columns = (
            slice(first - start, stop - start)
            for (first, stop), start in zip(parts, self.start, strict=True)
        )
        return rows, columns


def align(truth: Image, candidate: Image, low: Image | None = None) -> Alignment:
    """Find how a candidate lies on the truth in the world.

    Of two images of one size, or nearly so, of which one has no position of its own,
    the first pixels belong together: a result made from a layer lies over that layer,
    while a truth opened from a file knows nothing of it. A result of a part of `low`
    lies on the truth where that part does.

    Parameters
    ----------
    truth, candidate : Image
    low : Image, optional
        Shows the truth in low resolution.

    Raises
    ------
    ImageError
        If their pixels are not equally large, one is turned against the other, or
        they have other planes or colours; the message says what to do.
    """
    check_planes(truth, candidate)
    if _is_low(truth, candidate):
        raise ImageError(
            f"{candidate.name} shows {truth.name} in low resolution; choose it as the "
            "low-resolution layer."
        )
    try:
        return _by_world(truth, candidate)
    except Misfit:
        found = _by_source(truth, candidate, low)
        if found is None and not _is_one_size(truth, candidate):
            raise
    return found or Alignment((0, 0), plane_shape(candidate), by_size=True)


def _by_source(truth: Image, result: Image, low: Image | None) -> Alignment | None:
    """By the part of the low-resolution layer that a result records to be made from."""
    about = record_of(result)
    if low is None or about.get("source") != low.name:
        return None
    try:
        scale, whole = align_enlarged(truth, low)
    except EDSRError:
        return None
    if scale != about.get("scale"):
        return None
    y, x = whole.start + _recorded_corner(about)
    return Alignment((int(y), int(x)), plane_shape(result), by_size=True)


def _recorded_corner(about: Mapping[str, Any]) -> NDArray[np.int_]:
    """Row and column at which a result begins on that of its whole source."""
    scale, region = recorded_place(about)
    return scale * np.array([region.get(axis, (0, 0))[0] for axis in "YX"], int)


def _by_world(truth: Image, candidate: Image) -> Alignment:
    starts = starts_in_world(truth, candidate, 1)
    if is_unplaced(truth):
        starts = starts + _offset_of_result(candidate, starts)
    start = np.round(starts.mean(axis=0)).astype(int)
    common_part(truth, candidate, 1, start)
    off = start - starts.mean(axis=0)
    moves = np.where(np.abs(starts - start).max(axis=0) > TOLERANCE, off, 0.0)
    shift = float(moves[0]), float(moves[1])
    return Alignment((int(start[0]), int(start[1])), plane_shape(candidate), shift)


def _offset_of_result(candidate: Image, starts: NDArray) -> float:
    """By how far a result of a layer that nobody has placed begins too early.

    Its pixels lie over those of its source, whose first centre napari puts at 0, as it
    does that of the truth: the two lie apart by half a pixel of the one less half a
    pixel of the other, though they are of one field (see `match_layers`).
    """
    about = record_of(candidate)
    if about.get("scale") not in SCALES:
        return 0.0
    offset = (int(about["scale"]) - 1) / 2
    off = np.abs(starts + offset - _recorded_corner(about)).max()
    return offset if off <= TOLERANCE else 0.0


def _is_one_size(truth: Image, candidate: Image) -> bool:
    """Whether sizes can decide: truths are cropped before they are made small."""
    pairs = zip(plane_shape(truth), plane_shape(candidate), strict=True)
    fits = all(0 <= large - small < max(SCALES) for large, small in pairs)
    return fits and (is_unplaced(truth) or is_unplaced(candidate))


def align_enlarged(truth: Image, low: Image) -> tuple[int, Alignment]:
    """Find how a low-resolution layer would lie on the truth, were it enlarged.

    Returns
    -------
    int, Alignment
        The factor, 2, 3 or 4, and where the enlarged one begins.

    Raises
    ------
    ImageError
        If the two are not of one field with a ratio of 2, 3 or 4.
    """
    check_planes(truth, low)
    misfits: list[Misfit] = []
    for scale in SCALES:
        try:
            match = match_grids(truth, low, scale)
        except Misfit as misfit:
            misfits.append(misfit)
            continue
        start = [match.hr[axis][0] - scale * match.lr[axis][0] for axis in "YX"]
        height, width = plane_shape(low)
        return scale, Alignment((start[0], start[1]), (height * scale, width * scale))
    raise max(misfits, key=lambda misfit: misfit.rank)


def common_region(truth: Sequence[int], alignments: Iterable[Alignment]) -> Region:
    """Rows and columns of the truth on which all images have pixels.

    Parameters
    ----------
    truth : (int, int)
        Rows and columns of the truth.
    alignments : iterable of Alignment

    Raises
    ------
    ImageError
        If there are none.
    """
    first, stop = np.zeros(2, int), np.asarray(truth)
    for alignment in alignments:
        start = np.asarray(alignment.start)
        first = np.maximum(first, start)
        stop = np.minimum(stop, start + alignment.shape)
    if (stop <= first).any():
        raise ImageError("No part of the truth is covered by all; untick some layers.")
    (y0, x0), (y1, x1) = first.tolist(), stop.tolist()
    return {"Y": (y0, y1), "X": (x0, x1)}


def find_low(truth: Image, layers: Sequence[Image]) -> Image | None:
    """The first layer that shows the truth in low resolution."""
    return next((layer for layer in layers if _is_low(truth, layer)), None)


def _is_low(truth: Image, layer: Image) -> bool:
    try:
        align_enlarged(truth, layer)
    except EDSRError:
        return False
    return True
