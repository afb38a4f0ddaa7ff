"""Parts of an image that stand for all of it: spread by chance, but always the same."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np

from napari_edsr.images import ImageSpec
from napari_edsr.tiling import Box

#: Index of a plane along the leading axes, and rows and columns in it.
Part = tuple[tuple[int, ...], Box]
#: Pixels a side of a part.
BLOCK = 512


def sample_places(
    spec: ImageSpec, count: int, channel: int | None = None
) -> list[Part]:
    """Choose parts of an image, no two the same.

    Parameters
    ----------
    spec : ImageSpec
    count : int
        How many parts of `BLOCK` pixels a side; fewer where there are not as many.
    channel : int, optional
        Of axis C; parts of all channels by default.

    Returns
    -------
    list of ((int, ...), (slice, slice))
        In the order in which they lie in the image.
    """
    fixed = {} if channel is None or "C" not in spec.axes else {"C": channel}
    leading = [1 if axis in fixed else spec.size(axis) for axis in spec.leading]
    counts = leading + [math.ceil(length / BLOCK) for length in spec.plane]
    total = math.prod(counts)
    chosen = random.Random(0).sample(range(total), min(total, count))
    parts = []
    for number in sorted(chosen):
        *lead, row, column = (int(i) for i in np.unravel_index(number, counts))
        index = [fixed.get(a, i) for a, i in zip(spec.leading, lead, strict=True)]
        parts.append((tuple(index), (_block(row), _block(column))))
    return parts


def bands(spec: ImageSpec, channel: int) -> Iterator[Part]:
    """All of a channel of an image, in parts as wide as it is and `BLOCK` rows high."""
    for place in np.ndindex(*spec.leading_shape):
        if "C" in spec.axes and place[spec.leading.index("C")] != channel:
            continue
        for row in range(math.ceil(spec.plane[0] / BLOCK)):
            yield place, (_block(row), slice(0, spec.plane[1]))


def _block(number: int) -> slice:
    return slice(number * BLOCK, (number + 1) * BLOCK)
