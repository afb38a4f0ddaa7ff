"""Image files in and out, with their pixel size, colour profile and provenance."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.atomic import replacing
from napari_edsr.errors import FileError, legible
from napari_edsr.files.colour import as_displayed
from napari_edsr.files.common import (
    PNG_SIGNATURE,
    PROVENANCE,
    READABLE,
    WRITABLE,
    ImageFile,
)
from napari_edsr.files.matching import matching_images
from napari_edsr.images import leading_axes, understand
from napari_edsr.plan import free_memory
from napari_edsr.units import converted, seconds, unit_name

__all__ = [
    "READABLE",
    "WRITABLE",
    "ImageFile",
    "check_writable",
    "images_at",
    "images_in",
    "matching_images",
    "napari_write",
    "read_header",
    "read_image",
    "upscaled_file",
    "write_image",
]

_TIFF_HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_SIDE = 65535
_LOSSY = "JPEG is lossy; write .png or .tif to keep every grey level."


def read_image(path: str | Path, axes: str | None = None) -> ImageFile:
    """Read an image file; its content, not its suffix, tells the format.

    Parameters
    ----------
    path : str or Path
        A TIFF (ImageJ and OME included), PNG, JPEG, WebP, BMP or GIF.
    axes : str, optional
        Instead of those in the file's metadata.

    Raises
    ------
    FileError
        If there is no such file, or it is damaged or of another format.
    """
    return _read(Path(path), axes)


def read_header(path: str | Path, axes: str | None = None) -> ImageFile:
    """As `read_image`, but zeros may stand for the pixels, which are not read.

    Parameters
    ----------
    path, axes
        As for `read_image`.
    """
    return _read(Path(path), axes, pixels=False)


def _read(path: Path, axes: str | None, *, pixels: bool = True) -> ImageFile:
    if not os.path.isfile(path):
        raise FileError(f"There is no file {path}.")
    if path.suffix.lower() not in READABLE:
        raise FileError(
            f"{path.name} is of no known format; use {', '.join(READABLE)}."
        )
    try:
        return _reader(path)(path, axes, pixels=pixels)
    except (FileError, MemoryError):
        raise
    except Exception as error:  # a damaged file can raise nearly any type
        raise FileError(f"{path} cannot be read: {_reason(error)}.") from error


def images_at(place: str | Path) -> list[Path]:
    """Image files in a folder, or that a glob names, in alphabetical order.

    By their suffix; names with a dot in front are hidden, or a system's by-products.
    ``**`` in a glob is any number of folders.
    """
    path = Path(place)
    names = (
        path.iterdir()
        if path.is_dir()
        else map(Path, glob.glob(str(place), recursive=True))
    )
    return sorted(
        name
        for name in names
        if name.suffix.lower() in READABLE
        and not name.name.startswith(".")
        and name.is_file()
    )


def images_in(folder: Path) -> list[Path]:
    """Image files in a folder, in alphabetical order.

    Raises
    ------
    FileError
        If there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.")
    found = images_at(folder)
    if not found:
        raise FileError(f"There are no images in {folder}.")
    return found


def _reason(error: Exception) -> str:
    """What a library says of a file, but not of its own insides."""
    said = legible(getattr(error, "strerror", None) or error).strip().rstrip(".")
    if "truncated" in said:  # Pillow's word for all that ends too early
        return "it is cut short; copy or download it again"
    of_the_file = isinstance(error, OSError | ValueError) and said
    if not of_the_file or "<" in said:
        return "it is damaged or of an unknown kind"
    return said[:200]


