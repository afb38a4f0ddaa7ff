"""JPEG and the other formats of photographs, by way of Pillow."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_edsr.errors import EDSRWarning, FileError
from napari_edsr.files import exif
from napari_edsr.files.colour import cmyk_to_rgb
from napari_edsr.files.common import (
    ImageFile,
    blank,
    positive,
    provenance_line,
    renamed,
    upright,
    upright_sizes,
    with_provenance_line,
)
from napari_edsr.units import converted

_FORMATS = ("JPEG", "WEBP", "BMP", "DIB", "GIF")
_PLAIN_MODES = ("1", "L", "LA", "RGB", "RGBA")
_WITH_ALPHA = {"1": "LA", "L": "LA", "La": "LA"}
_QUALITY = 95
_MOST_PIXELS = 2**30  # twice as many are refused
_MOST_DOTS = 2**16 - 1
_MOST_COMMENT = 65533
_MOST_BLOCK = 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")
_TOO_LONG = "The {} block is too long for JPEG and is left out; a PNG or TIFF has room."


def read_raster(
    path: Path, axes: str | None = None, *, pixels: bool = True
) -> ImageFile:
    """Read the first frame of a JPEG, WebP, BMP or GIF, upright.

    Parameters
    ----------
    path : pathlib.Path
    axes : str, optional
        Instead of ``"YX"`` or ``"YXS"``.
    pixels : bool
        Whether to decode them; zeros may stand for them otherwise.
    """
    with path.open("rb") as file:
        image = pillow_image(file, _FORMATS, pixels=pixels)
    return finished(image, axes)


def pillow_image(
    file: IO[bytes], formats: tuple[str, ...], *, pixels: bool = True
) -> ImageFile:
    """Decode the first frame as it is stored, with what Pillow knows about it."""
    with large_images_allowed(), Image.open(file, formats=formats) as picture:
        frames = getattr(picture, "n_frames", 1)
        image = _plain(picture, pixels)
        container = (picture.format or "").lower()
        image.metadata["container"] = "jpeg" if container == "mpo" else container
        _read_info(picture.info, image)
    if frames > 1:
        image.notes += (f"Of {frames} frames the first is used.",)
    return image


@contextmanager
def large_images_allowed() -> Iterator[None]:
    """Let images of today's cameras pass, which Pillow takes for an attack."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, _MOST_PIXELS
    try:
        yield
    except Image.DecompressionBombError as error:
        raise FileError(
            f"The image has more than {2 * _MOST_PIXELS // 10**6} megapixels; save it as "
            "a TIFF to read it."
        ) from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _plain(picture: Image.Image, pixels: bool) -> ImageFile:
    """In a mode whose values are the intensities."""
    profile = picture.info.get("icc_profile") or None
    mode, notes = picture.mode, []
    if mode == "CMYK":  # its profile does not fit the RGB made of it
        data, note = cmyk_to_rgb(np.array(picture), profile)
        return ImageFile(data, "YXS", notes=(note,))
    transparent = "transparency" in picture.info or mode in ("PA", "La", "RGBa")
    if mode not in _PLAIN_MODES or transparent:
        wanted = _WITH_ALPHA.get(mode, "RGBA") if transparent else "RGB"
        picture = picture.convert(wanted)
        notes.append(f"{_mode_name(mode)} were converted to {wanted}.")
    data = np.array(picture) if pixels else _blank(picture)
    axes = "YXS" if data.ndim == 3 else "YX"
    return ImageFile(data, axes, icc=profile, notes=tuple(notes))


def _blank(picture: Image.Image) -> NDArray:
    samples = len(picture.getbands())
    shape = (picture.height, picture.width, samples)[: 2 + (samples > 1)]
    return blank(shape, bool if picture.mode == "1" else np.uint8)


def _mode_name(mode: str) -> str:
    return "Palette colours" if mode.startswith("P") else f"Colours of mode {mode}"


def _read_info(info: dict[Any, Any], image: ImageFile) -> None:
    x, y = (positive(value) for value in info.get("dpi") or (None, None))
    if x and y:
        image.pixel_size, image.unit = {"Y": 1 / y, "X": 1 / x}, "inch"
    for key in ("exif", "xmp"):
        if isinstance(info.get(key), bytes):
            image.metadata[key] = info[key]
    if isinstance(info.get("comment"), bytes):
        image.metadata["comment"] = info["comment"].decode("utf-8", "replace")
        image.provenance = provenance_line(image.metadata["comment"])


def finished(image: ImageFile, axes: str | None) -> ImageFile:
    """Apply the EXIF orientation; name the axes as the user wants them."""
    xmp = image.metadata.get("xmp")
    orientation = exif.orientation(image.metadata.get("exif"), xmp)
    if orientation != 1:
        image.notes += ("The orientation stored in the file was applied.",)
        image.data = upright(image.data, image.axes, orientation)
        image.pixel_size = upright_sizes(image.pixel_size, orientation)
    image.axes = renamed(image.data, image.axes, axes)
    return image


def write_jpeg(path: Path, image: ImageFile) -> None:
    """Write uint8 grey or RGB at a quality where losses are hard to see."""
    options: dict[str, Any] = {"quality": _QUALITY, "subsampling": 0}
    dpi = _dots_per_inch(image)
    if dpi:
        options["dpi"] = dpi
    if image.metadata.get("exif"):
        options["exif"] = exif.PREFIX + exif.exif_bytes(image)
    if image.metadata.get("xmp"):
        options["xmp"] = exif.upright_xmp(image.metadata["xmp"])
    for block in ("exif", "xmp"):
        if len(options.get(block, b"")) > _MOST_BLOCK:
            del options[block]
            warnings.warn(_TOO_LONG.format(block.upper()), EDSRWarning, stacklevel=2)
    if image.icc:
        options["icc_profile"] = image.icc
    comment = with_provenance_line(image.metadata.get("comment"), image).encode()
    if 0 < len(comment) <= _MOST_COMMENT:
        options["comment"] = comment
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.data)).save(stream, "JPEG", **options)
    path.write_bytes(stream.getvalue())


def _dots_per_inch(image: ImageFile) -> tuple[int, ...] | None:
    """None where the density is unknown, or beyond the 16 bits the format has."""
    sizes = [
        converted(image.pixel_size.get(axis, 0), image.unit, "inch") for axis in "XY"
    ]
    dpi = tuple(round(1 / size) for size in sizes if size)
    return dpi if len(dpi) == 2 and 0 < min(dpi) <= max(dpi) <= _MOST_DOTS else None
