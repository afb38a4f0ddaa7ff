"""Time and memory against the size of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.engines.catalogue import ENGINES, OURS
from benchmarks.engines.results import Results, Row, seconds

_SCALE = 2


def draw(path: Path, results: Results) -> bool:
    """Write the figure; gives whether matplotlib is there and there was anything."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    rows = [r for r in results.rows if r["scale"] == _SCALE and "seconds" in r]
    if not rows:
        return False
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in ENGINES:
        mine = sorted((r for r in rows if r["engine"] == name), key=lambda r: r["side"])
        _line(left, name, mine, [seconds(row) for row in mine])
        _line(right, name, mine, [row["memory"] / 1e6 for row in mine])
    sides = sorted({row["side"] for row in rows})
    _axes(left, f"seconds, ×{_SCALE}", sides)
    _axes(right, f"MB of memory added, ×{_SCALE}", sides)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right", fontsize=8)
    figure.savefig(path, dpi=110)
    return True


def _line(axes: Any, name: str, rows: list[Row], values: list[float]) -> None:
    if not rows:
        return
    number = list(ENGINES).index(name)
    style = {"color": f"C{number}", "linestyle": "-" if number < 10 else "--"}
    if name == OURS:
        style = {"color": "black", "linewidth": 3}
    pixels = [row["side"] ** 2 for row in rows]
    marker = "osD^vPX*<>hdp8H"[number % 15]
    axes.plot(pixels, values, label=name, marker=marker, markersize=5, **style)


def _axes(axes: Any, title: str, sides: list[int]) -> None:
    """Both logarithmic, so that what grows with the pixels is a slope of one."""
    axes.set(xscale="log", yscale="log", title=title)
    axes.set_xticks([side**2 for side in sides], [f"{side}²" for side in sides])
    axes.set_xticks([], minor=True)
    axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_xlabel("pixels of the low-resolution picture")
    axes.grid(which="both", alpha=0.3)
