"""Units of length and time: one spelling for each, and from one to another."""

from __future__ import annotations

from typing import Any

#: Height and width of a pixel; None where they are not known.
PlanePixelSize = tuple[float | None, float | None]

_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "µm": 1e-6, "nm": 1e-9, "pm": 1e-12}
_METRES |= {"inch": 0.0254, "Å": 1e-10, "km": 1e3, "dm": 0.1}
_SPELLINGS = {
    **dict.fromkeys(("um", "μm", r"\u00b5m", "micron", "microns", "micrometer"), "µm"),
    **dict.fromkeys(("micrometre", "micrometers", "micrometres"), "µm"),
    **dict.fromkeys(("nanometer", "nanometre"), "nm"),
    **dict.fromkeys(("millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("centimeter", "centimetre"), "cm"),
    **dict.fromkeys(("meter", "metre"), "m"),
    **dict.fromkeys(("picometer", "picometre"), "pm"),
    **dict.fromkeys(("decimeter", "decimetre"), "dm"),
    **dict.fromkeys(("kilometer", "kilometre"), "km"),
    **dict.fromkeys(("in", "inches"), "inch"),
    **dict.fromkeys(("angstrom", "ångström"), "Å"),
    **dict.fromkeys(("pixel", "pixels", "px", "none"), ""),
}

_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("µs", "us", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


def unit_name(name: Any) -> str:
    """One spelling for each unit; those not known stay as they are."""
    text = "" if name is None else str(name).strip()
    known = _SPELLINGS.get(text.lower(), text)
    return "µm" if known == "μm" else known


def converted(size: float, unit: str, to: str) -> float | None:
    """A length in another unit; None if either unit is no known length."""
    if unit == to:
        return size
    if unit not in _METRES or to not in _METRES:
        return None
    return size * _METRES[unit] / _METRES[to]


def seconds(time: float, unit: str) -> float | None:
    """A duration in seconds; None if the unit is no known one."""
    one = _SECONDS.get(unit.strip().replace("μ", "µ"))
    return None if one is None else time * one
