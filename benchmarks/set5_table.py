"""The README's table of the built-in models, measured anew.

``python benchmarks/set5_table.py Set5``, where Set5 holds ``HR``, ``LRx2``, ``LRx3`` and
``LRx4``, prints its lines.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from napari_edsr import load_model
from napari_edsr.benchmark import set5_scores
from napari_edsr.cards import BUILT_IN
from napari_edsr.errors import EDSRError


def lines(set5: Path) -> Iterator[str]:
    """A line for each built-in model for photographs."""
    for card in BUILT_IN:
        if card.config.n_colors == 3:
            (scale,) = card.config.scales
            scores = set5_scores(load_model(card.name), set5, scale)
            rgb, bicubic_rgb, y, bicubic_y = (f"{v:.2f}" for v in scores.values())
            link = f"[`{card.name}`](docs/models/{card.name}.md)"
            yield f"| {link} | {rgb} | {y} | {bicubic_rgb} / {bicubic_y} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set5", type=Path)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        for line in lines(parser.parse_args().set5):
            console.print(line)
    except EDSRError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