def _reader(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise FileError(f"{path} is empty.")
    if start.startswith(_TIFF_HEADERS):
        from napari_edsr.files.tiff_read import read_tiff

        return read_tiff
    if start == PNG_SIGNATURE:
        from napari_edsr.files.png import read_png

        return read_png
    from napari_edsr.files.raster import read_raster

    return read_raster


def check_writable(
    path: str | Path, axes: str, shape: tuple[int, ...], dtype: Any
) -> str:
    """Say whether a format can hold an image, before time is spent on making it.

    Parameters
    ----------
    path : str or Path
        The format follows its suffix.
    axes : str
        One letter for each axis.
    shape : tuple of int
    dtype : numpy.dtype

    Returns
    -------
    str
        What the user should know, or nothing.

    Raises
    ------
    FileError
        Naming the suffix that would do.
    """
    suffix, dtype = Path(path).suffix.lower(), np.dtype(dtype)
    if suffix not in WRITABLE:
        if not suffix:
            raise FileError(
                f"Cannot write {Path(path).name}, a name without suffix; end it in .tif "
                "or .png."
            )
        raise FileError(f"Cannot write {suffix}; use .tif or .png.")
    if suffix in (".tif", ".tiff"):
        return ""
    name = "PNG" if suffix == ".png" else "JPEG"
    sizes = dict(zip(axes, shape, strict=True))
    if any(n > 1 for axis, n in sizes.items() if axis not in "YXS"):
        raise FileError(f"{name} cannot hold a stack of planes; use .tif.")
    depths = ("uint8", "uint16", "bool") if name == "PNG" else ("uint8",)
    if dtype.name not in depths:
        better = ".png or .tif" if dtype.name in ("uint16", "bool") else ".tif"
        raise FileError(f"{name} cannot hold {dtype.name} intensities; use {better}.")
    if name == "JPEG" and sizes.get("S") in (2, 4):
        raise FileError("JPEG cannot hold transparency; use .png or .tif.")
    if name == "JPEG" and max(sizes["Y"], sizes["X"]) > _JPEG_SIDE:
        raise FileError(f"JPEG ends at {_JPEG_SIDE} pixels a side; use .png or .tif.")
    return _LOSSY if name == "JPEG" else ""


def write_image(path: str | Path, image: ImageFile) -> Path:
    """Write an image file, whole or not at all; an existing one is replaced.

    Parameters
    ----------
    path : str or Path
        The format follows its suffix: .tif, .ome.tif, .png or .jpg.
    image : ImageFile

    Raises
    ------
    FileError
        If the format cannot hold the image, or the file cannot be written.
    """
    path = Path(path)
    check_writable(path, image.axes, image.data.shape, image.data.dtype)
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent}; make it first.")
    with replacing(path) as partial:
        _write(partial, path, image)
    return path


def _write(partial: Path, path: Path, image: ImageFile) -> None:
    if path.suffix.lower() in (".tif", ".tiff"):
        from napari_edsr.files.tiff_write import write_tiff

        write_tiff(partial, path, image)
        return
    image = as_displayed(_single_plane(image))
    if path.suffix.lower() == ".png":
        from napari_edsr.files.png import write_png

        write_png(partial, image)
        return
    from napari_edsr.files.raster import write_jpeg

    write_jpeg(partial, image)


def _single_plane(image: ImageFile) -> ImageFile:
    """Without leading axes, all of length 1, and without a lone sample."""
    kept = [
        axis
        for axis in image.axes
        if axis in "YX" or (axis == "S" and image.size("S") > 1)
    ]
    drop = tuple(i for i, axis in enumerate(image.axes) if axis not in kept)
    data = image.data.squeeze(drop)
    order = [kept.index(axis) for axis in "YXS" if axis in kept]
    return replace(image, data=data.transpose(order), axes="YXS"[: len(order)])


def upscaled_file(
    source: ImageFile, image: NDArray, scale: int, provenance: Mapping[str, Any]
) -> ImageFile:
    """What a file becomes: its pixels are smaller, everything else stays.

    Parameters
    ----------
    source : ImageFile
        Of the input.
    image : ndarray
        The result, in the axes of `source`.
    scale : int
    provenance : mapping
        Metadata of the run.
    """
    sizes = {
        axis: size / scale if axis in "YX" else size
        for axis, size in source.pixel_size.items()
    }
    return replace(
        source,
        data=image,
        pixel_size=sizes,
        provenance=dict(provenance),
        metadata=_scaled_origin(source.metadata, scale),
        notes=(),
    )


