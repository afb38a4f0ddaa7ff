"""TIFF in: ImageJ, OME and plain files, by way of tifffile."""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_edsr.errors import FileError
from napari_edsr.files import ome
from napari_edsr.files.colour import cmyk_to_rgb
from napari_edsr.files.common import (
    PROVENANCE,
    ImageFile,
    arranged,
    blank,
    native,
    native_dtype,
    parsed_provenance,
    positive,
    provenance_line,
    renamed,
    upright,
    upright_sizes,
)
from napari_edsr.images import as_dask, leading_axes
from napari_edsr.plan import free_memory
from napari_edsr.units import converted, unit_name

_P = tifffile.PHOTOMETRIC
_UNREADABLE: dict[int, str] = {
    _P.CIELAB: "CIELAB colours",
    _P.ICCLAB: "ICC Lab colours",
    _P.ITULAB: "ITU Lab colours",
    _P.CFA: "a camera's raw mosaic",
    _P.LOGL: "LogL luminances",
    _P.LOGLUV: "LogLuv colours",
}
#: Of the free memory, which an image may take to be read as a whole.
_SHARE_IN_MEMORY = 0.25
_UNSPECIFIED = 0
_INKS = 4
_MOST_SAMPLES = 4  # of a pixel: RGB and alpha
_MOST_AXES = 12
_DAMAGE = ("invalid page offset", "corrupt", "invalid value offset", "metadata invalid")
_LOSSLESS = ("LZW", "ADOBE_DEFLATE", "DEFLATE", "ZSTD", "PACKBITS")
#: Items of an ImageJ file that are made anew, or lie at positions that change.
_IMAGEJ_DROPPED = ("images", "channels", "slices", "frames", "hyperstack", "ImageJ")
_IMAGEJ_PLACED = ("ROI", "Overlays", "Plot")
_APERIO_SIZE = re.compile(r"\|\s*MPP\s*=\s*(\d+\.?\d*)")  # micrometres per pixel


def read_tiff(path: Path, axes: str | None = None, *, pixels: bool = True) -> ImageFile:
    """Read the first image series of a TIFF at full resolution.

    Parameters
    ----------
    path : pathlib.Path
        A file that starts with a TIFF header.
    axes : str, optional
        Instead of those in the file's metadata.
    pixels : bool
        Whether to read them; zeros stand for them otherwise.

    Raises
    ------
    FileError
        If it is cut short, damaged, or holds colours that need converting first.
    """
    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        _refuse_damage(path, complaints)
        page = series.keyframe
        kind = _UNREADABLE.get(page.photometric)
        if kind:
            raise FileError(f"{path.name} holds {kind}; convert it to RGB first.")
        _check_complete(path, series)
        blanks = blank(series.shape, series.dtype)
        image = ImageFile(_pixels(path, series) if pixels else blanks, series.axes)
        guessed = _name_unknown_axes(image)
        _refuse_damage(path, complaints)
        _read_metadata(tif, series, image)
        _refuse_several_palettes(path, series)
        _convert_colours(page, image, axes)
        if guessed and axes is None:
            image.notes += (
                f"The file does not name all its axes; taken as {image.axes}.",
            )
        return _upright_image(page, image)


def _pixels(path: Path, series: Any) -> Any:
    """An array; of a large image one that is read part by part."""
    if series.nbytes <= _SHARE_IN_MEMORY * free_memory():
        return native(series.asarray())
    try:
        import dask.array  # noqa: F401
        import zarr
    except ImportError as error:
        if series.nbytes <= free_memory():
            return native(series.asarray())
        raise FileError(
            f"{path.name} takes {series.nbytes / 1e9:.1f} GB of memory, more than is free; "
            "pip install 'napari-edsr[large]' to read it part by part."
        ) from error
    if series.dataoffset is not None:  # one piece, without compression
        return as_dask(_Mapped(path, series))
    store = tifffile.imread(path, aszarr=True, series=0, level=0)
    array = zarr.open_array(store, mode="r")
    weakref.finalize(array, store.close)  # the file, with the last that reads it
    return as_dask(array)


class _Mapped:
    """Pixels that lie in one piece in a file, mapped only while they are read."""

    def __init__(self, path: Path, series: Any) -> None:
        order = series.keyframe.parent.byteorder
        self.shape, self.ndim = series.shape, len(series.shape)
        self.dtype = native_dtype(series.dtype)
        self._stored = series.dtype.newbyteorder(order)
        self._path, self._offset = path, series.dataoffset

    def __getitem__(self, index: Any) -> NDArray:
        pixels = np.memmap(self._path, self._stored, "r", self._offset, self.shape)
        return native(np.array(pixels[index]))


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs as errors: it reads on, with planes missing."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, logger = Collector(logging.ERROR), logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def _refuse_damage(path: Path, complaints: list[str]) -> None:
    if any(sign in message for message in complaints for sign in _DAMAGE):
        raise FileError(
            f"{path.name} is damaged or cut short; copy or export it again."
        )


