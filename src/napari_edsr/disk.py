"""Whether a result fits on the disk, before time is spent on it."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from napari_edsr.amounts import in_bytes
from napari_edsr.errors import FileError
from napari_edsr.images import ImageSpec
from napari_edsr.stores import staging
from napari_edsr.stores.location import is_remote
from napari_edsr.stores.pyramid import level_factors

_ENDLESS = 2**62


@dataclass(frozen=True)
class Need:
    """Bytes that a result takes.

    Attributes
    ----------
    result : int
        At most: as if nothing were compressed.
    beside : int
        At most, while it is made: the store in which a large TIFF grows.
    surely : int
        At least; 0 where that depends on the pixels.
    """

    result: int
    beside: int = 0
    surely: int = 0

    @property
    def most(self) -> int:
        """All that it can come to while it is made."""
        return self.result + self.beside


def needed(
    path: Path,
    spec: ImageSpec,
    scale: int,
    *,
    stored: bool = False,
    compressed: bool = False,
) -> Need:
    """Say what the file of a result takes.

    Parameters
    ----------
    path : Path
        The format follows its suffix.
    spec : ImageSpec
        Of the image that is upscaled.
    scale : int
    stored : bool
        Whether it is written part by part: as an OME-Zarr, or a TIFF by way of one.
    compressed : bool
        Whether a TIFF is written with compression, as its source was.
    """
    plain = math.prod(spec.output_shape(scale)) * spec.dtype.itemsize
    levels = round(plain * _levels(spec, scale))
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        return Need(levels)
    result = levels if stored and staging.is_tiled(plain) else plain
    # A TIFF packs eight values of a mask into a byte.
    exact = suffix in (".tif", ".tiff") and not compressed and spec.dtype != bool
    return Need(result, levels if stored else 0, result if exact else 0)


def _levels(spec: ImageSpec, scale: int) -> float:
    """Pixels of all resolutions in those of the finest."""
    height, width = (n * scale for n in spec.plane)
    pixels = [(height // f) * (width // f) for f in level_factors(height, width)]
    return sum(pixels) / pixels[0]


def free_bytes(path: Path) -> int:
    """Free on the disk where a file will lie, whose folder need not be there yet.

    Object stores do not end.
    """
    if is_remote(path):
        return _ENDLESS
    path = path.absolute()
    place = next(folder for folder in (path, *path.parents) if folder.is_dir())
    return shutil.disk_usage(place).free


def check_room(path: Path, need: Need) -> str:
    """Say whether a result may be too large for the disk.

    Returns
    -------
    str
        A note if it fits only if it can be compressed, or nothing.

    Raises
    ------
    FileError
        If it surely does not fit.
    """
    free = free_bytes(path)
    if need.surely > free:
        raise FileError(
            f"{path} takes {in_bytes(need.surely)}, and {in_bytes(free)} are free; make "
            "room, name a place on another disk, or an .ome.zarr, which is compressed."
        )
    if need.most > free:
        return (
            f"It takes up to {in_bytes(need.most)}, and {in_bytes(free)} are free: it "
            "fits only if it can be compressed."
        )
    return ""
