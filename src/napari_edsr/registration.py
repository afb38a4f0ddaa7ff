"""By how much one image is shifted against another, and how to undo it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.intensities import fill_nonfinite

_STEPS = 100  # of a pixel to which a shift is found
_CONTEXT = 12  # pixels beyond which an interpolated one feels nothing of its neighbours


def find_shift(image: NDArray[Any], truth: NDArray[Any]) -> tuple[float, float]:
    """Find the shift between two images of one scene by cross-correlation.

    The images are tapered towards their edges, as what enters and leaves there is not
    shifted, and the peak is found to a hundredth of a pixel (Guizar-Sicairos et al.,
    *Efficient subpixel image registration algorithms*, Optics Letters 33, 2008).

    Parameters
    ----------
    image, truth : ndarray, (H, W) or (H, W, S)
        Of one shape; values that are not finite count as the mean.

    Returns
    -------
    (float, float)
        Rows and columns by which `image` lies further down and to the right; 0 where
        an image is constant.
    """
    from skimage.registration import phase_cross_correlation

    tapered = [_tapered(each) for each in (truth, image)]
    if not all(each.any() for each in tapered):
        return 0.0, 0.0
    moves, _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
        *tapered, upsample_factor=_STEPS, normalization=None
    )
    return -float(moves[0]), -float(moves[1])


def _tapered(image: NDArray[Any]) -> NDArray[np.float64]:
    from skimage.filters import window

    grey = np.asarray(image, dtype=np.float64)
    grey = grey.mean(axis=-1) if grey.ndim == 3 else grey
    finite = np.isfinite(grey)
    mean = float(grey[finite].mean()) if finite.any() else 0.0
    level = np.where(finite, grey - mean, 0.0)
    return level * window("hann", level.shape)  # type: ignore[no-untyped-call]


def unshifted(
    data: NDArray[Any], box: tuple[slice, slice], shift: tuple[float, float]
) -> NDArray[np.float64]:
    """Part of an image as it would be without a shift, by cubic splines.

    Parameters
    ----------
    data : ndarray, (H, W, S)
    box : (slice, slice)
        Rows and columns wanted, with bounds, within the image.
    shift : (float, float)
        Rows and columns by which the content lies too far down and to the right.

    Returns
    -------
    ndarray of float64
        Of the box; beyond its edges the image counts as mirrored. A shift by whole
        pixels within the image leaves its values as they are; else NaN stands where a
        pixel beside it is not finite.
    """
    whole = _moved_whole(data.shape, box, shift)
    if whole is not None:
        return data[whole].astype(np.float64)
    reach = int(np.ceil(np.abs(shift).max())) + _CONTEXT
    wider = [
        slice(max(0, part.start - reach), min(size, part.stop + reach))
        for part, size in zip(box, data.shape[:2], strict=True)
    ]
    parts = np.moveaxis(data[tuple(wider)], -1, 0)
    moved = np.stack([_moved(part, (-shift[0], -shift[1])) for part in parts], axis=-1)
    inner = (
        slice(part.start - around.start, part.stop - around.start)
        for part, around in zip(box, wider, strict=True)
    )
    return moved[tuple(inner)]


def _moved_whole(
    shape: Sequence[int], box: tuple[slice, slice], shift: tuple[float, float]
) -> tuple[slice, slice] | None:
    """Where the box is found in an image shifted by whole pixels, if all of it is."""
    rows, columns = (
        slice(part.start + int(move), part.stop + int(move))
        for part, move in zip(box, shift, strict=True)
    )
    is_inside = all(
        move == int(move) and part.start >= 0 and part.stop <= size
        for part, move, size in zip((rows, columns), shift, shape, strict=False)
    )
    return (rows, columns) if is_inside else None


def _moved(sample: NDArray[Any], by: tuple[float, float]) -> NDArray[np.float64]:
    """By cubic splines, in which a single NaN would spread over the whole image."""
    from scipy import ndimage

    filled, bad = fill_nonfinite(sample)
    moved = ndimage.shift(filled.astype(np.float64), by, order=3, mode="mirror")
    if bad is not None:
        touched = ndimage.shift(bad.astype(np.float64), by, order=1, mode="mirror")
        moved[touched > 0] = np.nan
    return moved
