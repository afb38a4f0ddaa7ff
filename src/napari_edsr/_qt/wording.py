"""Numbers and names as the dock words them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from napari_edsr.amounts import duration as duration
from napari_edsr.amounts import in_bytes as in_bytes


def clock(seconds: float) -> str:
    """Minutes and seconds of a countdown: ``"0:17"``, ``"1:02:05"``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"


def about(seconds: float) -> str:
    """How long something will take: ``"about 6 min"``."""
    return "under a second" if seconds < 1 else f"about {duration(seconds)}"


def times(text: str) -> str:
    """Factors and sizes with a proper sign: ``"x2"`` becomes ``"×2"``.

    Names such as ``"cells-x2"`` stay as they are spelled.
    """
    return re.sub(
        r"(?<![\w-])x(?=\d)|(?<=\d) x (?=\d)", lambda m: m[0].replace("x", "×"), text
    )


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
    return Path(model).suffix in (".safetensors", ".pth", ".pt", ".zip")


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
