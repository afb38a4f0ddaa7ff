"""Files as instruments, scanners and phones leave them, beyond the usual."""

import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from stored_files import files_of

from napari_edsr.errors import EDSRWarning, FileError
from napari_edsr.files import read_image, tiff_read, write_image
from napari_edsr.files.common import ImageFile
from napari_edsr.stores.read import read_zarr

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {}/></x:xmpmeta>'
)


def noise(rng, shape, dtype="uint8"):
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((2, 9, 10), "ZYX"),
        ((2, 3, 9, 10), "TZYX"),
        ((2, 2, 3, 9, 10), "WTZYX"),
        ((1, 1, 9, 10), "TZYX"),
        ((2, 2, 9, 10, 3), "TZYXS"),
    ],
)
def test_axes_that_a_tiff_does_not_name(tmp_path, rng, shape, axes):
    data = noise(rng, shape, "uint16")
    photometric = "rgb" if shape[-1] == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=photometric)
    image = read_image(tmp_path / "a.tif")
    assert image.axes == axes
    np.testing.assert_array_equal(image.data, data)
    assert any(f"taken as {axes}" in note for note in image.notes)
    named = (
        "WTZYXS"[-len(shape) :] if photometric == "rgb" else "QPCTZYX"[-len(shape) :]
    )
    asked = read_image(tmp_path / "a.tif", named)
    assert asked.axes == named
    assert not any("taken as" in note for note in asked.notes)


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_are_spread_over_eight(tmp_path, rng, bits):
    data = rng.integers(0, 2**bits, (9, 16), dtype=np.uint8)
    each = np.unpackbits(data, axis=1).reshape(9, 16, 8)[..., -bits:]
    packed = np.packbits(each.reshape(9, -1), axis=1).tobytes()
    tifffile.imwrite(
        tmp_path / "a.tif", iter([packed]), shape=(9, 16), dtype="u1",
        bitspersample=bits, rowsperstrip=9,
    )  # fmt: skip
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, data * (255 // (2**bits - 1)))
    assert f"{bits} bits were spread" in image.notes[-1]


def test_inks_beyond_cmyk_are_refused(tmp_path, rng):
    data = noise(rng, (8, 8, 5))
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="separated", extrasamples=["unassalpha"]
    )
    with pytest.raises(FileError, match="extra inks"):
        read_image(tmp_path / "a.tif")


def test_samples_beyond_colour_and_alpha_become_channels_and_it_is_said(tmp_path, rng):
    data = noise(rng, (8, 9, 5))
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="rgb", extrasamples=["unassalpha"] * 2
    )
    image = read_image(tmp_path / "a.tif")
    assert (image.axes, image.data.shape) == ("CYX", (5, 8, 9))
    assert "separate channels" in image.notes[0]


@pytest.mark.parametrize("quote", ['"', "'"])
def test_an_orientation_that_only_xmp_knows(tmp_path, rng, quote):
    picture = Image.fromarray(noise(rng, (12, 20, 3)))
    xmp = XMP.format(f"tiff:Orientation={quote}6{quote}").encode()
    picture.save(tmp_path / "a.jpg", xmp=xmp, quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert image.data.shape == (20, 12, 3)
    write_image(tmp_path / "b.jpg", image)
    with Image.open(tmp_path / "b.jpg") as written:
        assert written.size == (12, 20)
        assert f"tiff:Orientation={quote}1{quote}".encode() in written.info["xmp"]
    write_image(tmp_path / "b.png", image)
    assert read_image(tmp_path / "b.png").data.shape == (20, 12, 3)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
def test_xmp_of_a_png_is_read_whole(tmp_path, rng, compressed, depth):
    info = PngInfo()
    xmp = XMP.format('tiff:Orientation="6"')
    info.add_itxt("XML:com.adobe.xmp", xmp, zip=compressed)
    Image.fromarray(noise(rng, (12, 20), depth)).save(tmp_path / "a.png", pnginfo=info)
    image = read_image(tmp_path / "a.png")
    assert image.metadata["xmp"] == xmp.encode()
    assert image.data.shape == (20, 12)


@pytest.mark.parametrize("compressed", [False, True])
def test_xmp_of_a_png_stays_upright_in_a_png(tmp_path, rng, compressed):
    info = PngInfo()
    xmp = XMP.format('tiff:Orientation="6"')
    info.add_itxt("XML:com.adobe.xmp", xmp, zip=compressed)
    Image.fromarray(noise(rng, (12, 20))).save(tmp_path / "a.png", pnginfo=info)
    image = read_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").data, image.data)


@pytest.mark.parametrize("block", ["exif", "xmp"])
def test_what_is_too_long_for_jpeg_is_left_out_and_said(tmp_path, rng, block):
    exif = Image.Exif()
    exif[0x010E] = "k" * 70_000
    about = {"exif": exif.tobytes(), "xmp": b"<x>" + b"k" * 66_000}
    image = ImageFile(noise(rng, (12, 20)), "YX", metadata={block: about[block]})
    with pytest.warns(EDSRWarning, match=f"{block.upper()} block is too long for JPEG"):
        write_image(tmp_path / "a.jpg", image)
    assert read_image(tmp_path / "a.jpg").data.shape == (12, 20)


def test_exif_goes_before_xmp(tmp_path, rng):
    exif = Image.Exif()
    exif[0x0112] = 3
    picture = Image.fromarray(noise(rng, (12, 20, 3)))
    xmp = XMP.format('tiff:Orientation="6"').encode()
    picture.save(tmp_path / "a.jpg", xmp=xmp, exif=exif.tobytes())
    assert read_image(tmp_path / "a.jpg").data.shape == (12, 20, 3)


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [(500.0, "ms", 0.5), (2.0, "min", 120.0), (3.0, "s", 3.0)],
)
def test_frame_intervals_in_any_unit(tmp_path, rng, value, unit, seconds):
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        noise(rng, (3, 8, 8)),
        metadata={"axes": "TYX", "TimeIncrement": value, "TimeIncrementUnit": unit},
    )
    assert read_image(tmp_path / "a.ome.tif").pixel_size["T"] == pytest.approx(seconds)


