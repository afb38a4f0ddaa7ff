"""PNG, JPEG and the other formats of photographs, by way of Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_edsr.files.colour import cmyk_to_rgb
from napari_edsr.files.common import (
    PROVENANCE,
    ImageFile,
    converted,
    parsed_provenance,
    positive,
    renamed,
    upright,
    upright_sizes,
    with_provenance_line,
)
from napari_edsr.files.png import decode_png16

_ORIENTATION = 0x0112
_PLAIN_MODES = ("1", "L", "LA", "RGB", "RGBA", "F", "I")
_QUALITY = 95


def read_raster(path: Path, axes: str | None = None) -> ImageFile:
    """Read the first frame of a PNG, JPEG, WebP, BMP or GIF, upright and in full depth.

    Parameters
    ----------
    path : pathlib.Path
    axes : str, optional
        Instead of ``"YX"`` or ``"YXS"``.
    """
    with Image.open(path) as picture:
        image = ImageFile(np.empty((0, 0)), "YX")
        image.data = _pixels(path, picture, image)
        image.axes = "YXS" if image.data.ndim == 3 else "YX"
        image.metadata["container"] = (picture.format or "").lower()
        if (
            picture.mode != "CMYK"
        ):  # a profile of inks does not fit the RGB made of them
            image.icc = picture.info.get("icc_profile")
        image.provenance = parsed_provenance(picture.info.get(PROVENANCE))
        _read_size(picture.info.get("dpi"), image)
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            image.notes += (f"Of {frames} frames the first is used.",)
        _make_upright(picture, image)
    image.axes = renamed(image.data, image.axes, axes)
    return image


def _pixels(path: Path, picture: Any, image: ImageFile) -> NDArray:
    deep = decode_png16(path)
    if deep is not None:
        return deep
    if picture.mode == "CMYK":
        rgb, note = cmyk_to_rgb(np.array(picture), picture.info.get("icc_profile"))
        image.notes += (note,)
        return rgb
    return np.array(_plain(picture, image))


def _plain(picture: Any, image: ImageFile) -> Any:
    """In a mode whose values are the intensities."""
    transparent = "transparency" in picture.info or picture.mode in ("PA", "La", "RGBa")
    if picture.mode in _PLAIN_MODES and not transparent:
        return picture
    mode = "RGBA" if transparent else "RGB"
    image.notes += (f"{_mode_name(picture.mode)} were converted to {mode}.",)
    return picture.convert(mode)


def _mode_name(mode: str) -> str:
    return "Palette colours" if mode.startswith("P") else f"Colours of mode {mode}"


def _read_size(dpi: Any, image: ImageFile) -> None:
    x, y = (positive(value) for value in dpi) if dpi else (None, None)
    if x and y:
        image.pixel_size, image.unit = {"Y": 1 / y, "X": 1 / x}, "inch"


def _make_upright(picture: Any, image: ImageFile) -> None:
    exif = picture.getexif()
    orientation = exif.get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        image.notes += ("The orientation stored in the file was applied.",)
        image.data = upright(image.data, image.axes, orientation)
        image.pixel_size = upright_sizes(image.pixel_size, orientation)
    if exif:
        exif[_ORIENTATION] = 1
        image.metadata["exif"] = exif.tobytes()


def write_jpeg(path: Path, image: ImageFile) -> None:
    """Write uint8 grey or RGB at a quality where losses are hard to see."""
    options: dict[str, Any] = {"quality": _QUALITY, "subsampling": 0}
    sizes = [
        converted(image.pixel_size.get(axis, 0), image.unit, "inch") for axis in "XY"
    ]
    if all(sizes):
        options["dpi"] = tuple(min(round(1 / size), 65535) for size in sizes if size)
    if "exif" in image.metadata:
        options["exif"] = image.metadata["exif"]
    if image.icc:
        options["icc_profile"] = image.icc
    picture = Image.fromarray(np.ascontiguousarray(image.data))
    picture.save(path, "JPEG", comment=_comment(image), **options)


def _comment(image: ImageFile) -> bytes:
    return with_provenance_line(None, image).encode("ascii")
