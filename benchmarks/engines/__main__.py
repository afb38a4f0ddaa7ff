"""``python -m benchmarks.engines``; see ``--help``."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path

import psutil
from rich.console import Console

from napari_edsr.cards import BUILT_IN

ROOT = Path(__file__).parents[2]


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--full",
        action="store_true",
        help="also x3 and x4, and large pictures; goes on where an earlier run ended",
    )
    parser.add_argument(
        "--device", default="cpu", help="cpu, or cuda for those in torch"
    )
    parser.add_argument("--sides", type=int, nargs="+", help="of x2 pictures, instead")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--engines", nargs="+", help="only these")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False))
    parser.add_argument("--output", type=Path, default=ROOT / "docs")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench")
    return parser.parse_args()


def _weights() -> str:
    """Tells the built-in models from others: what was made from others does not count."""
    names = "".join(card.sha256 for card in BUILT_IN)
    return hashlib.sha256(names.encode()).hexdigest()[:12]


def main() -> None:
    """Measure, and write the figures after each size."""
    asked = arguments()
    # OpenMP reads it once, in this process and in those that it starts.
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    from benchmarks.engines import figure, machine, report, run
    from benchmarks.engines.catalogue import EAGER, ENGINES, OURS, PEAK
    from benchmarks.engines.results import Results

    console = Console(highlight=False, markup=False)
    work = asked.work / _weights()
    for folder in (work, asked.output / "images"):
        folder.mkdir(parents=True, exist_ok=True)
    about = machine.describe(asked.device, asked.threads)
    name = "performance" if asked.device == "cpu" else "performance-gpu"
    results = Results.resume(asked.output / f"{name}.json", about)
    engines = tuple(asked.engines or ENGINES)
    full = bool(asked.full or asked.engines or asked.sides)
    settings = run.Settings(
        asked.device, asked.threads, asked.repeats, work, engines, full
    )
    before = results.ratios(OURS, EAGER)
    sizes = run.FULL if asked.full else run.SHORT
    for size in [(2, side) for side in asked.sides or ()] or sizes:
        if not asked.full:
            results.forget([*engines, PEAK], size)
        run.measure(size, settings, results, console.print)
        picture = f"images/{name}.png"
        drawn = figure.draw(asked.output / picture, results)
        report.write(asked.output / f"{name}.md", results, picture if drawn else "")
    for line in report.changes(before, results.ratios(OURS, EAGER)):
        console.print(line)


if __name__ == "__main__":
    main()
