"""PNG at its full depth: Pillow and imageio silently cut 16-bit colours to 8."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_edsr.errors import FileError
from napari_edsr.files.common import (
    PNG_SIGNATURE,
    PROVENANCE,
    ImageFile,
    parsed_provenance,
    provenance_text,
)
from napari_edsr.files.exif import exif_bytes, upright_xmp
from napari_edsr.files.raster import finished, large_images_allowed, pillow_image
from napari_edsr.units import converted

_HEADER_END = 33  # the signature and the chunk IHDR
_XMP = b"XML:com.adobe.xmp\0"
_COLOUR = (b"sRGB", b"gAMA", b"cHRM", b"cICP")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_OWN_TEXT = PROVENANCE.encode() + b"\0"
_PER_METRE = 1
Chunk = tuple[bytes, bytes]


def read_png(path: Path, axes: str | None = None, *, pixels: bool = True) -> ImageFile:
    """Read a PNG upright and in its own depth: bool, uint8 or uint16.

    Parameters
    ----------
    path : pathlib.Path
        A file that starts with `PNG_SIGNATURE`.
    axes : str, optional
        Instead of ``"YX"`` or ``"YXS"``.
    pixels : bool
        Whether to decode them; zeros may stand for them otherwise.
    """
    content = path.read_bytes()
    chunks = list(_chunks(path, content))
    image = _decoded(content, pixels)
    found = dict(chunks)
    if b"iCCP" in found:
        image.icc = _profile(found[b"iCCP"])
    if b"eXIf" in found:
        image.metadata["exif"] = found[b"eXIf"]
    for kind, body in chunks:
        if kind == b"iTXt" and body.startswith(_XMP):
            image.metadata["xmp"] = _international_text(body)
    if b"pHYs" in found:
        image.pixel_size, image.unit = _pixel_size(found[b"pHYs"])
    image.provenance = _provenance(chunks)
    image.metadata["container"] = "png"
    image.metadata["png"] = [chunk for chunk in chunks if _is_kept(*chunk)]
    return finished(image, axes)


def _chunks(path: Path, content: bytes) -> Iterator[Chunk]:
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        yield kind, content[position + 8 : end - 4]
        if kind == b"IEND":
            return
        position = end
    raise FileError(f"{path} is cut short; copy or download it again.")


def _decoded(content: bytes, pixels: bool) -> ImageFile:
    if content[24] < 16:  # bits of a sample
        return pillow_image(io.BytesIO(content), ("PNG",), pixels=pixels)
    with large_images_allowed(), Image.open(io.BytesIO(content), formats=("PNG",)):
        pass  # it refuses what would not fit into memory
    data = np.asarray(imagecodecs.png_decode(content))
    return ImageFile(data, "YX" if data.ndim == 2 else "YXS")


def _international_text(body: bytes) -> bytes:
    """Text of an iTXt chunk: after keyword, compression, language and translation."""
    _, _, rest = body.partition(b"\0")
    *_, text = rest[2:].split(b"\0", 2)
    return zlib.decompress(text) if rest[:1] == b"\1" else text


def _profile(body: bytes) -> bytes | None:
    """Of a name, a zero, the method and the compressed profile."""
    try:
        return zlib.decompress(body[body.index(b"\0") + 2 :])
    except (ValueError, zlib.error):
        return None


def _pixel_size(body: bytes) -> tuple[dict[str, float], str]:
    x, y, unit = struct.unpack(">IIB", body)
    if not (x and y) or unit != _PER_METRE:
        return {}, ""
    return {"Y": 1 / (y * 0.0254), "X": 1 / (x * 0.0254)}, "inch"


def _provenance(chunks: list[Chunk]) -> dict[str, Any] | None:
    for kind, body in chunks:
        if kind == b"tEXt" and body.startswith(_OWN_TEXT):
            return parsed_provenance(body[len(_OWN_TEXT) :].decode("latin-1"))
    return None


def _is_kept(kind: bytes, body: bytes) -> bool:
    """Whether a chunk holds for the upscaled image too."""
    return kind in _COLOUR or (kind in _TEXT and not body.startswith(_OWN_TEXT))


def write_png(path: Path, image: ImageFile) -> None:
    """Write bool, uint8 or uint16, grey or colour, with or without alpha."""
    encoded = _encoded(image.data)
    chunks = b"".join(_chunk(kind, body) for kind, body in _metadata(image))
    path.write_bytes(encoded[:_HEADER_END] + chunks + encoded[_HEADER_END:])


def _encoded(data: NDArray) -> bytes:
    data = np.ascontiguousarray(data)
    if data.ndim == 2 and data.dtype.kind == "b":
        stream = io.BytesIO()
        Image.fromarray(data).save(stream, "PNG")
        return stream.getvalue()
    if data.dtype.kind == "b":
        data = data.astype(np.uint8) * 255
    return bytes(imagecodecs.png_encode(data))


def _metadata(image: ImageFile) -> Iterator[Chunk]:
    """Colour first, as the format demands, then size and texts."""
    kept = image.metadata.get("png", [])
    if image.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(image.icc)
    yield from (chunk for chunk in kept if chunk[0] in _COLOUR)
    density = _density(image)
    if density:
        yield b"pHYs", struct.pack(">IIB", *density, _PER_METRE)
    if image.metadata.get("exif"):
        yield b"eXIf", exif_bytes(image)
    yield from ((kind, _upright(text)) for kind, text in kept if kind in _TEXT)
    if image.provenance is not None:
        yield b"tEXt", _OWN_TEXT + provenance_text(image.provenance).encode("ascii")


def _upright(body: bytes) -> bytes:
    """A text chunk that no longer asks viewers to turn the image."""
    if not body.startswith(_XMP):
        return body
    return _XMP + b"\0\0\0\0" + upright_xmp(_international_text(body))


def _density(image: ImageFile) -> tuple[int, ...] | None:
    """Pixels in a metre; None where unknown, or beyond what the format can say."""
    sizes = [converted(image.pixel_size.get(axis, 0), image.unit, "m") for axis in "XY"]
    density = tuple(round(1 / size) for size in sizes if size)
    fits = len(density) == 2 and 0 < min(density) <= max(density) < 2**31
    return density if fits else None


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)
