"""TIFF out: as ImageJ, OME or plain files, whichever holds the image and its source had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_edsr.files import ome
from napari_edsr.files.common import (
    PROVENANCE,
    ImageFile,
    provenance_text,
    with_provenance_line,
)
from napari_edsr.units import converted

_IMAGEJ_TYPES = ("uint8", "uint16", "int16", "float32")
_NOT_IN_OME = ("int64", "uint64", "float16")
_HYPERSTACK = "TZCYXS"
_CLASSIC_LIMIT = 2**32 - 2**25


def write_tiff(path: Path, target: Path, image: ImageFile) -> None:
    """Write a TIFF to `path` that will be called `target`."""
    container = tiff_container(target, image)
    image = in_order(image, container)
    image = replace(image, data=np.ascontiguousarray(image.data))
    options = tiff_options(container, image)
    options |= {"imagej": container == "imagej", "ome": container == "ome"}
    tifffile.imwrite(path, image.data, **options)


def tiff_options(container: str, image: ImageFile) -> dict[str, Any]:
    """What tifffile is to write with the pixels of an image `in_order`."""
    if container == "imagej":
        return {**_imagej(image), **_colours(image)}
    options = {
        "compression": image.metadata.get("compression"),
        "iccprofile": image.icc,
        **_colours(image),
    }
    if container == "ome":
        return {**options, "metadata": ome.ome_metadata(image), **_resolution(image)}
    return {**options, **_plain(image)}


def tiff_container(target: Path, image: ImageFile) -> str:
    """``"imagej"``, ``"ome"`` or ``"tiff"``: the source's own where it fits."""
    wanted = image.metadata.get("container", "imagej" if image.pixel_size else "tiff")
    if wanted == "ome-zarr" or target.name.lower().endswith((".ome.tif", ".ome.tiff")):
        wanted = "ome"
    if wanted == "imagej" and not _fits_imagej(image):
        wanted = "ome"
    if wanted == "ome" and not _fits_ome(image):
        wanted = "tiff"
    return wanted if wanted in ("imagej", "ome") else "tiff"


def tiled_container(target: Path, image: ImageFile) -> str:
    """``"ome"`` or ``"tiff"``, for tiles and several resolutions; ImageJ has neither."""
    container = tiff_container(target, image)
    return "ome" if container == "imagej" and _fits_ome(image) else container


def _fits_ome(image: ImageFile) -> bool:
    return (
        set(image.axes) <= set(_HYPERSTACK) and image.data.dtype.name not in _NOT_IN_OME
    )


def _fits_imagej(image: ImageFile) -> bool:
    colour = "S" in image.axes
    return (
        set(image.axes) <= set(_HYPERSTACK)
        and image.data.dtype.name in (("uint8",) if colour else _IMAGEJ_TYPES)
        and image.size("S") in (1, 3)
        and image.icc is None
        and image.data.nbytes < _CLASSIC_LIMIT
        and _imagej_unit(image.unit).isascii()
    )


def _imagej_unit(unit: str) -> str:
    return unit.replace("µ", "u")


def in_order(image: ImageFile, container: str) -> ImageFile:
    """With the axes as the container has them."""
    last = _HYPERSTACK if container == "imagej" else "YXS"
    axes = sorted(image.axes, key=last.find)
    order = [image.axes.index(axis) for axis in axes]
    return replace(image, data=image.data.transpose(order), axes="".join(axes))


def _colours(image: ImageFile) -> dict[str, Any]:
    samples = image.size("S")
    if "S" not in image.axes:
        return _grey(image)
    kind: dict[str, Any] = {"planarconfig": "contig"}
    kind["photometric"] = "rgb" if samples > 2 else "minisblack"
    if samples in (2, 4):
        alpha = image.metadata.get("extrasample") or tifffile.EXTRASAMPLE.UNASSALPHA
        kind["extrasamples"] = [tifffile.EXTRASAMPLE(alpha)]
    return kind


def _grey(image: ImageFile) -> dict[str, Any]:
    """Greys with the lookup table, or the direction, their source had."""
    colormap = image.metadata.get("colormap")
    if colormap is not None and image.data.dtype == np.uint8:
        return {"photometric": "palette", "colormap": colormap}
    white_is_zero = image.metadata.get("white_is_zero")
    return {"photometric": "miniswhite" if white_is_zero else "minisblack"}


def _imagej(image: ImageFile) -> dict[str, Any]:
    metadata = dict(image.metadata.get("imagej", {}))
    metadata["axes"] = image.axes
    metadata["Info"] = with_provenance_line(metadata.get("Info"), image)
    if image.unit:
        metadata["unit"] = _imagej_unit(image.unit)
    for axis, key in (("Z", "spacing"), ("T", "finterval")):
        if axis in image.pixel_size:
            metadata[key] = image.pixel_size[axis]
    _imagej_display(metadata, image)
    options: dict[str, Any] = {"metadata": metadata}
    if {"Y", "X"} <= set(image.pixel_size):
        options["resolution"] = (1 / image.pixel_size["X"], 1 / image.pixel_size["Y"])
    return options


def _imagej_display(metadata: dict[str, Any], image: ImageFile) -> None:
    """Display ranges, where they are of as many channels as there are."""
    limits = image.contrast_limits
    for key in ("Ranges", "min", "max"):
        metadata.pop(key, None)
    if limits and len(limits) == image.size("C"):
        metadata["Ranges"] = tuple(value for pair in limits for value in pair)
        metadata["min"], metadata["max"] = limits[0]


def _plain(image: ImageFile) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": image.axes}
    if image.provenance is not None:
        metadata[PROVENANCE] = provenance_text(image.provenance)
    options = {"metadata": metadata, **_resolution(image)}
    if image.metadata.get("description"):
        options["description"] = image.metadata["description"].encode()
    return options


def _resolution(image: ImageFile) -> dict[str, Any]:
    """Resolution tags, which know inches, centimetres and no unit."""
    if not {"Y", "X"} <= set(image.pixel_size):
        return {}
    unit = {"inch": "INCH", "cm": "CENTIMETER"}.get(image.unit)
    sizes = image.pixel_size["X"], image.pixel_size["Y"]
    if unit is None:
        in_cm = [converted(size, image.unit, "cm") for size in sizes]
        unit = "CENTIMETER" if all(in_cm) else "NONE"
        sizes = (in_cm[0] or sizes[0], in_cm[1] or sizes[1])
    return {"resolution": (1 / sizes[0], 1 / sizes[1]), "resolutionunit": unit}
