"""Parts of an image that stand for all of it: spread by chance, but always the same."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

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


def sample_chunks(
    image: Any, spec: ImageSpec, most: int, channel: int
) -> Iterator[tuple[slice, ...]]:
    """Choose parts of a channel as it is stored, so that none is read twice.

    Parameters
    ----------
    image : array
        Whose ``chunks``, if it has any, are those of dask or zarr.
    spec : ImageSpec
    most : int
        Values of the parts together, about.
    channel : int
        Of axis C, if there is one.

    Yields
    ------
    tuple of slice
        Along each axis of the image.
    """
    sizes = [_chunk(image, spec, i) for i in range(len(spec.shape))]
    counts = [math.ceil(n / size) for n, size in zip(spec.shape, sizes, strict=True)]
    if "C" in spec.axes:
        counts[spec.axes.index("C")] = 1
    total = math.prod(counts)
    wanted = min(total, math.ceil(most / math.prod(sizes)))
    for number in sorted(random.Random(0).sample(range(total), wanted)):
        index = np.unravel_index(number, counts)
        yield tuple(
            slice(channel, channel + 1)
            if axis == "C"
            else slice(int(i) * size, (int(i) + 1) * size)
            for axis, i, size in zip(spec.axes, index, sizes, strict=True)
        )


def _chunk(image: Any, spec: ImageSpec, number: int) -> int:
    """Length along an axis of what is read at once; of some rows without any chunks."""
    axis, length = spec.axes[number], spec.shape[number]
    chunks = getattr(image, "chunks", None)
    if axis == "C":
        return 1
    if chunks:
        size = chunks[number]
        return int(max(size) if isinstance(size, tuple) else size)
    return {"Y": min(BLOCK, length), "X": length, "S": length}.get(axis, 1)


def _block(number: int) -> slice:
    return slice(number * BLOCK, (number + 1) * BLOCK)
