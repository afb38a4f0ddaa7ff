"""PNG and JPEG keep what belongs to them: EXIF, texts, colour and density."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD

from napari_edsr.errors import FileError
from napari_edsr.files import ImageFile, read_image, upscaled_file, write_image

MADE = {"made": "here"}


def doubled(path, target):
    """Read, enlarge by repetition and write, as the command line does."""
    source = read_image(path)
    image = source.data.repeat(2, 0).repeat(2, 1)
    write_image(target, upscaled_file(source, image, 2, MADE))
    return source, image


def chunk(kind, body):
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def write_png(path, data, *chunks):
    encoded = imagecodecs.png_encode(np.ascontiguousarray(data))
    extra = b"".join(chunk(kind, body) for kind, body in chunks)
    path.write_bytes(encoded[:33] + extra + encoded[33:])


def camera_exif(orientation):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera"
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 150.0, 2
    exif.get_ifd(IFD.Exif).update({0xA002: 24, 0xA003: 16, 0x9003: "2020:01:02 03:04"})
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (1.0, 2.0, 3.0)})
    return exif


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_keeps_colour_texts_and_exif(dtype, tmp_path, rng):
    data = rng.integers(0, 255, (8, 9, 3)).astype(dtype)
    gamma = struct.pack(">I", 45455)
    chunks = [(b"sRGB", b"\0"), (b"gAMA", gamma), (b"tEXt", b"Title\0Cells")]
    chunks += [(b"pHYs", struct.pack(">IIB", 1000, 2000, 1))]
    chunks += [(b"eXIf", camera_exif(6).tobytes()[6:])]
    write_png(tmp_path / "in.png", data, *chunks)
    source, image = doubled(tmp_path / "in.png", tmp_path / "out.png")
    np.testing.assert_array_equal(source.data, np.rot90(data, -1))
    with Image.open(tmp_path / "out.png") as written:
        assert (written.info["srgb"], written.info["gamma"]) == (0, 0.45455)
        assert written.info["Title"] == "Cells"
        assert written.getexif()[0x0112] == 1
        assert written.getexif()[0x010F] == "Camera"
        assert written.info["dpi"] == pytest.approx((101.6, 50.8))  # turned, doubled
    again = read_image(tmp_path / "out.png")
    np.testing.assert_array_equal(again.data, image)
    assert again.data.dtype == dtype
    assert again.provenance == MADE


def test_one_bit_png_stays_one_bit(tmp_path, rng):
    bits = rng.integers(0, 2, (8, 9)).astype(bool)
    Image.fromarray(bits).save(tmp_path / "in.png")
    _, image = doubled(tmp_path / "in.png", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "1"
        np.testing.assert_array_equal(np.array(written), image)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_becomes_alpha(mode, tmp_path):
    ramp = np.repeat(np.arange(6, dtype="uint8")[:, None], 5, 1)
    picture = Image.fromarray(ramp).convert("RGB" if mode == "RGB" else "L")
    if mode == "P":
        picture = picture.convert("P")
    transparent = (2, 2, 2) if mode == "RGB" else 2
    picture.save(tmp_path / "in.png", transparency=transparent)
    read = read_image(tmp_path / "in.png")
    expected = np.where(np.arange(6) == 2, 0, 255)
    np.testing.assert_array_equal(read.data[:, 0, -1], expected)
    np.testing.assert_array_equal(read.data[..., 0], ramp)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_jpeg_exif_describes_the_new_image(suffix, tmp_path, rng):
    small = rng.integers(0, 255, (2, 3, 3)).astype("uint8")
    picture = Image.fromarray(small.repeat(8, 0).repeat(8, 1))
    xmp = b'<x xmlns:tiff="t"><d tiff:Orientation="8"/></x>'
    options = {"exif": camera_exif(8), "xmp": xmp, "comment": b"by hand"}
    picture.save(tmp_path / "in.jpg", quality=98, **options)
    doubled(tmp_path / "in.jpg", tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as written:
        exif = written.getexif()
        assert written.size == (32, 48)
        assert (exif[0x0112], exif[0x010F], exif[0x0128]) == (1, "Camera", 2)
        density = exif[0x011A], exif[0x011B]
        assert density == pytest.approx(
            [2 * 1 / size for size in density_of("in.jpg", tmp_path)]
        )
        details = exif.get_ifd(IFD.Exif)
        assert (details[0xA002], details[0xA003]) == (32, 48)
        assert details[0x9003] == "2020:01:02 03:04"
        assert exif.get_ifd(IFD.GPSInfo)[2] == (1.0, 2.0, 3.0)
        if suffix == "jpg":
            assert b'tiff:Orientation="1"' in written.info["xmp"]
            assert written.info["comment"].startswith(b"by hand\n")
    assert read_image(tmp_path / f"out.{suffix}").provenance == MADE


def density_of(name, folder):
    sizes = read_image(folder / name).pixel_size
    return sizes["X"], sizes["Y"]


def test_jpeg_leaves_out_a_density_it_can_not_hold(tmp_path):
    image = ImageFile(np.zeros((8, 8), "uint8"), "YX", {"Y": 0.1, "X": 0.1}, "µm")
    write_image(tmp_path / "x.jpg", image)
    with Image.open(tmp_path / "x.jpg") as written:
        assert "dpi" not in written.info
    write_image(tmp_path / "x.png", image)
    assert read_image(tmp_path / "x.png").pixel_size["X"] == pytest.approx(
        1e-7 / 0.0254
    )


def test_the_content_tells_the_format_not_the_suffix(tmp_path, rng):
    data = rng.integers(0, 60000, (8, 9), dtype="uint16")
    write_image(tmp_path / "x.tif", ImageFile(data, "YX"))
    (tmp_path / "x.tif").rename(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").data, data)
    write_image(tmp_path / "y.png", ImageFile(data, "YX"))
    (tmp_path / "y.png").rename(tmp_path / "y.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "y.tif").data, data)


@pytest.mark.fault(
    "Images: decompression bomb",
    "It is refused by its header, or once it gives more than its header says.",
)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_header_that_claims_a_huge_image_is_refused(bits, tmp_path):
    header = struct.pack(">IIBBBBB", 100_000, 100_000, bits, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"0")), (b"IEND", b"")]
    body = b"".join(chunk(kind, data) for kind, data in chunks)
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(FileError, match="more than 2147 megapixels"):
        read_image(tmp_path / "bomb.png")


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("L", (5, 4), grey) for grey in (40, 200)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    read = read_image(tmp_path / "x.gif")
    assert "Of 2 frames the first is used." in read.notes
    assert np.unique(read.data).tolist() == [40]


@pytest.mark.fault(
    "Images: file truncated, empty, missing or no image",
    "One sentence names the file and what is wrong; no half image is taken.",
)
@pytest.mark.parametrize("share", [0.99, 0.6, 0.2])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_a_file_cut_short_is_refused(kind, share, tmp_path, rng):
    stream = io.BytesIO()
    picture = Image.fromarray(rng.integers(0, 255, (40, 50, 3)).astype("uint8"))
    picture.save(stream, kind)
    whole = stream.getvalue()
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FileError, match=r"^[^\n]*cut\.[^\n]*\.$"):
        read_image(path)