def test_photographs_larger_than_pillow_expects(tmp_path, rng, monkeypatch):
    Image.fromarray(noise(rng, (40, 50))).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png").data.shape == (40, 50)
    assert Image.MAX_IMAGE_PIXELS == 500


@pytest.mark.fault(
    "Images: file truncated, empty, missing or no image",
    "One sentence names the file and what is wrong; no half image is taken.",
)
@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("a.tif", b"II*\0\x08\0\0\0\xff\xff" + bytes(range(256))),
        ("b.tif", b"just a text"),
        ("c.png", b"\x89PNG\r\n\x1a\n" + bytes(40)),
        ("d.jpg", b"\xff\xd8\xff\xe0" + bytes(10)),
    ],
)
def test_damage_is_described_without_a_librarys_insides(tmp_path, name, contents):
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(FileError, match=name) as caught:
        read_image(tmp_path / name)
    assert not any(word in str(caught.value) for word in ("<", "object", "attribute"))


@pytest.mark.fault(
    "Images: file truncated, empty, missing or no image",
    "One sentence names the file and what is wrong; no half image is taken.",
)
def test_a_photograph_that_ends_too_early(tmp_path, rng):
    Image.fromarray(noise(rng, (64, 64, 3))).save(tmp_path / "a.jpg", quality=95)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="a.jpg cannot be read: it is cut short; copy"):
        read_image(tmp_path / "a.jpg")


def test_a_missing_folder_is_called_missing(tmp_path):
    with pytest.raises(FileError, match="There is no file"):
        read_image(tmp_path / "missing")


