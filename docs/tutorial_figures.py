"""Does what the tutorial for microscopy says, and puts its figures into the page.

``python docs/tutorial_figures.py`` after a model or the tutorial was changed; a test does
the same and compares.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import run_page

FOLDER = Path(__file__).parent
PAGE = FOLDER / "tutorials" / "microscopy.md"
PICTURE = FOLDER / "images" / "microscopy-judged.png"
SCRIPTS = ("simulate_stack.py", "judge_stack.py")
_BEGIN, _END = "<!-- figures begin -->\n", "<!-- figures end -->"


def follow(folder: Path) -> str:
    """Follow the tutorial in an empty folder; the tables that its last command prints."""
    for name in SCRIPTS:
        shutil.copy(PAGE.parent / name, folder)
    run_page(PAGE, folder)
    return judged(folder)


def judged(folder: Path) -> str:
    """What the last command prints where the tutorial was followed."""
    command = [sys.executable, SCRIPTS[-1]]
    return subprocess.check_output(command, cwd=folder, text=True, encoding="utf-8")


def shown(page: str) -> str:
    """The tables that stand in the page."""
    return page.partition(_BEGIN)[2].partition(_END)[0].strip()


def numbers(tables: str) -> list[float]:
    """All figures of the tables, in order."""
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", tables)]


def main() -> None:
    """Write the tables and the picture."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        tables = follow(Path(folder))
        shutil.copyfile(Path(folder) / "judged.png", PICTURE)
    before, after = page.partition(_BEGIN)[0], page.partition(_END)[2]
    text = f"{before}{_BEGIN}\n{tables.strip()}\n\n{_END}{after}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
