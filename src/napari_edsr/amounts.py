"""Bytes and seconds as people say them."""

from __future__ import annotations

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def in_bytes(count: float) -> str:
    """Two significant digits in SI units: ``"320 MB"``, ``"1.4 GB"``."""
    power = 0
    while count >= 999.5 * 1000**power and power < len(_BYTE_UNITS) - 1:
        power += 1
    value = count / 1000**power
    digits = 1 if power and value < 9.95 else 0
    return f"{value:.{digits}f} {_BYTE_UNITS[power]}"


def duration(seconds: float) -> str:
    """About how long: ``"0.4 s"``, ``"38 s"``, ``"6 min"``, ``"2 h 10 min"``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
