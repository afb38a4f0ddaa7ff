"""PNG at its full depth: Pillow and imageio silently cut 16-bit colours to 8."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_edsr.files.common import PROVENANCE, ImageFile, converted, provenance_text

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = 33  # the signature and the chunk IHDR


def decode_png16(path: Path) -> NDArray[np.uint16] | None:
    """Pixels of a 16-bit PNG; None if the file is no PNG, or of fewer bits."""
    with path.open("rb") as file:
        start = file.read(_HEADER_END)
        if not start.startswith(_SIGNATURE) or start[24] != 16:
            return None
        return np.asarray(imagecodecs.png_decode(start + file.read()))


def write_png(path: Path, image: ImageFile) -> None:
    """Write bool, uint8 or uint16, grey or colour, with or without alpha."""
    data = np.ascontiguousarray(image.data)
    if data.dtype.kind == "b":
        data = data.astype(np.uint8) * 255
    encoded = imagecodecs.png_encode(data)
    chunks = b"".join(_chunk(kind, body) for kind, body in _metadata(image))
    path.write_bytes(encoded[:_HEADER_END] + chunks + encoded[_HEADER_END:])


def _metadata(image: ImageFile) -> list[tuple[bytes, bytes]]:
    chunks = []
    if image.icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(image.icc)))
    sizes = [converted(image.pixel_size.get(axis, 0), image.unit, "m") for axis in "XY"]
    if all(sizes):
        density = [min(round(1 / size), 2**31 - 1) for size in sizes if size]
        chunks.append((b"pHYs", struct.pack(">IIB", *density, 1)))
    if image.provenance is not None:
        text = provenance_text(image.provenance).encode("ascii")
        chunks.append((b"tEXt", PROVENANCE.encode() + b"\0" + text))
    return chunks


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)