def _scaled_origin(metadata: Mapping[str, Any], scale: int) -> dict[str, Any]:
    """ImageJ counts the origin of its coordinates in pixels."""
    if "imagej" not in metadata:
        return dict(metadata)
    imagej = dict(metadata["imagej"])
    for key in ("xorigin", "yorigin"):
        if isinstance(imagej.get(key), int | float):
            imagej[key] *= scale
    return {**metadata, "imagej": imagej}


def napari_write(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer; the signature is that of an npe2 single-image writer.

    Parameters
    ----------
    path : str
        A name without suffix becomes a TIFF.
    data : array
        Of a multiscale layer the finest level.
    attributes : mapping
        Of the layer: scale, units, axis_labels, contrast_limits, rgb, metadata.

    Returns
    -------
    list of str
        The file written.
    """
    target = Path(path) if Path(path).suffix else Path(f"{path}.tif")
    return [str(write_image(target, layer_file(data, attributes)))]


def layer_file(data: Any, attributes: Mapping[str, Any]) -> ImageFile:
    """What the file of an image layer holds; `data` is read if it lies on disk.

    Parameters
    ----------
    data, attributes
        As for `napari_write`.

    Raises
    ------
    FileError
        If it lies on disk and is larger than the free memory.
    """
    image = lazy_layer_file(data, attributes)
    if not isinstance(image.data, np.ndarray):
        _check_fits(image.data)
    return replace(image, data=np.asarray(image.data), metadata={})


def _check_fits(array: Any) -> None:
    needed, free = math.prod(array.shape) * array.dtype.itemsize, free_memory()
    if needed > free:
        raise FileError(
            f"The layer takes {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB of memory "
            "are free; save a part of it, or copy the file it is read from."
        )


def lazy_layer_file(data: Any, attributes: Mapping[str, Any]) -> ImageFile:
    """As `layer_file`, but with pixels left where they are, and with place and colour.

    Parameters
    ----------
    data, attributes
        As for `napari_write`; of the attributes also translate, colormap and name.
    """
    array = data[0] if attributes.get("multiscale") else data
    tail = "YXS" if attributes.get("rgb") else "YX"
    labels = attributes.get("axis_labels") or ()
    axes = understand(array, leading_axes(array.ndim - len(tail), labels) + tail).axes
    spatial = axes.replace("S", "")
    sizes, unit = _layer_sizes(spatial, attributes)
    limits = attributes.get("contrast_limits")
    return ImageFile(
        data=array,
        axes=axes,
        pixel_size=sizes,
        unit=unit,
        contrast_limits=[(float(limits[0]), float(limits[1]))] if limits else None,
        provenance=attributes.get("metadata", {}).get(PROVENANCE),
        metadata=_layer_place(spatial, attributes),
    )


def _layer_place(axes: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Position of the first pixel, and the colour of white in a layer of one channel."""
    place: dict[str, Any] = {}
    translate = attributes.get("translate")
    if translate is not None and len(translate) == len(axes):
        pairs = zip(axes, translate, strict=True)
        place["origin"] = {axis: float(x) for axis, x in pairs if axis in "TZYX"}
    colors = (attributes.get("colormap") or {}).get("colors")
    if colors is not None and "C" not in axes and not attributes.get("rgb"):
        white = np.asarray(colors)[-1][:3]
        place["colors"] = ("".join(f"{round(255 * c):02X}" for c in white.tolist()),)
    return place


def _layer_sizes(
    axes: str, attributes: Mapping[str, Any]
) -> tuple[dict[str, float], str]:
    """Pixel sizes in the unit of X, and seconds; none where the layer is in pixels."""
    scale = attributes.get("scale")
    units = [unit_name(unit) for unit in attributes.get("units") or ()]
    if (
        scale is None
        or len(scale) != len(axes)
        or len(units) != len(axes)
        or not units[-1]
    ):
        return {}, ""
    known = {
        axis: seconds(size, unit) if axis == "T" else converted(size, unit, units[-1])
        for axis, size, unit in zip(axes, np.abs(scale).tolist(), units, strict=True)
        if size
    }
    return {axis: size for axis in "TZYX" if (size := known.get(axis))}, units[-1]
