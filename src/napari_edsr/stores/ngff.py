"""OME-Zarr's metadata: axes, the place of each level of a pyramid, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_edsr.errors import FileError
from napari_edsr.files import ImageFile
from napari_edsr.units import converted, seconds, unit_name

VERSION = "0.5"
_UNITS = {
    **{"µm": "micrometer", "nm": "nanometer", "mm": "millimeter", "cm": "centimeter"},
    **{"m": "meter", "pm": "picometer", "Å": "angstrom", "inch": "inch"},
    **{"km": "kilometer", "dm": "decimeter"},
}
_NAMES = {name: unit for unit, name in _UNITS.items()}
_RGB = ("FF0000", "00FF00", "0000FF", "FFFFFF")
_GREY = "FFFFFF"
#: Colours of channels that have none: of viewers for microscopy, legible side by side.
_CHANNELS = ("00FFFF", "FF00FF", "FFFF00", "FF0000", "00FF00", "0000FF")


@dataclass(frozen=True)
class Place:
    """Where an image lies, and how it looks.

    Attributes
    ----------
    pixel_size : mapping of str to float
        By axis: lengths in `unit`, T in seconds; 1 where nothing is known.
    origin : mapping of str to float
        Position of the centre of the first pixel, in the same units.
    unit : str
        Such as ``"µm"``; empty where lengths are in pixels.
    channel_names : sequence of str
    colors : sequence of str
        Of channels, as six hexadecimal digits; a "#" before them is left out.
    contrast_limits : sequence of (float, float)
        One pair, or one for each channel.
    """

    pixel_size: Mapping[str, float] = field(default_factory=dict)
    origin: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    channel_names: Sequence[str] = ()
    colors: Sequence[str] = ()
    contrast_limits: Sequence[tuple[float, float]] | None = None

    @classmethod
    def of(cls, image: ImageFile) -> Place:
        """That of an image as its file tells it."""
        return cls(
            pixel_size=image.pixel_size,
            origin=image.metadata.get("origin", {}),
            unit=image.unit,
            colors=image.metadata.get("colors", ()),
            channel_names=image.channel_names,
            contrast_limits=image.contrast_limits,
        )

    def enlarged(self, scale: int, corner: Mapping[str, int] | None = None) -> Place:
        """That of the result: pixels are smaller, and their outer edges where they were.

        Parameters
        ----------
        scale : int
        corner : mapping of str to int, optional
            Where the part that is enlarged begins, in input pixels, by axis.
        """
        sizes = {axis: self.pixel_size.get(axis, 1.0) for axis in "YX"}
        origin = dict(self.origin)
        for axis, start in (corner or {}).items():
            size = self.pixel_size.get(axis, 1.0)
            origin[axis] = origin.get(axis, 0.0) + start * size
        for axis, size in sizes.items():
            origin[axis] = origin.get(axis, 0.0) + size * (1 / scale - 1) / 2
        smaller = {axis: size / scale for axis, size in sizes.items()}
        return replace(self, pixel_size={**self.pixel_size, **smaller}, origin=origin)


def fits(axes: str) -> bool:
    """Whether OME-Zarr has a place for all axes of an image."""
    return set(axes) <= set("TCSZYX") and not {"C", "S"} <= set(axes)


def stored_axes(axes: str) -> str:
    """Order of an image's axes in OME-Zarr: time, channels or samples, Z, Y, X.

    Raises
    ------
    FileError
        If OME-Zarr has no place for one of them.
    """
    if not fits(axes):
        others = [axis for axis in axes if axis not in "TCSZYX"]
        what = others[0] if others else "C beside colour samples"
        raise FileError(
            f"OME-Zarr, in which files grow, has no place for axis {what}; name axes "
            "among T, C, Z, Y and X, or upscale in memory."
        )
    return "".join(axis for axis in "TCSZYX" if axis in axes)


def multiscales(axes: str, place: Place, factors: Sequence[int]) -> dict[str, Any]:
    """The ``multiscales`` of a pyramid.

    Parameters
    ----------
    axes : str
        From `stored_axes`.
    place : Place
        Of the finest level.
    factors : sequence of int
        Pixels of the finest level in one of each level, along Y and X.
    """
    return {
        "axes": [_axis(axis, place) for axis in axes],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": _transformations(axes, place, factor),
            }
            for level, factor in enumerate(factors)
        ],
        "type": "mean",
    }


def axis_names(axes: str) -> list[str]:
    """What stored axes are called; colour samples are channels."""
    return list(axes.replace("S", "C").lower())


def _axis(axis: str, place: Place) -> dict[str, str]:
    (name,) = axis_names(axis)
    if name == "c":
        return {"name": name, "type": "channel"}
    if name == "t":
        seconds = {"unit": "second"} if "T" in place.pixel_size else {}
        return {"name": name, "type": "time", **seconds}
    unit = {"unit": _UNITS[place.unit]} if place.unit in _UNITS else {}
    return {"name": name, "type": "space", **unit}


def _transformations(axes: str, place: Place, factor: int) -> list[dict[str, Any]]:
    grown = {axis: factor if axis in "YX" else 1 for axis in axes}
    sizes = {axis: place.pixel_size.get(axis, 1.0) for axis in axes}
    scale = [sizes[axis] * grown[axis] for axis in axes]
    shift = [
        place.origin.get(axis, 0.0) + sizes[axis] * (grown[axis] - 1) / 2
        for axis in axes
    ]
    return [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": shift},
    ]


def omero(axes: str, shape: Sequence[int], dtype: np.dtype, place: Place) -> dict:
    """How channels are shown: their names, colours and contrast limits."""
    count = next((n for a, n in zip(axes, shape, strict=True) if a in "CS"), 1)
    samples = "S" in axes
    names = place.channel_names or (
        ("red", "green", "blue", "alpha") if samples else ()
    )
    lowest, highest = _extremes(dtype)
    limits = list(place.contrast_limits or [])
    limits = limits * count if len(limits) == 1 else limits
    channels = []
    for number in range(count):
        start, end = limits[number] if number < len(limits) else (lowest, highest)
        channels.append(
            {
                "label": names[number] if number < len(names) else f"{number}",
                "color": _color(number, count, place.colors, samples),
                "active": not (samples and number == 3),
                "window": {
                    "min": min(lowest, start),
                    "max": max(highest, end),
                    "start": start,
                    "end": end,
                },
            }
        )
    return {
        "channels": channels,
        "rdefs": {"model": "color" if count > 1 else "greyscale"},
    }


def _color(number: int, count: int, colors: Sequence[str], samples: bool) -> str:
    if number < len(colors):
        return colors[number].lstrip("#")  # which NGFF does not have
    if samples and count >= 3:
        return _RGB[number]
    return _CHANNELS[number % len(_CHANNELS)] if count > 1 else _GREY


def _extremes(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    return 0, 1


def read_place(attributes: Mapping[str, Any], axes: str) -> Place:
    """Inverse of `multiscales` and `omero`, of the finest level.

    Parameters
    ----------
    attributes : mapping
        The ``ome`` of a group, or all of its attributes in older versions.
    axes : str
        Letters of the stored axes.
    """
    first = attributes["multiscales"][0]
    sizes, origin = np.ones(len(axes)), np.zeros(len(axes))
    steps = first["datasets"][0].get("coordinateTransformations", [])
    for step in [*steps, *first.get("coordinateTransformations", [])]:
        factor = np.asarray(step.get("scale", 1.0))
        sizes, origin = sizes * factor, origin * factor + step.get("translation", 0.0)
    units = {
        a: entry.get("unit", "") for a, entry in zip(axes, first["axes"], strict=True)
    }
    unit = _short(units.get("X", ""))
    to_ours = np.array([_factor(a, _short(units[a]), unit) for a in axes])
    sizes, origin = sizes * to_ours, origin * to_ours
    channels = (attributes.get("omero") or {}).get("channels") or []
    windows = [channel.get("window") or {} for channel in channels]
    known = all({"start", "end"} <= set(window) for window in windows)
    calibrated = any(units.values()) or not np.allclose(sizes, 1)
    # Of T and Z alone 1 without a unit is what stands where nothing is known.
    told = {
        a for a, s in zip(axes, sizes, strict=True) if a in "YX" or units[a] or s != 1
    }
    return Place(
        {
            a: float(s)
            for a, s in zip(axes, sizes, strict=True)
            if calibrated and a in "TZYX" and a in told
        },
        {a: float(o) for a, o in zip(axes, origin, strict=True) if a in "TZYX"},
        unit,
        tuple(str(channel.get("label") or "") for channel in channels),
        tuple(str(channel.get("color") or _GREY) for channel in channels),
        [(w["start"], w["end"]) for w in windows] if windows and known else None,
    )


def _short(name: str) -> str:
    return unit_name(_NAMES.get(name, name))


def _factor(axis: str, own: str, unit: str) -> float:
    """From an axis's own unit to that of X, or to seconds; 1 if either is unknown."""
    found = seconds(1.0, own) if axis == "T" else converted(1.0, own, unit)
    return found or 1.0