def _check_complete(path: Path, series: Any) -> None:
    for page in series.pages:
        if page is None:
            continue
        size = page.parent.filehandle.size
        pieces = zip(page.dataoffsets, page.databytecounts, strict=True)
        if any(offset + count > size for offset, count in pieces):
            _refuse_damage(path, ["corrupt"])


def _name_unknown_axes(image: ImageFile) -> bool:
    """Whether tifffile called axes Q, of which the file says nothing; they get letters."""
    unknown = image.axes.count("Q")
    free = [axis for axis in leading_axes(_MOST_AXES) if axis not in image.axes]
    letters = iter(free[len(free) - unknown :])
    image.axes = "".join(next(letters) if a == "Q" else a for a in image.axes)
    return unknown > 0


def _read_metadata(tif: Any, series: Any, image: ImageFile) -> None:
    page = series.keyframe
    image.icc = page.iccprofile
    image.metadata["compression"] = _compression(page)
    _from_tags(page, image)
    if tif.is_ome:
        ome.read_ome(tif.ome_metadata, image)
    elif tif.is_imagej:
        _from_imagej(tif.imagej_metadata, image)
    else:
        _from_plain(tif, page, image)
    if tif.is_lsm:
        _from_lsm(tif.lsm_metadata, image)
    missing = sum(page is None for page in series.pages)
    if missing:
        image.notes += (
            f"{missing} of {len(series.pages)} planes are missing, and black: the file "
            "was cut short, or others of the image do not lie beside it.",
        )
    if len(tif.series) > 1:
        image.notes += (f"Of {len(tif.series)} images in the file the first is used.",)


def _compression(page: Any) -> str | None:
    name = page.compression.name
    if name == "NONE":
        return None
    return name if name in _LOSSLESS else "ADOBE_DEFLATE"


def _from_tags(page: Any, image: ImageFile) -> None:
    x, y = (_per_unit(page.tags.get(code)) for code in (282, 283))
    unit_tag = page.tags.get(296)
    unit = {2: "inch", 3: "cm"}.get(int(unit_tag.value) if unit_tag else 2, "")
    if x is None or y is None or (not unit and x == y == 1):
        return
    image.pixel_size, image.unit = {"Y": 1 / y, "X": 1 / x}, unit


def _per_unit(tag: Any) -> float | None:
    if tag is None or not isinstance(tag.value, tuple) or not tag.value[1]:
        return None
    return positive(tag.value[0] / tag.value[1])


def _from_imagej(metadata: dict[str, Any], image: ImageFile) -> None:
    image.metadata["container"] = "imagej"
    dropped = (*_IMAGEJ_DROPPED, *_IMAGEJ_PLACED)
    kept = {key: value for key, value in metadata.items() if key not in dropped}
    image.metadata["imagej"] = kept
    if any(key in metadata for key in ("ROI", "Overlays")):
        image.notes += ("ImageJ's overlays are left out.",)
    if "unit" in metadata:
        image.unit = unit_name(metadata["unit"])
    if "Z" in image.axes and positive(metadata.get("spacing")):
        image.pixel_size["Z"] = float(metadata["spacing"])
    _convert_own_units(kept, image)
    if "T" in image.axes and positive(metadata.get("finterval")):
        image.set_interval(float(metadata["finterval"]), metadata.get("tunit", "s"))
        if "T" in image.pixel_size and "tunit" in kept:
            kept["tunit"] = "sec"
    image.contrast_limits = _imagej_limits(metadata)
    image.provenance = provenance_line(_text(metadata.get("Info")))


def _convert_own_units(kept: dict[str, Any], image: ImageFile) -> None:
    """Bring Y and Z to the unit of X; in ImageJ each may have one of its own."""
    for axis in "YZ":
        own = unit_name(kept.pop(f"{axis.lower()}unit", image.unit))
        if axis in image.pixel_size:
            size = image.pixel_size[axis]
            image.pixel_size[axis] = converted(size, own, image.unit) or size


def _from_lsm(metadata: dict[str, Any], image: ImageFile) -> None:
    """Sizes in metres and seconds."""
    sizes = {axis: positive(metadata.get(f"VoxelSize{axis}")) for axis in "XYZ"}
    image.unit = "µm"
    image.pixel_size = {
        axis: size * 1e6 for axis, size in sizes.items() if size and axis in image.axes
    }
    interval = positive(metadata.get("TimeIntervall"))  # the format's own spelling
    if interval and "T" in image.axes:
        image.set_interval(interval, "s")


def _imagej_limits(metadata: dict[str, Any]) -> list[tuple[float, float]] | None:
    ranges = metadata.get("Ranges")
    if ranges:
        values = [float(value) for value in np.ravel(ranges)]
        pairs = list(zip(values[::2], values[1::2], strict=True))
    else:
        pairs = [(float(metadata.get("min", 0)), float(metadata.get("max", 0)))]
    return pairs if all(lo < hi for lo, hi in pairs) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _from_plain(tif: Any, page: Any, image: ImageFile) -> None:
    image.metadata["container"] = "tiff"
    shaped = tif.shaped_metadata[0] if tif.is_shaped and tif.shaped_metadata else {}
    image.provenance = parsed_provenance(shaped.get(PROVENANCE))
    description = page.description
    if description.startswith("Aperio"):
        _from_aperio(description, image)
    elif description and description != page.shaped_description:
        image.metadata["description"] = description


