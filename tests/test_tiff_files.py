"""TIFF in all its kinds: stored as it came, colours as they are meant."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edsr.errors import FileError
from napari_edsr.files import (
    ImageFile,
    read_image,
    tiff_write,
    upscaled_file,
    write_image,
)
from napari_edsr.units import converted


def doubled(path, target):
    """Read, enlarge by repetition and write, as the command line does."""
    source = read_image(path)
    y, x = source.axes.index("Y"), source.axes.index("X")
    image = source.data.repeat(2, y).repeat(2, x)
    write_image(target, upscaled_file(source, image, 2, {"made": "here"}))
    return source, image


@pytest.fixture
def rgba(rng):
    return rng.integers(0, 255, (8, 9, 4)).astype("uint8")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16"])
def test_white_as_zero_stays_so_in_tiff_and_turns_in_png(dtype, tmp_path, rng):
    stored = rng.integers(0, 2, (8, 9)).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="miniswhite")
    source, image = doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    np.testing.assert_array_equal(source.data, stored)
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert written.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE
        np.testing.assert_array_equal(written.asarray(), image)
    doubled(tmp_path / "in.tif", tmp_path / "out.png")
    np.testing.assert_array_equal(read_image(tmp_path / "out.png").data, ~image)


def test_luma_and_chroma_become_rgb(tmp_path):
    colours = np.full((10, 12, 3), (200, 50, 0), np.uint8)
    colours[5:] = (10, 250, 90)
    stored = np.asarray(Image.fromarray(colours).convert("YCbCr"))
    for compression in (None, "deflate"):
        options = {"photometric": "ycbcr", "compression": compression}
        tifffile.imwrite(tmp_path / "in.tif", stored, subsampling=(1, 1), **options)
        image = read_image(tmp_path / "in.tif")
        assert image.axes == "YXS" and "YCbCr was converted to RGB." in image.notes
        assert np.abs(image.data.astype(int) - colours).max() <= 2
        doubled(tmp_path / "in.tif", tmp_path / "out.tif")
        assert (
            np.abs(tifffile.imread(tmp_path / "out.tif")[0, 0] - [200, 50, 0]).max()
            <= 2
        )


def test_the_size_of_a_slide_is_read_and_not_left_wrong(rgba, tmp_path):
    text = "Aperio Image Library v1\n9x8 -> 9x8|AppMag = 20|MPP = 0.4990|Left = 1"
    options = {"photometric": "rgb", "description": text, "metadata": None}
    tifffile.imwrite(tmp_path / "in.tif", rgba[..., :3], **options)
    image = read_image(tmp_path / "in.tif")
    assert (image.pixel_size, image.unit) == ({"Y": 0.499, "X": 0.499}, "µm")
    doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert "MPP" not in written.pages[0].description
    found = read_image(tmp_path / "out.tif")
    assert converted(found.pixel_size["X"], found.unit, "µm") == pytest.approx(
        0.2495, rel=1e-4
    )


def test_the_size_of_a_confocal_stack_is_read(tmp_path, rng, monkeypatch):
    """tifffile writes no LSM; what it reads in one is set here."""
    stack = rng.integers(0, 255, (2, 3, 8, 9)).astype("uint8")
    options = {"photometric": "minisblack", "metadata": {"axes": "TZYX"}}
    tifffile.imwrite(tmp_path / "a.lsm", stack, **options)
    told = {"VoxelSizeX": 1e-7, "VoxelSizeY": 2e-7, "VoxelSizeZ": 5e-7}
    told["TimeIntervall"] = 1.5
    monkeypatch.setattr(tifffile.TiffFile, "is_lsm", True, raising=False)
    monkeypatch.setattr(tifffile.TiffFile, "lsm_metadata", told)
    monkeypatch.setattr(tifffile.TiffFile, "_series_lsm", lambda self: None)
    image = read_image(tmp_path / "a.lsm")
    sizes = {"X": 0.1, "Y": 0.2, "Z": 0.5, "T": 1.5}
    assert image.pixel_size == pytest.approx(sizes) and image.unit == "µm"


@pytest.mark.parametrize(
    ("unit", "interval"),
    [("ms", 0.05), ("sec", 50.0), ("min", 3000.0), ("moons", None)],
)
def test_intervals_of_imagej_in_any_unit(tmp_path, rng, unit, interval):
    stack = rng.integers(0, 255, (3, 8, 9)).astype("uint16")
    about = {"axes": "TYX", "finterval": 50, "tunit": unit}
    tifffile.imwrite(tmp_path / "in.tif", stack, imagej=True, metadata=about)
    for name in ("in.tif", "out.tif", "out.ome.tif"):
        image = read_image(tmp_path / name)
        assert image.pixel_size.get("T") == (interval and pytest.approx(interval))
        doubled(tmp_path / "in.tif", tmp_path / "out.tif")
        doubled(tmp_path / "in.tif", tmp_path / "out.ome.tif")


def test_premultiplied_alpha_stays_so_in_tiff_and_is_divided_in_png(tmp_path):
    half = np.full((4, 5, 4), (50, 100, 128, 128), "uint8")
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    tifffile.imwrite(tmp_path / "in.tif", half, **options)
    _, image = doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert written.pages[0].extrasamples == (tifffile.EXTRASAMPLE.ASSOCALPHA,)
        np.testing.assert_array_equal(written.asarray(), image)
    doubled(tmp_path / "in.tif", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.getpixel((0, 0)) == (100, 199, 255, 128)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_and_not_written(orientation, rgba, tmp_path):
    options = {"photometric": "rgb", "resolution": (100, 50), "resolutionunit": "INCH"}
    options["extratags"] = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "in.tif", rgba[..., :3], **options)
    plain = Image.fromarray(rgba[..., :3])
    turns = [None, 0, 3, 1, 5, 4, 6, 2]  # Image.Transpose, by EXIF's number less 1
    turn = turns[orientation - 1]
    upright = plain if turn is None else plain.transpose(Image.Transpose(turn))
    source, _ = doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    np.testing.assert_array_equal(source.data, np.array(upright))
    expected = (100, 200) if orientation > 4 else (200, 100)
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert 274 not in written.pages[0].tags
        assert written.pages[0].get_resolution() == expected


def test_palettes_are_colours_but_imagej_lookup_tables_are_kept(rgba, tmp_path, rng):
    table = rng.integers(0, 65535, (3, 256), dtype="uint16")
    grey = rgba[..., 0]
    options = {"photometric": "palette", "colormap": table}
    tifffile.imwrite(tmp_path / "plain.tif", grey, **options)
    read = read_image(tmp_path / "plain.tif")
    np.testing.assert_array_equal(read.data, np.moveaxis(table[:, grey] >> 8, 0, -1))
    assert read.notes == ("The palette was converted to RGB.",)
    tifffile.imwrite(tmp_path / "ij.tif", grey, imagej=True, **options)
    _, image = doubled(tmp_path / "ij.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        np.testing.assert_array_equal(written.pages[0].asarray(), image)
        np.testing.assert_array_equal(written.pages[0].colormap, table)


def test_samples_are_channels_where_no_colour_is_meant(rgba, tmp_path):
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "in.tif", rgba, **options)
    source, _ = doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    assert source.axes == "CYX"
    np.testing.assert_array_equal(source.data, np.moveaxis(rgba, -1, 0))
    planes = np.moveaxis(rgba[..., :3], -1, 0)
    options = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "rgb.tif", planes, **options)
    read = read_image(tmp_path / "rgb.tif")
    assert read.axes == "YXS"
    np.testing.assert_array_equal(read.data, rgba[..., :3])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_inks_become_rgb(dtype, tmp_path):
    white = np.iinfo(dtype).max
    inks = np.array([[(0, 0, 0, 0), (white, 0, 0, 0), (0, 0, 0, white)]], dtype)
    tifffile.imwrite(tmp_path / "in.tif", inks, photometric="separated")
    read = read_image(tmp_path / "in.tif")
    expected = [[(white,) * 3, (0, white, white), (0, 0, 0)]]
    np.testing.assert_array_equal(read.data, np.array(expected, dtype))
    assert "CMYK" in read.notes[0]


def test_what_an_older_tifffile_says_of_the_shape_is_no_description(tmp_path, rng):
    stack = rng.integers(0, 255, (2, 9, 8), np.uint8)
    said = '{"axes": "ZYX", "shape": [2, 9, 8], "napari-edsr": {"model": "m"}}'
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, stack, description=said, metadata=None)
    image = read_image(path)
    assert image.axes == "ZYX"
    assert "description" not in image.metadata
    assert image.provenance == {"model": "m"}


def test_a_camera_description_stays_and_imagej_origins_scale(rgba, tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", rgba[..., 0], description="my camera")
    doubled(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert written.pages[0].description == "my camera"
    again = read_image(tmp_path / "out.tif")
    assert again.metadata["description"] == "my camera"
    assert again.provenance == {"made": "here"}
    metadata = {"xorigin": 3.0, "Info": "two\nlines", "unit": "um"}
    tifffile.imwrite(tmp_path / "ij.tif", rgba[..., 0], imagej=True, metadata=metadata)
    doubled(tmp_path / "ij.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as written:
        assert written.imagej_metadata["xorigin"] == 6
        assert written.imagej_metadata["Info"].startswith("two\nlines\nnapari-edsr: ")


def test_the_first_series_at_full_resolution_is_read(tmp_path, rng):
    plane = rng.integers(0, 255, (64, 64)).astype("uint8")
    with tifffile.TiffWriter(tmp_path / "pyramid.ome.tif") as tif:
        tif.write(plane, subifds=1, tile=(32, 32), metadata={"axes": "YX"})
        tif.write(plane[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_image(tmp_path / "pyramid.ome.tif").data, plane)
    with tifffile.TiffWriter(tmp_path / "two.tif") as tif:
        tif.write(plane, metadata=None)
        tif.write(plane[:9, :8], metadata=None)
    read = read_image(tmp_path / "two.tif")
    np.testing.assert_array_equal(read.data, plane)
    assert read.notes == ("Of 2 images in the file the first is used.",)


def test_ome_keeps_channels_planes_and_annotations(tmp_path, rng):
    stack = rng.integers(0, 255, (2, 3, 8, 9)).astype("uint8")
    metadata = {"axes": "CZYX", "PhysicalSizeX": 100, "PhysicalSizeXUnit": "nm"}
    metadata |= {"PhysicalSizeY": 0.1, "PhysicalSizeYUnit": "µm", "Name": "slide 3"}
    metadata["Channel"] = {"Name": ["DAPI", "GFP"], "Color": [255, 65280]}
    metadata["Plane"] = {"ExposureTime": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}
    metadata["MapAnnotation"] = {"stain": "H&E"}
    tifffile.imwrite(tmp_path / "in.ome.tif", stack, metadata=metadata)
    source, image = doubled(tmp_path / "in.ome.tif", tmp_path / "out.ome.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.ome.tif"), image)
    assert source.pixel_size == pytest.approx({"X": 100, "Y": 100})
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as written:
        xml = tifffile.xml2dict(written.ome_metadata)["OME"]
    pixels = xml["Image"]["Pixels"]
    assert xml["Image"]["Name"] == "slide 3"
    assert [channel["Color"] for channel in pixels["Channel"]] == [255, 65280]
    exposures = {(p["TheC"], p["TheZ"]): p["ExposureTime"] for p in pixels["Plane"]}
    assert exposures[0, 2] == 0.3
    assert exposures[1, 0] == 0.4
    assert pixels["PhysicalSizeX"] == 50
    pair = xml["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]
    assert (pair["K"], pair["value"]) == ("stain", "H&E")


def test_what_imagej_can_not_address_becomes_ome(monkeypatch, tmp_path):
    monkeypatch.setattr(tiff_write, "_CLASSIC_LIMIT", 1000)
    metadata = {"container": "imagej", "imagej": {}}
    for side, kind in ((20, "imagej"), (40, "ome")):
        image = ImageFile(np.zeros((side, side), "uint8"), "YX", metadata=metadata)
        write_image(tmp_path / "x.tif", image)
        assert read_image(tmp_path / "x.tif").metadata["container"] == kind


@pytest.mark.parametrize("share", [0.999, 0.6, 0.2])
@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True},
        {"metadata": None},
        {"metadata": None, "compression": "lzw"},
        {"metadata": None, "tile": (16, 16)},
        {"ome": True},
        {},
    ],
)
def test_a_file_cut_short_is_refused(options, share, tmp_path, rng):
    stack = rng.integers(0, 60000, (6, 64, 64), dtype="uint16")
    tifffile.imwrite(tmp_path / "x.tif", stack, photometric="minisblack", **options)
    whole = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FileError, match=r"^[^\n]*cut\.tif[^\n]*\.$"):
        read_image(tmp_path / "cut.tif")


def test_colours_no_screen_shows_are_refused(tmp_path):
    Image.new("LAB", (5, 4)).save(tmp_path / "x.tif")
    with pytest.raises(FileError, match="CIELAB colours; convert it to RGB first"):
        read_image(tmp_path / "x.tif")
