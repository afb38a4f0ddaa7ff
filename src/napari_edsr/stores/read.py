"""OME-Zarr in: ours and others', of versions 0.4 and 0.5, without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_edsr.errors import FileError
from napari_edsr.files import ImageFile
from napari_edsr.files.common import PROVENANCE, renamed
from napari_edsr.images import as_dask, leading_axes
from napari_edsr.stores import ngff
from napari_edsr.stores.location import open_group, zarr

#: Files of which a group has one, in zarr 3 and 2.
_OF_GROUPS = ("zarr.json", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Whether a folder is one of zarr, by its name or by what every group has."""
    if not path.is_dir():
        return False
    named_so = path.suffix.lower() == ".zarr"
    return named_so or any((path / name).is_file() for name in _OF_GROUPS)


def read_zarr(path: Path, axes: str | None = None) -> ImageFile:
    """Open the finest level of an OME-Zarr as a dask array.

    Parameters
    ----------
    path : Path
    axes : str, optional
        Instead of those in its metadata.

    Raises
    ------
    FileError
        If it is no OME-Zarr, or damaged.
    """
    zarr()  # or a sentence on how to get it
    try:
        group = open_group(path.absolute(), mode="r")  # others may read it elsewhere
        attributes = dict(group.attrs)
        about = attributes.get("ome", attributes)
        _refuse_collection(path, about)
        first = about["multiscales"][0]
        level = group[first["datasets"][0]["path"]]
        stored = _letters(first["axes"], attributes)
        place = ngff.read_place(about, stored)
    except FileError:  # says what to do already
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise FileError(
            f"{path} holds no image in OME-Zarr 0.4 or 0.5; convert it first."
        ) from error
    array = as_dask(level)
    order = sorted(stored, key="TCZYXS".find)
    data = array.transpose([stored.index(axis) for axis in order])
    return ImageFile(
        data=data,
        axes=renamed(data, "".join(order), axes),
        pixel_size=dict(place.pixel_size),
        unit=place.unit,
        contrast_limits=_limits(place, stored),
        channel_names=tuple(place.channel_names) if "C" in stored else (),
        provenance=_provenance(attributes),
        metadata={
            "container": "ome-zarr",
            "origin": dict(place.origin),
            "colors": tuple(place.colors) if "C" in stored else (),
        },
        notes=_unfinished(attributes),
    )


def _refuse_collection(path: Path, about: Mapping[str, Any]) -> None:
    """What holds images, and is none, says so in its metadata."""
    examples = {"bioformats2raw.layout": "0", "plate": "A/1/0", "well": "0"}
    for key, example in examples.items():
        if key in about and "multiscales" not in about:
            raise FileError(
                f"{path} holds several images; name one of them, such as {path / example}."
            )


def _limits(place: ngff.Place, stored: str) -> list[tuple[float, float]] | None:
    """One pair for each channel; samples share theirs."""
    pairs = list(place.contrast_limits or [])
    return (pairs[:1] if "S" in stored else pairs) or None


def _letters(entries: list[Mapping[str, Any]], attributes: Mapping[str, Any]) -> str:
    """One letter for each axis; the channels of a colour image of ours are samples."""
    names = [_letter(entry) for entry in entries]
    plane = {at: name for at, name in enumerate(names) if name in ("Y", "X")}
    if sorted(plane.values()) != ["X", "Y"]:
        plane = {len(names) - 2: "Y", len(names) - 1: "X"}
    others = [name for at, name in enumerate(names) if at not in plane]
    leading = iter(leading_axes(len(others), others))
    letters = "".join(plane.get(at) or next(leading) for at in range(len(names)))
    ours = attributes.get(PROVENANCE)
    colours = isinstance(ours, dict) and "S" in ours.get("asked", {}).get("axes", "")
    return letters.replace("C", "S") if colours else letters


def _letter(entry: Mapping[str, Any]) -> str:
    """What an axis is called; a name of several letters says less than its type."""
    name = str(entry["name"]).upper()
    kinds = {"time": "T", "channel": "C"}
    return name if len(name) == 1 else kinds.get(str(entry.get("type")), name)


def _provenance(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    ours = attributes.get(PROVENANCE)
    return ours.get("metadata") if isinstance(ours, dict) else None


def _unfinished(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    ours = attributes.get(PROVENANCE)
    if isinstance(ours, dict) and ours.get("state") == "unfinished":
        return ("The image is not finished: what is missing in it is black.",)
    return ()
