"""EXIF and XMP of an upscaled image: upright, with its own size and resolution."""

from __future__ import annotations

import re

from PIL import Image
from PIL.ExifTags import IFD, Base

from napari_edsr.files.common import ImageFile
from napari_edsr.units import converted

PREFIX = b"Exif\0\0"
_INCH = 2
_XMP_ORIENTATION = re.compile(
    rb"""(tiff:Orientation(?:\s*=\s*["']|>\s*))(\d)(\s*(?:["']|</))"""
)


def orientation(exif: bytes | None, xmp: bytes | None = None) -> int:
    """Orientation 1-8 named in an EXIF block, or else in XMP; 1 where there is none."""
    value = _parsed(exif).get(Base.Orientation) if exif else None
    if value is None and xmp:
        found = _XMP_ORIENTATION.search(xmp)
        value = int(found[2]) if found else None
    return value if isinstance(value, int) and value in range(1, 9) else 1


def _parsed(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    try:
        exif.load(data)
    except Exception:  # Pillow raises whatever a damaged block makes it stumble over
        return Image.Exif()
    return exif


def exif_bytes(image: ImageFile) -> bytes:
    """The source's EXIF for the pixels of `image`, without `PREFIX`.

    The embedded thumbnail is left out, as it shows the image before.
    """
    exif = _parsed(image.metadata["exif"])
    if Base.Orientation in exif:
        exif[Base.Orientation] = 1
    details = exif.get_ifd(IFD.Exif)
    for tag, axis in ((Base.ExifImageWidth, "X"), (Base.ExifImageHeight, "Y")):
        if tag in details:
            details[tag] = image.size(axis)
    for tag, axis in ((Base.ImageWidth, "X"), (Base.ImageLength, "Y")):
        if tag in exif:
            exif[tag] = image.size(axis)
    _set_resolution(exif, image)
    return exif.tobytes().removeprefix(PREFIX)


def _set_resolution(exif: Image.Exif, image: ImageFile) -> None:
    inch = converted(1.0, image.unit, "inch")
    if inch is None or not {"Y", "X"} <= set(image.pixel_size):
        for tag in (Base.XResolution, Base.YResolution, Base.ResolutionUnit):
            exif.pop(tag, None)
        return
    exif[Base.XResolution] = 1 / (image.pixel_size["X"] * inch)
    exif[Base.YResolution] = 1 / (image.pixel_size["Y"] * inch)
    exif[Base.ResolutionUnit] = _INCH


def upright_xmp(xmp: bytes) -> bytes:
    """XMP that no longer asks viewers to turn the image."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1\g<3>", xmp)
