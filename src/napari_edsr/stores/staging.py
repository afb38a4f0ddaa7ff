"""TIFF by way of an OME-Zarr beside it, which a run that is interrupted goes on with."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_edsr.events import BytesDone
from napari_edsr.files import ImageFile, read_image, write_image
from napari_edsr.files.tiff_pyramid import iter_write_pyramid
from napari_edsr.images import ImageSpec
from napari_edsr.stores import ngff, result
from napari_edsr.stores.location import remove
from napari_edsr.stores.plan import UNIT_PIXELS

#: Bytes from which a TIFF is tiled and has several resolutions.
_TILED = 2**30


def is_worthwhile(spec: ImageSpec) -> bool:
    """Whether a run takes so long that a part of it is worth keeping, and can be kept."""
    pixels = math.prod(spec.plane) * spec.n_planes
    return (
        pixels > UNIT_PIXELS and ngff.fits(spec.axes) and find_spec("zarr") is not None
    )


def is_tiled(n_bytes: int) -> bool:
    """Whether a TIFF of that many bytes has tiles and several resolutions."""
    return n_bytes >= _TILED


def staging_of(path: Path) -> Path:
    """Where the result grows that will be the TIFF at `path`."""
    return path.with_name(f".{path.name}.zarr")


def iter_publish(
    staging: Path, path: Path, image: ImageFile
) -> Generator[BytesDone, None, None]:
    """Make a TIFF of a finished result, and remove that.

    Parameters
    ----------
    staging : Path
    path : Path
    image : ImageFile
        What goes along; its data is that of the result.
    """
    levels = result.levels(staging, image.axes)
    if is_tiled(image.data.nbytes):
        yield from iter_write_pyramid(path, image, levels)
    else:
        write_image(path, replace(image, data=np.asarray(levels[0])))
    remove(staging)


def published(path: Path, axes: str, shape: tuple[int, ...]) -> Any:
    """The pixels of a TIFF with axes and shape as asked for.

    A TIFF does not keep axes of length 1.
    """
    image = read_image(path)
    longer = [a for a, n in zip(axes, shape, strict=True) if n > 1]
    if set(longer) <= set(image.axes):
        others = [axis for axis in image.axes if axis not in longer]
        order = [image.axes.index(axis) for axis in [*longer, *others]]
        return image.data.transpose(order).reshape(shape)
    return image.data.reshape(shape)