def _from_aperio(description: str, image: ImageFile) -> None:
    """Take the size from what holds for these pixels alone, and does not go along."""
    found = _APERIO_SIZE.search(description)
    if found and not image.pixel_size:
        size = float(found[1])
        image.pixel_size, image.unit = {"Y": size, "X": size}, "µm"


def _convert_colours(page: Any, image: ImageFile, axes: str | None) -> None:
    own_axes = image.axes
    if page.photometric == _P.SEPARATED and image.size("S") != _INKS:
        raise FileError("CMYK with extra inks cannot be read; convert it to RGB first.")
    if page.photometric == _P.PALETTE and page.colormap is not None:
        _apply_palette(page, image)
    elif page.photometric == _P.MINISWHITE:
        image.metadata["white_is_zero"] = image.data.dtype.kind in "bu"
    elif own_axes.endswith("S") or "S" in own_axes:
        _name_samples(page, image)
    image.axes = renamed(image.data, image.axes, axes)
    image.data, image.axes = arranged(image.data, image.axes)
    if page.photometric == _P.SEPARATED and image.axes.endswith("S"):
        _convert_cmyk(image)
    if page.photometric == _P.YCBCR and _is_raw(page):
        _convert_ycbcr(image)
    _spread_few_bits(page, image)


def _refuse_several_palettes(path: Path, series: Any) -> None:
    page = series.keyframe
    if page.photometric != _P.PALETTE or page.colormap is None:
        return
    palettes = (getattr(other, "colormap", None) for other in series.pages)
    if any(not np.array_equal(p, page.colormap) for p in palettes if p is not None):
        raise FileError(
            f"The pages of {path.name} have palettes of their own; convert it to RGB first."
        )


def _apply_palette(page: Any, image: ImageFile) -> None:
    """Colours of an indexed image; in microscopy formats indices are intensities."""
    colours = np.asarray(page.colormap)
    if image.metadata["container"] != "tiff":
        image.metadata["colormap"] = colours
        return
    eight_bit = (colours >> 8).astype(np.uint8)
    image.data = np.moveaxis(eight_bit[:, image.data], 0, -1)
    image.axes += "S"
    image.notes += ("The palette was converted to RGB.",)


def _name_samples(page: Any, image: ImageFile) -> None:
    """Say whether samples are colours, alpha or channels of their own."""
    extra = tuple(int(value) for value in page.extrasamples or ())
    grey = page.photometric == _P.MINISBLACK and (not extra or _UNSPECIFIED in extra)
    if grey or image.size("S") > _MOST_SAMPLES:
        _samples_as_channels(image)
    elif extra:
        image.metadata["extrasample"] = extra[0]


def _samples_as_channels(image: ImageFile) -> None:
    if "C" not in image.axes:
        image.axes = image.axes.replace("S", "C")
        image.notes += ("The samples of a pixel are taken as separate channels.",)


def _convert_cmyk(image: ImageFile) -> None:
    image.data, note = cmyk_to_rgb(image.data, image.icc)
    image.icc = None
    image.metadata.pop("extrasample", None)
    image.notes += (note,)


def _is_raw(page: Any) -> bool:
    """Whether colours are as stored; decoders of JPEG give RGB."""
    return page.compression.name in ("NONE", *_LOSSLESS)


def _convert_ycbcr(image: ImageFile) -> None:
    data = image.data
    if data.dtype != np.uint8 or data.shape[-1] != 3:
        raise FileError("YCbCr of this kind cannot be read; convert it to RGB first.")
    size = data.shape[-2], data.size // (3 * data.shape[-2])
    stored = Image.frombytes("YCbCr", size, np.ascontiguousarray(data).tobytes())
    image.data = np.asarray(stored.convert("RGB")).reshape(data.shape)
    image.notes += ("YCbCr was converted to RGB.",)


def _spread_few_bits(page: Any, image: ImageFile) -> None:
    """Grey of 2 or 4 bits to the 8 it is stored in, as PNG has it."""
    bits = page.bitspersample
    of_grey = page.photometric in (_P.MINISBLACK, _P.MINISWHITE)
    if of_grey and bits in (2, 4) and image.data.dtype == np.uint8:
        image.data = image.data * np.uint8(255 // (2**bits - 1))
        image.notes += (f"Intensities of {bits} bits were spread over 8.",)


def _upright_image(page: Any, image: ImageFile) -> ImageFile:
    tag = page.tags.get(274)
    orientation = int(tag.value) if tag else 1
    data = (
        upright(image.data, image.axes, orientation) if orientation != 1 else image.data
    )
    if orientation in range(2, 9):
        image.notes += ("The orientation stored in the file was applied.",)
    image.data = data
    image.pixel_size = upright_sizes(image.pixel_size, orientation)
    return image
