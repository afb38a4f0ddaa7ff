"""Images that are no use, lie oddly in memory, or were made to fill it."""

from __future__ import annotations

import re
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edsr import upscale
from napari_edsr.errors import EDSRWarning, FileError, ImageError
from napari_edsr.files import read_image

pytestmark = pytest.mark.usefixtures("one_thread")

OFFSET = 7  # bytes of a file before its pixels


def on_disk(image, folder):
    """The same pixels, mapped from a file that may only be read, at an odd place."""
    (folder / "pixels").write_bytes(bytes(OFFSET) + image.tobytes())
    return np.memmap(folder / "pixels", image.dtype, "r", OFFSET, image.shape)


#: Arrays of the same pixels that lie otherwise in memory.
LAYOUTS = {
    "memory-mapped": on_disk,
    "Fortran order": lambda image, _: np.asfortranarray(image),
    "a part of a larger one": lambda image, _: np.pad(image, 3)[3:-3, 3:-3],
    "every second pixel": lambda image, _: image.repeat(2, 0).repeat(2, 1)[::2, ::2],
    "backwards": lambda image, _: image[::-1, ::-1].copy()[::-1, ::-1],
    "other byte order": lambda image, _: image.astype(image.dtype.newbyteorder()),
    "memory-mapped, other byte order": lambda image, folder: on_disk(
        image.astype(image.dtype.newbyteorder()), folder
    ),
}


@pytest.mark.fault(
    "Images: memory-mapped, strided, Fortran-ordered or byte-swapped arrays",
    "The result is that of the same pixels in a plain array; the source stays as it was.",
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_may_lie_anywhere(layout, dtype, tiny, rng, tmp_path):
    image = (rng.random((14, 11)) * 200).astype(dtype)
    same = LAYOUTS[layout](image, tmp_path)
    result = upscale(same, tiny, tile=8)
    np.testing.assert_array_equal(result, upscale(image, tiny, tile=8))
    np.testing.assert_array_equal(same, image)


@pytest.mark.fault(
    "Images: one value broadcast to an image", "It is upscaled as any constant image."
)
def test_a_broadcast_value(tiny):
    image = np.broadcast_to(np.uint16(700), (9, 8))
    np.testing.assert_array_equal(upscale(image, tiny), np.full((18, 16), 700))


@pytest.mark.fault(
    "Images: zero-size, ragged, complex, object or one-dimensional arrays",
    "One sentence says what is wrong with it, before any work.",
)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((0, 5), "YX"),
        ((5, 0), "YX"),
        ((0, 0), None),
        ((0, 4, 5), "ZYX"),
        ((2, 0, 4, 5), "TCYX"),
        ((4, 5, 0), "YXS"),
    ],
)
def test_an_image_without_pixels(shape, axes, tiny):
    with pytest.raises(ImageError, match="empty|1 to 4"):
        upscale(np.zeros(shape, np.uint8), tiny, axes=axes)


@pytest.mark.fault(
    "Images: nothing but NaN or infinite pixels",
    "A note says so; the result is NaN, and of the right size.",
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_an_image_without_numbers(value, dtype, tiny):
    with pytest.warns(EDSRWarning, match="NaN or infinite values"):
        result = upscale(np.full((9, 8), value, dtype), tiny)
    assert (result.shape, result.dtype) == ((18, 16), np.dtype(dtype))
    assert np.isnan(result).all()


KINDS = {
    "plain": {},
    "compressed": {"compression": "zlib"},
    "tiled": {"tile": (16, 16), "compression": "zstd"},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}},
    "BigTIFF": {"bigtiff": True},
}


@pytest.mark.fault(
    "Images: file truncated, empty, missing or no image",
    "One sentence names the file and what is wrong; no half image is taken.",
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_cut_short_anywhere(kind, rng, tmp_path):
    image, path = rng.integers(0, 60000, (4, 64, 64), np.uint16), tmp_path / "x.tif"
    tifffile.imwrite(path, image, photometric="minisblack", **KINDS[kind])
    np.testing.assert_array_equal(read_image(path).data, image)
    whole, refused = path.read_bytes(), 0
    for size in np.geomspace(5, len(whole) - 1, 24).astype(int):
        path.write_bytes(whole[:size])
        try:  # of the last bytes an image that lies in one piece may need none
            np.testing.assert_array_equal(read_image(path).data, image)
        except FileError as error:
            assert re.fullmatch(r"[^\n]*x\.tif[^\n]*\.", str(error))
            refused += 1
    assert refused >= 23


@pytest.mark.fault(
    "Images: decompression bomb",
    "It is refused by its header, or once it gives more than its header says.",
)
@pytest.mark.parametrize("compression", [None, "zlib", "zstd"])
def test_a_tiff_that_claims_a_huge_image(compression, tmp_path):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((64, 64), "u1"), compression=compression)
    with tifffile.TiffFile(path) as tif:
        names = ("ImageWidth", "ImageLength", "RowsPerStrip")
        places = [tif.pages[0].tags[name].valueoffset for name in names]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 4] = struct.pack("<I", 60_000)
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"bomb\.tif"):
        read_image(path)


@pytest.mark.fault(
    "Images: decompression bomb",
    "It is refused by its header, or once it gives more than its header says.",
)
@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_a_tiff_that_gives_more_than_it_claims(compression, tmp_path):
    encode = getattr(imagecodecs, f"{compression}_encode")
    strip = encode(bytes(10**8))
    options = {"shape": (64, 64), "dtype": "u1", "rowsperstrip": 64}
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, iter([strip]), compression=compression, **options)
    with pytest.raises(FileError, match=r"bomb\.tif cannot be read"):
        read_image(path)


@pytest.mark.fault(
    "Images: decompression bomb",
    "It is refused by its header, or once it gives more than its header says.",
)
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "start", [b"zTXtk\0\0", b"iTXtXML:com.adobe.xmp\0\1\0\0\0", b"iCCPp\0\0"]
)
def test_a_png_with_a_bomb_beside_its_pixels(start, depth, tmp_path):
    plain = imagecodecs.png_encode(np.zeros((8, 8, 3), depth))
    body = start + zlib.compress(bytes(10**8), 9)
    length, checksum = (
        struct.pack(">I", len(body) - 4),
        struct.pack(">I", zlib.crc32(body)),
    )
    path = tmp_path / "bomb.png"
    path.write_bytes(plain[:33] + length + body + checksum + plain[33:])
    with pytest.raises(FileError, match=r"bomb\.png cannot be read: .*too large"):
        read_image(path)


@pytest.mark.fault(
    "Images: a damaged file among others",
    "The others are upscaled, and the command names it.",
)
def test_a_truncated_tiff_among_others(run, tiny, rng, tmp_path):
    folder, image = tmp_path / "in", rng.integers(0, 255, (20, 20), np.uint8)
    folder.mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(folder / name, image)
    (folder / "a.tif").write_bytes((folder / "a.tif").read_bytes()[:300])
    Image.fromarray(image).save(folder / "c.png")
    code, _, err = run("upscale", folder, tmp_path / "out", "--model", tiny)
    assert (code, err.count("\n")) == (1, 1)
    assert "a.tif" in err and "1 of 3 images were left out" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "b.tif",
        "c.png",
    ]
