"""Planes of an image that may lie on disk, read where and when tiles ask for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr import images, intensities
from napari_edsr.images import ImageSpec
from napari_edsr.tiling import Box, area, grown, holds, relative

#: Bytes of a plane on disk that are read at a time, and kept until others are needed.
_BLOCK_BYTES = 2**26


class PlaneSource:
    """One plane of an image, read part by part.

    What was read last is kept: bands of rows follow one another, and the samples of a
    pixel are asked for one by one.

    Parameters
    ----------
    image : array
        May lie on disk.
    spec : ImageSpec
    lead : tuple of int
        Index of the plane along the leading axes.
    window : (slice, slice)
        Rows and columns outside which nothing is read ahead.
    reach : int
        Pixels on each side that a pixel of the result depends on.
    by_rows : bool
        Whether it is read from top to bottom.
    """

    def __init__(
        self,
        image: Any,
        spec: ImageSpec,
        lead: tuple[int, ...],
        window: Box,
        *,
        reach: int,
        by_rows: bool,
    ) -> None:
        self._image, self._spec, self._lead = image, spec, lead
        self.window, self._by_rows = window, by_rows
        # From further away no value replaces one that is not finite and matters.
        self._reach = math.ceil(reach * math.sqrt(2))
        rows, columns = spec.plane
        self._whole: Box = slice(0, rows), slice(0, columns)
        self._kept: tuple[Box, NDArray] | None = None
        if isinstance(image, np.ndarray):
            self._kept = self._whole, self._load(self._whole)

    def read(self, box: Box) -> NDArray:
        """Rows and columns as they lie in the image, (H, W, S)."""
        if self._kept is None or not holds(self._kept[0], box):
            block = self._block(box)
            self._kept = None  # before its successor takes memory
            self._kept = block, self._load(block)
        around, values = self._kept
        return values[relative(box, around)]

    def filled(self, box: Box) -> tuple[NDArray, bool]:
        """As `read`, but finite, and whether all of it was.

        NaN and infinities become the nearest finite value.
        """
        values = self.read(box)
        if values.dtype.kind != "f" or np.isfinite(values).all():
            return values, True
        around = grown(box, self._reach, self._whole)
        samples = np.moveaxis(self.read(around), -1, 0)
        complete = [intensities.fill_nonfinite(sample)[0] for sample in samples]
        return np.stack(complete, -1)[relative(box, around)], False

    def nonfinite(self, box: Box) -> NDArray[np.bool_]:
        """Where values are NaN or infinite, (H, W, S)."""
        if self._kept is not None and holds(self._kept[0], box):
            return ~np.isfinite(self.read(box))
        return ~np.isfinite(self._load(box))  # without giving up what is kept

    def is_flat(self, box: Box, sample: int) -> bool:
        """Whether a sample is the same everywhere in a box."""
        rows, columns = box
        height = self._rows_at_once(columns)
        level = None
        for top in range(rows.start, rows.stop, height):
            part = slice(top, min(top + height, rows.stop)), columns
            values = self.read(part)[..., sample]
            level = values.flat[0] if level is None else level
            if not np.all(values == level):
                return False
        return True

    def _load(self, box: Box) -> NDArray:
        return images.read_plane(self._image, self._spec.axes, self._lead, box)

    def _block(self, box: Box) -> Box:
        """What to read for a box: all of a small window, or rows ahead, or the box."""
        if holds(self.window, box) and self._bytes(self.window) <= _BLOCK_BYTES:
            return self.window
        if not self._by_rows:
            return box
        rows, columns = grown(box, 2 * self._reach, self._whole)
        end = min(rows.start + self._rows_at_once(columns), self.window[0].stop)
        return slice(rows.start, max(end, rows.stop)), columns

    def _rows_at_once(self, columns: slice) -> int:
        return max(1, _BLOCK_BYTES // self._bytes((slice(0, 1), columns)))

    def _bytes(self, box: Box) -> int:
        return area(box) * self._spec.samples * self._spec.dtype.itemsize