def test_files_are_written_for_any_number_of_leading_axes(tmp_path, rng):
    data = noise(rng, (2, 1, 2, 3, 8, 9), "uint16")
    write_image(tmp_path / "a.tif", ImageFile(data, "VWTZYX"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data.squeeze(),
                                  data.squeeze())  # fmt: skip


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("dtype", [">u2", ">f4", "<i8", ">u8"])
def test_numbers_are_this_machines_however_they_are_read(
    tmp_path, monkeypatch, dtype, in_memory
):
    """Zarr does not know all names of the types that C has."""
    data = np.arange(6 * 50).reshape(6, 50).astype(dtype)
    order = ">" if dtype[0] == ">" else "<"
    tifffile.imwrite(tmp_path / "a.tif", data, byteorder=order)
    monkeypatch.setattr(tiff_read, "_SHARE_IN_MEMORY", float(in_memory))
    found = read_image(tmp_path / "a.tif").data
    assert found.dtype.str == np.dtype(dtype[1:]).str
    assert found.dtype.char == np.dtype(np.dtype(dtype).name).char
    np.testing.assert_array_equal(np.asarray(found), data)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_long_integers_go_into_ome_zarr(run, tiny, tmp_path, dtype):
    data = np.arange(8 * 9).reshape(8, 9).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", data)
    arguments = (tmp_path / "a.tif", tmp_path / "o.ome.zarr", "--model", tiny)
    assert run("upscale", *arguments)[0] == 0
    assert read_zarr(tmp_path / "o.ome.zarr").data.dtype == dtype


def test_planes_that_are_missing_are_told(tmp_path, rng):
    data = noise(rng, (3, 8, 9))
    tifffile.imwrite(tmp_path / "whole.ome.tif", data, metadata={"axes": "ZYX"})
    xml = tifffile.tiffcomment(tmp_path / "whole.ome.tif")
    declared = xml.replace('SizeZ="3"', 'SizeZ="5"').replace(
        'PlaneCount="3"', 'PlaneCount="5"'
    )
    path = tmp_path / "short.ome.tif"
    options = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(path, data, description=declared.encode(), **options)
    image = read_image(path)
    assert image.data.shape == (5, 8, 9)
    np.testing.assert_array_equal(image.data[:3], data)
    assert any("2 of 5 planes are missing" in note for note in image.notes)
    assert not read_image(tmp_path / "whole.ome.tif").notes


def test_pages_with_palettes_of_their_own_are_refused(tmp_path):
    ramp, none = np.arange(256, dtype="u2") * 257, np.zeros(256, "u2")
    page = np.arange(64, dtype="u1").reshape(8, 8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for colours in ([ramp, none, none], [none, ramp, none]):
            writer.write(page, photometric="palette", colormap=colours, metadata=None)
    with pytest.raises(FileError, match="palettes of their own; convert it to RGB"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_a_step_in_a_unit_of_its_own(tmp_path, rng, suffix):
    """ImageJ may give each axis one."""
    metadata = {"axes": "ZYX", "unit": "micron", "spacing": 200.0, "zunit": "nm"}
    tifffile.imwrite(
        tmp_path / "a.tif", noise(rng, (2, 8, 9)), imagej=True,
        resolution=(4, 4), metadata=metadata,
    )  # fmt: skip
    image = read_image(tmp_path / "a.tif")
    assert image.pixel_size == pytest.approx({"Z": 0.2, "Y": 0.25, "X": 0.25})
    write_image(tmp_path / f"b{suffix}", image)
    again = read_image(tmp_path / f"b{suffix}")
    assert (again.unit, again.pixel_size) == ("µm", pytest.approx(image.pixel_size))


@pytest.mark.parametrize(
    ("unit", "written"), [("Å", "Å"), ("km", "km"), ("inch", "in"), ("furlong", None)]
)
def test_ome_has_no_unit_but_those_of_its_schema(tmp_path, rng, unit, written):
    sizes = {"Y": 0.5, "X": 0.5}
    image = ImageFile(noise(rng, (8, 9), "uint16"), "YX", sizes, unit)
    write_image(tmp_path / "a.ome.tif", image)
    xml = tifffile.tiffcomment(tmp_path / "a.ome.tif").replace("&#197;", "Å")
    assert (f'PhysicalSizeXUnit="{written}"' in xml) == (written is not None)
    assert ("PhysicalSizeX=" in xml) == (written is not None)


def test_a_unit_that_imagej_cannot_spell(tmp_path, rng):
    """Its own metadata take ASCII alone."""
    sizes = {"Y": 0.5, "X": 0.5}
    image = ImageFile(noise(rng, (8, 9), "uint16"), "YX", sizes, "Å")
    write_image(tmp_path / "a.tif", image)
    again = read_image(tmp_path / "a.tif")
    assert (again.unit, again.pixel_size) == ("Å", sizes)


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_axes_that_ome_zarr_has_not_are_refused_first(run, tiny, tmp_path, rng, more):
    tifffile.imwrite(tmp_path / "a.tif", noise(rng, (2, 3, 2, 8, 9)))
    arguments = (tmp_path / "a.tif", tmp_path / "o.ome.zarr", "--model", tiny)
    code, _, error = run("upscale", *arguments, *more)
    assert code == 1
    assert error.strip().endswith(
        "name axes among T, C, Z, Y and X, or upscale in memory."
    )
    assert not (tmp_path / "o.ome.zarr").exists()


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("i.ome.zarr", "i.ome.zarr/o.ome.zarr"),
        ("i.ome.zarr", "i.ome.zarr/o.tif"),
        ("w.ome.zarr/a.tif", "w.ome.zarr"),
        ("i.ome.zarr", "o.tif --consistency i.ome.zarr/c.tif"),
    ],
)
def test_outputs_inside_of_inputs_and_around_them(
    run, tiny, tmp_path, rng, source, target
):
    tifffile.imwrite(tmp_path / "a.tif", noise(rng, (8, 9)))
    made = tmp_path / "i.ome.zarr"
    run("upscale", tmp_path / "a.tif", made, "--model", tiny)
    (tmp_path / "w.ome.zarr").mkdir()
    (tmp_path / "a.tif").rename(tmp_path / "w.ome.zarr" / "a.tif")
    before = files_of(tmp_path)
    outputs = [tmp_path / name if "." in name else name for name in target.split()]
    arguments = (tmp_path / source, *outputs, "--model", tiny, "--overwrite")
    code, _, error = run("upscale", *arguments)
    assert code == 1 and "name an output beside it." in error
    assert files_of(tmp_path) == before


def test_an_ome_tiff_whose_metadata_lie_elsewhere(tmp_path, rng):
    data = noise(rng, (8, 9))
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/'
        '2016-06"><BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", data, description=xml, metadata=None)
    image = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.data, data)
    assert any("stands in a.companion.ome" in note for note in image.notes)
