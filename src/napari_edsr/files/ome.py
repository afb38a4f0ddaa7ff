"""OME-XML: what is taken from it, and how it is written again."""

from __future__ import annotations

from typing import Any

import tifffile

from napari_edsr.files.common import (
    PROVENANCE,
    ImageFile,
    parsed_provenance,
    positive,
    provenance_text,
)
from napari_edsr.units import converted, unit_name

_IMAGE_KEPT = ("Name", "Description", "AcquisitionDate")
_PIXELS_KEPT = ("SignificantBits",)
#: Lengths of the schema that microscopes have; it is not valid with any other.
_UNITS = frozenset(
    ("km", "m", "dm", "cm", "mm", "µm", "nm", "pm", "fm", "Å", "in", "ft", "pixel")
)
_NOT_KEPT = ("Instrument", "ROI", "Plate", "Screen", "Dataset", "Project")


def read_ome(xml: str, image: ImageFile) -> None:
    """Fill in pixel sizes, channels and provenance of the first image."""
    root = tifffile.xml2dict(xml)["OME"]
    image.metadata["container"] = "ome"
    if "Image" not in root:
        other = (root.get("BinaryOnly") or {}).get("MetadataFile", "another file")
        image.notes += (
            f"What is known of the image stands in {other}, and is left out.",
        )
        return
    first = _listed(root["Image"])[0]
    pixels = first.get("Pixels", {})
    image.metadata["ome"] = _kept(first, pixels)
    _read_sizes(pixels, image)
    channels = _listed(pixels.get("Channel"))
    names = tuple(str(channel.get("Name", "")) for channel in channels)
    image.channel_names = names if any(names) else ()
    annotations = root.get("StructuredAnnotations") or {}
    image.provenance = _provenance(annotations)
    image.metadata["ome"].update(_annotations(annotations))
    lost = [name for name in _NOT_KEPT if name in root]
    if lost:
        image.notes += (f"OME metadata left out: {', '.join(lost)}.",)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _kept(image: dict[str, Any], pixels: dict[str, Any]) -> dict[str, Any]:
    kept = {key: image[key] for key in _IMAGE_KEPT if image.get(key) is not None}
    kept |= {key: pixels[key] for key in _PIXELS_KEPT if key in pixels}
    if "Channel" in pixels:
        kept["Channel"] = _listed(pixels["Channel"])
    kept["Plane"] = _listed(pixels.get("Plane"))
    return kept


def _read_sizes(pixels: dict[str, Any], image: ImageFile) -> None:
    """Bring all lengths to the unit of X."""
    sizes = {axis: positive(pixels.get(f"PhysicalSize{axis}")) for axis in "XYZ"}
    units = {
        axis: unit_name(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XYZ"
    }
    if sizes["X"] or sizes["Y"]:
        image.unit = units["X"] if sizes["X"] else units["Y"]
        image.pixel_size = {}
    for axis, size in sizes.items():
        same = size and converted(size, units[axis], image.unit)
        if same and axis in image.axes:
            image.pixel_size[axis] = same
    interval = positive(pixels.get("TimeIncrement"))
    if interval and "T" in image.axes:
        image.set_interval(interval, pixels.get("TimeIncrementUnit", "s"))


def _provenance(annotations: dict[str, Any]) -> dict[str, Any] | None:
    for comment in _listed(annotations.get("CommentAnnotation")):
        if comment.get("Namespace") == PROVENANCE:
            return parsed_provenance(comment.get("Value"))
    return None


def _annotations(annotations: dict[str, Any]) -> dict[str, Any]:
    comments = [
        _without_id(comment)
        for comment in _listed(annotations.get("CommentAnnotation"))
        if comment.get("Namespace") != PROVENANCE
    ]
    maps = [
        {**_without_id(entry), "Value": _pairs(entry.get("Value"))}
        for entry in _listed(annotations.get("MapAnnotation"))
    ]
    return {"CommentAnnotation": comments, "MapAnnotation": maps}


def _without_id(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        key: entry[key] for key in ("Namespace", "Description", "Value") if key in entry
    }


def _pairs(value: Any) -> dict[str, Any]:
    items = _listed(value.get("M")) if isinstance(value, dict) else []
    return {str(item.get("K")): item.get("value", "") for item in items}


def ome_metadata(image: ImageFile) -> dict[str, Any]:
    """As `tifffile.imwrite` takes it, for an image in the order of its axes."""
    metadata = dict(image.metadata.get("ome", {}))
    metadata["axes"] = image.axes
    unit = "in" if image.unit == "inch" else image.unit
    for axis in "XYZ":
        if axis in image.pixel_size and unit in _UNITS:
            metadata[f"PhysicalSize{axis}"] = image.pixel_size[axis]
            metadata[f"PhysicalSize{axis}Unit"] = unit
    if "T" in image.pixel_size:
        metadata["TimeIncrement"] = image.pixel_size["T"]
        metadata["TimeIncrementUnit"] = "s"
    _fit_lists(metadata, image)
    if image.provenance is not None:
        text = provenance_text(image.provenance)
        entry = {"Namespace": PROVENANCE, "Value": text}
        metadata["CommentAnnotation"] = [*metadata.get("CommentAnnotation", []), entry]
    return metadata


def _fit_lists(metadata: dict[str, Any], image: ImageFile) -> None:
    """Leave out what is said of channels or planes the image does not have."""
    channels = image.size("C")
    if "Channel" not in metadata and len(image.channel_names) == channels:
        metadata["Channel"] = [{"Name": name} for name in image.channel_names]
    if len(metadata.get("Channel", [])) != channels:
        metadata.pop("Channel", None)
    order = [f"The{axis}" for axis in image.axes if axis in "TZC"]
    planes = [plane for plane in metadata.pop("Plane", []) if set(order) <= set(plane)]
    if len(planes) == channels * image.size("Z") * image.size("T"):
        planes.sort(key=lambda plane: [plane[key] for key in order])
        metadata["Plane"] = planes
