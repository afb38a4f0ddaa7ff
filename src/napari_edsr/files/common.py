"""What every format shares: the image of a file, axes, orientation and units."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.errors import FileError
from napari_edsr.units import PlanePixelSize, seconds

#: Under this name the provenance stands in every file.
PROVENANCE = "napari-edsr"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: Suffixes read, and those written.
READABLE = (
    *(".tif", ".tiff", ".lsm", ".png", ".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".webp", ".bmp", ".gif"),
)
WRITABLE = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jpe", ".jfif")

# How a stored image becomes upright, by EXIF's number: transpose, flip Y, flip X.
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass
class ImageFile:
    """An image with what its file says about it.

    Attributes
    ----------
    data : ndarray
        Upright, in the file's type; Y and X are the last axes but for S.
    axes : str
        One letter for each axis, as `napari_edsr.images` understands them.
    pixel_size : dict of str to float
        Of axes Y, X and Z in `unit`, of T in seconds; empty where nothing is known.
    unit : str
        Such as ``"µm"`` or ``"inch"``; ``""`` where only ratios are known.
    contrast_limits : list of (float, float) or None
        The display range, one pair or one for each channel.
    icc : bytes or None
        Colour profile.
    channel_names : tuple of str
        One for each channel, or none.
    provenance : dict or None
        How the image was made, if this package made it.
    metadata : dict
        What else the format keeps; ``"container"`` names the format:
        ``"imagej"``, ``"ome"``, ``"tiff"``, ``"png"``, ``"jpeg"`` ...
    notes : tuple of str
        What was converted or assumed in reading, one sentence each.
    """

    data: NDArray
    axes: str
    pixel_size: dict[str, float] = field(default_factory=dict)
    unit: str = ""
    contrast_limits: list[tuple[float, float]] | None = None
    icc: bytes | None = None
    channel_names: tuple[str, ...] = ()
    provenance: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def plane_pixel_size(self) -> PlanePixelSize:
        """Height and width of a pixel in `unit`; None where they are not known."""
        return self.pixel_size.get("Y"), self.pixel_size.get("X")

    def set_interval(self, time: float, unit: str) -> None:
        """Time between two planes along T, if the unit is a known one."""
        interval = seconds(time, unit)
        if interval is not None:
            self.pixel_size["T"] = interval

    def size(self, axis: str) -> int:
        """Length of an axis; 1 if the image has none of that name."""
        return self.data.shape[self.axes.index(axis)] if axis in self.axes else 1


def blank(shape: Sequence[int], dtype: Any) -> NDArray:
    """What stands for pixels that are not read; it takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), tuple(shape))


def native_dtype(dtype: np.dtype) -> np.dtype:
    """In the byte order of this machine, and of two integers alike the one zarr knows."""
    return np.dtype(dtype.name)


def native(data: NDArray) -> NDArray:
    """Pixels in their `native_dtype`."""
    dtype = native_dtype(data.dtype)
    return data.astype(dtype, copy=False).view(dtype)


def arranged(data: NDArray, axes: str) -> tuple[NDArray, str]:
    """Put Y, X and S last; more samples than a pixel can have become channels."""
    if not {"Y", "X"} <= set(axes):
        return data, axes
    if "S" in axes and data.shape[axes.index("S")] > 4 and "C" not in axes:
        axes = axes.replace("S", "C")
    last = "YXS" if "S" in axes else "YX"
    order = "".join(axis for axis in axes if axis not in last) + last
    return data.transpose([axes.index(axis) for axis in order]), order


def renamed(data: NDArray, found: str, wanted: str | None) -> str:
    """Axes the user named instead of those found, checked for their number."""
    if wanted is None:
        return found
    axes = wanted.upper()
    if len(axes) != data.ndim:
        raise FileError(
            f"Axes {wanted!r} name {len(axes)} axes, but the file holds {data.ndim}: "
            f"{found} of lengths {data.shape}."
        )
    return axes


def upright(data: NDArray, axes: str, orientation: int) -> NDArray:
    """Undo an EXIF or TIFF orientation (1-8; anything else counts as 1)."""
    if orientation not in _UPRIGHT:
        return data
    y, x = axes.index("Y"), axes.index("X")
    transpose, flip_y, flip_x = _UPRIGHT[orientation]
    if transpose:
        data = data.swapaxes(y, x)
    turned = tuple(axis for axis, flip in ((y, flip_y), (x, flip_x)) if flip)
    return np.ascontiguousarray(np.flip(data, turned))


def upright_sizes(sizes: Mapping[str, float], orientation: int) -> dict[str, float]:
    """Pixel sizes after `upright`: turned by 90 degrees, Y and X change places."""
    if orientation in (5, 6, 7, 8) and {"Y", "X"} <= set(sizes):
        return {**sizes, "Y": sizes["X"], "X": sizes["Y"]}
    return dict(sizes)


def positive(value: Any) -> float | None:
    """As a float if it is a finite number above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def provenance_text(provenance: Mapping[str, Any]) -> str:
    """JSON in ASCII, on one line."""
    return json.dumps(provenance, default=str)


def parsed_provenance(text: Any) -> dict[str, Any] | None:
    """Inverse of `provenance_text`; None for anything else."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def with_provenance_line(text: str | None, image: ImageFile) -> str:
    """Free text with the provenance as its last line, replacing an older one."""
    lines = [line for line in (text or "").splitlines() if not _is_provenance(line)]
    if image.provenance is not None:
        lines.append(f"{PROVENANCE}: {provenance_text(image.provenance)}")
    return "\n".join(lines)


def provenance_line(text: str | None) -> dict[str, Any] | None:
    """Inverse of `with_provenance_line`."""
    for line in (text or "").splitlines():
        if _is_provenance(line):
            return parsed_provenance(line.partition(":")[2])
    return None


def _is_provenance(line: str) -> bool:
    return line.startswith(f"{PROVENANCE}: ")
