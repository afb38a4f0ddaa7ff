"""The figures so far, written after each of them so that a run can go on later."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from napari_edsr.atomic import replacing

Row = dict[str, Any]
#: A size: scale, and rows and columns of the picture.
Size = tuple[int, int]


@dataclass
class Results:
    """Rows of figures from one machine.

    Parameters
    ----------
    path : Path
        The JSON file.
    machine : dict
        What the figures hold for, see `benchmarks.engines.machine`.
    rows : list of dict
        ``engine``, ``scale`` and ``side``; ``version``; ``seconds``, a list, ``first``,
        ``memory`` in bytes, ``error`` and ``differing``, or ``failed``, a sentence.
    """

    path: Path
    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def resume(cls, path: Path, machine: dict[str, Any]) -> Results:
        """Take what is in a file, if it is from the same machine and settings."""
        found = json.loads(path.read_text()) if path.exists() else {}
        same = found.get("machine") == machine
        return cls(path, machine, found["rows"] if same else [])

    def save(self) -> None:
        """Write the file."""
        text = json.dumps({"machine": self.machine, "rows": self.rows}, indent=1)
        with replacing(self.path) as path:
            path.write_text(text + "\n", encoding="utf-8")

    def row(self, engine: str, size: Size, version: str = "") -> Row:
        """The row of an engine; a new one if there is none of this version."""
        for row in self.of(size):
            if row["engine"] == engine and row["version"] == version:
                return row
        self.forget([engine], size)
        scale, side = size
        new = {"engine": engine, "scale": scale, "side": side, "version": version}
        self.rows.append(new)
        return new

    def of(self, size: Size) -> list[Row]:
        """The rows of a size."""
        return [row for row in self.rows if (row["scale"], row["side"]) == size]

    def forget(self, engines: Iterable[str], size: Size) -> None:
        """Drop rows."""
        gone = [row for row in self.of(size) if row["engine"] in set(engines)]
        self.rows = [row for row in self.rows if row not in gone]

    def sizes(self) -> list[Size]:
        """The sizes there are rows of, in order."""
        return sorted({(row["scale"], row["side"]) for row in self.rows})

    def peak(self, size: Size) -> float:
        """Operations a second of the product of matrices in the run of a size."""
        rates = [row["flops"] for row in self.of(size) if "flops" in row]
        return rates[0] if rates else 0.0

    def ratios(self, engine: str, other: str) -> dict[Size, float]:
        """How many times as fast as another an engine is, by size."""
        times = {
            (row["engine"], (row["scale"], row["side"])): seconds(row)
            for row in self.rows
            if "seconds" in row
        }
        return {
            size: times[other, size] / times[engine, size]
            for size in self.sizes()
            if {(engine, size), (other, size)} <= times.keys()
        }

    def expected_memory(self, engine: str, size: Size) -> float:
        """Bytes that an engine will need, from the next smaller size; 0 if unknown.

        What it needs grows with the pixels of the result at most.
        """
        enlarged = size[0] * size[1]
        known = {
            row["scale"] * row["side"]: row["memory"]
            for row in self.rows
            if row["engine"] == engine and "memory" in row
        }
        smaller = [side for side in known if side < enlarged]
        if not smaller:
            return 0.0
        return float(known[max(smaller)] * (enlarged / max(smaller)) ** 2)


def is_done(row: Row) -> bool:
    """Whether nothing is left to be measured of it."""
    return "failed" in row or "error" in row


def seconds(row: Row) -> float:
    """Median of the calls but the first."""
    return median(row["seconds"])


def best(rows: Iterable[Row], names: Iterable[str], count: int = 2) -> list[str]:
    """The quickest of some engines that are right to half a grey level."""
    right = [
        row for row in rows if row["engine"] in names and row.get("error", 256) < 0.5
    ]
    return [row["engine"] for row in sorted(right, key=seconds)[:count]]
