"""Units of length: one spelling for each, and from one to another."""

from __future__ import annotations

from typing import Any

_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "µm": 1e-6, "nm": 1e-9, "pm": 1e-12}
_METRES |= {"inch": 0.0254, "Å": 1e-10}
_SPELLINGS = {
    **dict.fromkeys(("um", "μm", r"\u00b5m", "micron", "microns", "micrometer"), "µm"),
    **dict.fromkeys(("micrometre", "micrometers", "micrometres"), "µm"),
    **dict.fromkeys(("nanometer", "nanometre"), "nm"),
    **dict.fromkeys(("millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("centimeter", "centimetre"), "cm"),
    **dict.fromkeys(("meter", "metre"), "m"),
    **dict.fromkeys(("in", "inches"), "inch"),
    **dict.fromkeys(("angstrom", "ångström"), "Å"),
    **dict.fromkeys(("pixel", "pixels", "px", "none"), ""),
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
