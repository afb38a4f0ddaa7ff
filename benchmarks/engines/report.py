"""The figures as Markdown tables between two marks, and as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.engines.catalogue import EAGER, OURS, PEAK
from benchmarks.engines.results import Results, Row, Size, seconds
from napari_edsr.config import EDSRConfig

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_EMPTY = f"# Speed and memory, beside others\n\n{BEGIN}\n{END}\n"
#: Grey levels from which a result is called wrong.
_WRONG = 16
_HEADINGS = (
    "engine",
    "version",
    "seconds (range)",
    "first",
    f"speed against {EAGER}",
    "GFLOP/s",
    "of peak",
    "memory added",
    "max error, levels",
    "bytes that differ",
    "note",
)


def write(page: Path, results: Results, picture: str) -> None:
    """Put the tables between the marks of a page.

    Parameters
    ----------
    page : Path
    results : Results
    picture : str
        The figure's address as the page has it; empty for none.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else _EMPTY
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    image = f"![Time and memory against size]({picture})\n\n" if picture else ""
    body = "\n".join(lines(results))
    page.write_text(f"{before}{BEGIN}\n\n{image}{body}\n{END}{after}", encoding="utf-8")


def lines(results: Results) -> Iterator[str]:
    """What goes between the marks."""
    yield _machine(results.machine)
    yield ""
    for scale, side in results.sizes():
        yield f"### ×{scale}, {side} × {side}"
        yield ""
        yield from table(results, (scale, side))
        yield ""


def changes(before: dict[Size, float], after: dict[Size, float]) -> Iterator[str]:
    """Our speed against the eager network's, now and in the run before."""
    for (scale, side), ratio in after.items():
        then = before.get((scale, side))
        change = f", {ratio / then - 1:+.0%} against {then:.2f} before" if then else ""
        yield f"x{scale}, {side} px: {ratio:.2f} times as fast as {EAGER}{change}"


def table(results: Results, size: Size) -> Iterator[str]:
    """A line for each engine: the quickest first, those without figures last."""
    rows = [row for row in results.of(size) if row["engine"] != PEAK]
    done = sorted((row for row in rows if "seconds" in row), key=seconds)
    eager = [seconds(row) for row in done if row["engine"] == EAGER]
    peak = results.peak(size)
    yield "| " + " | ".join(_HEADINGS) + " |"
    yield "|---|---|" + "---:|" * 8 + "---|"
    for row in done:
        yield _line(_cells(row, eager[0] if eager else 0.0, peak))
    for row in rows:
        if "seconds" not in row:
            reason = row.get("failed", "not measured yet")
            yield _line([row["engine"], row["version"], *["–"] * 8, reason])
    if peak:
        yield ""
        half = "" if results.machine["device"] == "cpu" else " in half precision"
        yield (
            f"Peak: {peak / 1e9:,.0f} GFLOP/s, a product of matrices{half} in the "
            "same run."
        )


def _cells(row: Row, eager: float, peak: float) -> list[str]:
    spent = seconds(row)
    config = EDSRConfig.baseline(row["scale"])
    rate = config.flops(row["scale"]) * row["side"] ** 2 / spent
    name = f"**{row['engine']}**" if row["engine"] == OURS else row["engine"]
    return [
        name,
        row["version"],
        f"{_time(spent)} ({_time(min(row['seconds']))}–{_time(max(row['seconds']))})",
        _time(row["first"]),
        f"{eager / spent:.2f}" if eager else "–",
        f"{rate / 1e9:.0f}",
        f"{rate / peak:.0%}" if peak else "–",
        f"{row['memory'] / 1e6:.0f} MB",
        f"{row['error']:.2g}" if "error" in row else "–",
        f"{row['differing']:.2%}" if "differing" in row else "–",
        _note(row),
    ]


def _time(seconds: float) -> str:
    """Seconds to the hundredth, or to a tenth of a millisecond below a tenth."""
    return f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.4f}"


def _note(row: Row) -> str:
    words = [row.get("note", ""), row.get("failed", "")]
    if row.get("error", 0) > _WRONG:
        words.append("**the result is wrong**")
    return "; ".join(word for word in words if word)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _machine(machine: dict[str, Any]) -> str:
    on = "" if machine["device"] == "cpu" else f"{machine['device']}; "
    return (
        f"Measured on: {on}{machine['cpu']}, {machine['cores']} cores, "
        f"{machine['capability']}, {machine['memory'] / 2**30:.0f} GiB of memory; "
        f"{machine['system']}, Python {machine['python']}, torch {machine['torch']}; "
        f"{machine['threads']} threads for each engine."
    )
