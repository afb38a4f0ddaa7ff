"""TIFF of any size out: tiled, at several resolutions, from arrays that lie on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from queue import Full, Queue
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_edsr.atomic import replacing
from napari_edsr.events import BytesDone
from napari_edsr.files.common import ImageFile
from napari_edsr.files.tiff_write import in_order, tiff_options, tiled_container

_SIDE = 512
#: Tiles that wait for the disk.
_WAITING = 64


def iter_write_pyramid(
    path: Path, image: ImageFile, levels: Sequence[Any]
) -> Generator[BytesDone, None, None]:
    """Write a tiled BigTIFF, OME where that holds the image, whole or not at all.

    Parameters
    ----------
    path : Path
    image : ImageFile
        What goes along; its data is the first of the levels.
    levels : sequence of array
        In the axes of `image`, which may lie on disk; the finest first, each half as
        high and wide as the one before.

    Yields
    ------
    BytesDone
        Of pixels, after each tile.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    container = tiled_container(path, image)
    images = [in_order(replace(image, data=level), container) for level in levels]
    tiles = (tile for each in images for tile in _tiles(each))
    total = sum(level.nbytes for level in levels)
    with replacing(path) as unfinished:
        write = partial(_write, unfinished, container, images)
        yield from _iter_fed(write, tiles, total)


def _write(
    path: Path, container: str, images: Sequence[ImageFile], tiles: Iterator[NDArray]
) -> None:
    with tifffile.TiffWriter(path, bigtiff=True, ome=container == "ome") as tif:
        for number, image in enumerate(images):
            options = tiff_options(container, image)
            if number:
                options["subfiletype"] = tifffile.FILETYPE.REDUCEDIMAGE
                # Outside OME tifffile reads shapes from descriptions of its own.
                options["metadata"] = None if container == "ome" else {}
                options.pop("description", None)
            else:
                options["subifds"] = len(images) - 1
            shape, dtype = image.data.shape, image.data.dtype
            tile = (_SIDE, _SIDE)
            # tifffile takes an iterator for its own, and ends it
            own = islice(tiles, _count(image))
            tif.write(own, shape=shape, dtype=dtype, tile=tile, **options)


def _tiles(image: ImageFile) -> Iterator[NDArray]:
    """Of one level, row by row and plane by plane, each of full size."""
    within = 3 if "S" in image.axes else 2
    for lead in np.ndindex(image.data.shape[:-within]):
        plane = image.data[lead]
        for top in range(0, plane.shape[0], _SIDE):
            rows = np.asarray(plane[top : top + _SIDE])
            for left in range(0, plane.shape[1], _SIDE):
                yield _filled_up(rows[:, left : left + _SIDE])


def _count(image: ImageFile) -> int:
    """Tiles of one level."""
    within = 3 if "S" in image.axes else 2
    *leading, height, width = image.data.shape[: image.data.ndim - within + 2]
    return math.prod(leading) * math.ceil(height / _SIDE) * math.ceil(width / _SIDE)


def _filled_up(tile: NDArray) -> NDArray:
    missing = [(0, _SIDE - n) for n in tile.shape[:2]]
    return np.pad(tile, [*missing, *[(0, 0)] * (tile.ndim - 2)])


def _iter_fed(
    write: Callable[[Iterator[NDArray]], None], parts: Iterator[NDArray], total: int
) -> Generator[BytesDone, None, None]:
    """Let a function pull its parts in a thread, and say how much it was handed.

    tifffile takes an iterator and returns when all is written; here each part is a
    moment at which to stop.
    """
    feed: Queue[NDArray | None] = Queue(_WAITING)
    done = 0
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write, _taken(feed))
        try:
            for part in parts:
                if not _hand_over(part, feed, written):
                    break
                done = min(done + part.nbytes, total)
                yield BytesDone(done, total)
        finally:
            _hand_over(None, feed, written)
    written.result()


def _taken(feed: Queue[NDArray | None]) -> Iterator[NDArray]:
    while (part := feed.get()) is not None:
        yield part


def _hand_over(
    part: NDArray | None, feed: Queue[NDArray | None], written: Future[None]
) -> bool:
    """Wait until there is room for a part; False if nobody takes it any more."""
    while not written.done():
        with suppress(Full):
            feed.put(part, timeout=0.1)
            return True
    return False
