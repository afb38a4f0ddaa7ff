"""Image files in and out: pixels, depth, sizes and profiles, read by other readers."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from napari_edsr.errors import FileError
from napari_edsr.files import (
    ImageFile,
    check_writable,
    napari_write,
    read_image,
    upscaled_file,
    write_image,
)

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(rng, shape, dtype):
    top = 2 if dtype == "bool" else 250
    return rng.integers(0, top, shape).astype(dtype)


def doubled(path, target):
    """Read, enlarge by repetition and write, as the command line does."""
    source = read_image(path)
    image = source.data.repeat(2, source.axes.index("Y")).repeat(
        2, source.axes.index("X")
    )
    write_image(target, upscaled_file(source, image, 2, {"made": "here", "scale": 2}))
    return source, image


@pytest.mark.promise("pixel size, ICC profile and ImageJ or OME metadata go along")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_imagej_stays_imagej_with_finer_pixels(dtype, tmp_path, rng):
    stack = noise(rng, (3, 2, 8, 9), dtype)
    metadata = {
        "axes": "TCYX",
        "unit": "um",
        "finterval": 2.5,
        "Ranges": (0, 99, 5, 200),
    }
    options = {"imagej": True, "resolution": (10, 5), "metadata": metadata}
    tifffile.imwrite(tmp_path / "in.tif", stack, **options)
    source, image = doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    assert source.axes == "TCYX"
    assert source.pixel_size == {"Y": 0.2, "X": 0.1, "T": 2.5}
    assert (source.unit, source.contrast_limits) == ("µm", [(0, 99), (5, 200)])
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert written.is_imagej
        np.testing.assert_array_equal(written.asarray(), image)
        assert written.series[0].axes == "TCYX"
        assert written.pages[0].tags["XResolution"].value == (20, 1)
        assert written.pages[0].tags["YResolution"].value == (10, 1)
        assert written.imagej_metadata["finterval"] == 2.5
        assert written.imagej_metadata["Ranges"] == (0, 99, 5, 200)
    again = read_image(tmp_path / "out.tif")
    assert again.provenance == {"made": "here", "scale": 2}
    assert again.pixel_size == {"Y": 0.1, "X": 0.05, "T": 2.5}


@pytest.mark.promise("pixel size, ICC profile and ImageJ or OME metadata go along")
def test_ome_stays_ome_with_finer_pixels(tmp_path, rng):
    stack = noise(rng, (2, 4, 8, 9), "uint16")
    metadata = {
        "axes": "CZYX",
        **{"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.4, "PhysicalSizeZ": 1.5},
        "Channel": {"Name": ["DAPI", "GFP"]},
    }
    tifffile.imwrite(tmp_path / "in.ome.tif", stack, metadata=metadata)
    source, image = doubled(tmp_path / "in.ome.tif", tmp_path / "out.ome.tif")
    assert source.pixel_size == {"X": 0.2, "Y": 0.4, "Z": 1.5}
    again = read_image(tmp_path / "out.ome.tif")
    np.testing.assert_array_equal(
        again.data.transpose([again.axes.index(a) for a in source.axes]), image
    )
    assert again.pixel_size == {"X": 0.1, "Y": 0.2, "Z": 1.5}
    assert (again.unit, again.channel_names) == ("µm", ("DAPI", "GFP"))
    assert again.provenance == {"made": "here", "scale": 2}


@pytest.mark.promise("pixel size, ICC profile and ImageJ or OME metadata go along")
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_plain_tiff_keeps_profile_and_resolution(compression, byteorder, tmp_path, rng):
    colours = noise(rng, (8, 9, 3), "uint16")
    tifffile.imwrite(
        tmp_path / "in.tif",
        colours,
        photometric="rgb",
        resolution=(300, 300),
        resolutionunit="INCH",
        compression=compression,
        byteorder=byteorder,
        iccprofile=ICC,
    )
    _, image = doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        page = written.pages[0]
        np.testing.assert_array_equal(page.asarray(), image)
        assert page.photometric == tifffile.PHOTOMETRIC.RGB
        assert page.tags["XResolution"].value == (600, 1)
        assert page.tags["ResolutionUnit"].value == 2
        assert page.iccprofile == ICC
    assert read_image(tmp_path / "out.tif").provenance == {"made": "here", "scale": 2}


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint32", "int32", "uint64", "int64", "float16", "float64"],
)
def test_tiff_holds_every_type(dtype, tmp_path, rng):
    image = ImageFile(noise(rng, (2, 6, 7), dtype), "ZYX", {"Y": 0.1, "X": 0.1}, "µm")
    write_image(tmp_path / "x.tif", image)
    again = read_image(tmp_path / "x.tif")
    assert again.data.dtype == image.data.dtype
    np.testing.assert_array_equal(again.data, image.data)


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 2), (8, 9, 3), (8, 9, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_keeps_its_depth(shape, dtype, tmp_path, rng):
    top = np.iinfo(dtype).max
    data = rng.integers(0, top, shape, endpoint=True).astype(dtype)
    axes = "YXS"[: len(shape)]
    image = ImageFile(data, axes, {"Y": 0.0254, "X": 0.0127}, "cm", icc=ICC)
    image.provenance = {"made": "here"}
    write_image(tmp_path / "x.png", image)
    decoded = imagecodecs.png_decode((tmp_path / "x.png").read_bytes())
    np.testing.assert_array_equal(decoded.reshape(shape), data)
    assert decoded.dtype == data.dtype
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.info["icc_profile"] == ICC
        assert picture.info["dpi"] == pytest.approx((200, 100), abs=0.1)
    again = read_image(tmp_path / "x.png")
    np.testing.assert_array_equal(again.data, data)
    assert again.provenance == {"made": "here"}


def test_png_palettes_and_bits_are_converted(tmp_path, rng):
    colours = Image.fromarray(noise(rng, (8, 9, 3), "uint8")).quantize(7)
    colours.save(tmp_path / "p.png")
    read = read_image(tmp_path / "p.png")
    np.testing.assert_array_equal(read.data, np.array(colours.convert("RGB")))
    assert read.notes == ("Palette colours were converted to RGB.",)
    bits = noise(rng, (8, 9), "bool")
    Image.fromarray(bits).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").data, bits)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation_is_applied_and_reset(orientation, tmp_path):
    ramp = np.add.outer(np.arange(16) * 12, np.arange(24) * 2).astype("uint8")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera"
    Image.fromarray(ramp).save(
        tmp_path / "in.jpg", quality=98, exif=exif, dpi=(300, 300)
    )
    source, image = doubled(tmp_path / "in.jpg", tmp_path / "out.jpg")
    from PIL import ImageOps

    with Image.open(tmp_path / "in.jpg") as picture:
        np.testing.assert_array_equal(
            source.data, np.array(ImageOps.exif_transpose(picture))
        )
    with Image.open(tmp_path / "out.jpg") as written:
        assert written.size == image.shape[::-1]
        assert written.getexif()[0x0112] == 1
        assert written.getexif()[0x010F] == "Camera"
        assert written.info["dpi"] == (600, 600)
        assert np.abs(np.array(written).astype(int) - image).max() < 12


def test_cmyk_becomes_rgb_with_a_notice(tmp_path):
    inks = np.zeros((16, 16, 4), "uint8")
    inks[:8, :, 0], inks[8:, :, 3] = 255, 255
    Image.fromarray(inks, "CMYK").save(tmp_path / "c.jpg", quality=100)
    read = read_image(tmp_path / "c.jpg")
    assert "CMYK was converted to RGB" in read.notes[0]
    np.testing.assert_allclose(read.data[2, 2], (0, 255, 255), atol=3)
    np.testing.assert_allclose(read.data[13, 2], (0, 0, 0), atol=3)


@pytest.mark.fault(
    "Images: a format that cannot hold the image",
    "It is refused before the work, with a format that can.",
)
@pytest.mark.parametrize(
    ("name", "axes", "shape", "dtype", "words"),
    [
        ("x.jpg", "YX", (4, 4), "uint16", r"cannot hold uint16 intensities; use .png"),
        (
            "x.jpg",
            "YX",
            (4, 4),
            "float32",
            r"cannot hold float32 intensities; use .tif",
        ),
        (
            "x.png",
            "YX",
            (4, 4),
            "float32",
            r"cannot hold float32 intensities; use .tif",
        ),
        ("x.jpg", "YXS", (4, 4, 4), "uint8", r"cannot hold transparency; use .png"),
        (
            "x.png",
            "ZYX",
            (2, 4, 4),
            "uint8",
            r"cannot hold a stack of planes; use .tif",
        ),
        ("x.bmp", "YX", (4, 4), "uint8", r"Cannot write .bmp"),
        ("x", "YX", (4, 4), "uint8", r"x, a name without suffix; end it in \.tif"),
    ],
)
def test_what_a_format_can_not_hold_is_refused_beforehand(
    name, axes, shape, dtype, words
):
    with pytest.raises(FileError, match=words):
        check_writable(name, axes, shape, np.dtype(dtype))
    assert "lossy" in check_writable("x.jpg", "YX", (4, 4), np.dtype("uint8"))


@pytest.mark.fault(
    "Images: file truncated, empty, missing or no image",
    "One sentence names the file and what is wrong; no half image is taken.",
)
def test_damaged_and_missing_files_get_one_sentence(tmp_path, rng):
    Image.fromarray(noise(rng, (64, 64, 3), "uint8")).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, noise(rng, (64, 64), "uint16"))
    faults = {
        "cut.png": whole[: len(whole) // 2],
        "cut.tif": tiff.getvalue()[:3000],
        "text.tif": b"hello",
        "empty.jpg": b"",
    }
    for name, contents in faults.items():
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(FileError) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match="There is no file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "none.doc").touch()
    with pytest.raises(FileError, match="no known format"):
        read_image(tmp_path / "none.doc")


@pytest.mark.fault(
    "Disk: an image that cannot be written",
    "The old file stays, nothing is left behind.",
)
def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(
    tmp_path, monkeypatch, rng
):
    target = tmp_path / "x.tif"
    target.write_bytes(b"old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(FileError, match="No space left on device"):
        write_image(target, ImageFile(noise(rng, (4, 4), "uint8"), "YX"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]
    assert target.read_bytes() == b"old"


def test_layers_are_saved_with_pixel_size_and_provenance(tmp_path, rng):
    stack = noise(rng, (3, 8, 9), "uint16")
    attributes = {
        "scale": (2.0, 0.5, 0.25),
        "units": ("micrometer",) * 3,
        "axis_labels": ("z", "y", "x"),
        "rgb": False,
        "metadata": {"napari-edsr": {"scale": 2}},
    }
    (path,) = napari_write(str(tmp_path / "layer"), stack, attributes)
    read = read_image(path)
    assert (path, read.axes) == (str(tmp_path / "layer.tif"), "ZYX")
    np.testing.assert_array_equal(read.data, stack)
    assert read.pixel_size == {"Z": 2.0, "Y": 0.5, "X": 0.25}
    assert (read.unit, read.provenance) == ("µm", {"scale": 2})
    series = {**attributes, "units": ("second", "um", "um")}
    series["axis_labels"] = ("T", "Y", "X")
    (path,) = napari_write(str(tmp_path / "series.tif"), stack, series)
    assert read_image(path).pixel_size == {"T": 2.0, "Y": 0.5, "X": 0.25}
    colours = noise(rng, (8, 9, 3), "uint8")
    (path,) = napari_write(str(tmp_path / "c.png"), colours, {"rgb": True})
    np.testing.assert_array_equal(read_image(path).data, colours)


@pytest.mark.promise("TIFF, OME-TIFF, PNG or JPEG with pixel size and provenance")
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".png", ".jpg"])
def test_every_format_holds_pixel_size_and_provenance(suffix, tmp_path):
    grey = np.add.outer(np.arange(16), np.arange(24)).astype("u1") * 4
    (path,) = napari_write(
        str(tmp_path / f"layer{suffix}"),
        grey,
        {
            "scale": (0.05, 0.025),
            "units": ("millimeter",) * 2,
            "metadata": {"napari-edsr": {"scale": 2, "model": "tiny"}},
        },
    )
    assert path.endswith(suffix)
    read = read_image(path)
    lossy = suffix == ".jpg"
    np.testing.assert_allclose(read.data.astype(int), grey, atol=3 if lossy else 0)
    assert read.provenance == {"scale": 2, "model": "tiny"}
    millimetres = {"mm": 1, "inch": 25.4}[read.unit]
    size = {axis: length * millimetres for axis, length in read.pixel_size.items()}
    assert size == pytest.approx({"Y": 0.05, "X": 0.025}, rel=1e-3)
