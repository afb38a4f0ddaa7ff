"""Numbers and names as the dock words them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

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


def clock(seconds: float) -> str:
    """Minutes and seconds of a countdown: ``"0:17"``, ``"1:02:05"``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"


def times(text: str) -> str:
    """Factors and sizes with a proper sign: ``"x2"`` becomes ``"×2"``."""
    return re.sub(r"\bx(?=\d)|(?<=\d) x (?=\d)", lambda m: m[0].replace("x", "×"), text)


def device_name(device: str) -> str:
    """As users say it: ``"CPU"``, ``"CPU with MNN"``, ``"GPU (cuda:0)"``."""
    on_cpu = {"cpu": "CPU", "mnn": "CPU with MNN"}
    several = f"{device.count(',') + 1} GPUs" if "," in device else "GPU"
    return on_cpu.get(device, f"{several} ({device})")


def model_label(model: str) -> str:
    """Short enough for a layer's name: ``"light"`` for ``"edsr-light-x2"``."""
    name = Path(model).stem if _is_file(model) else model.rpartition("/")[2]
    short = re.fullmatch(r"edsr[-_](.+?)[-_]x[234]", name)
    return short[1] if short else name


def _is_file(model: str) -> bool:
    return Path(model).suffix in (".safetensors", ".pth", ".pt")


def result_name(source: str, scale: int, model: str) -> str:
    """Name of a result's layer: ``"cells ×2 (light)"``."""
    return f"{source} ×{scale} ({model_label(model)})"


def sides(shape: Sequence[int], axes: str) -> str:
    """Width and height first, then what counts planes: ``"4096 × 4096 × 10"``."""
    sizes = dict(zip(axes, shape, strict=True))
    order = ["X", "Y", *(axis for axis in axes if axis not in "XYS")]
    return " × ".join(str(sizes[axis]) for axis in order)


def sentence(text: str) -> str:
    """The first letter large and a full stop at the end."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")
