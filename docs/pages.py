"""Reads the pages of this folder, and does what they tell their readers to type.

In pages that are run, a block marked ``sh`` or ``python`` is what a reader types. A line
``<!-- not run: ... -->`` in front of it says why it is left out.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from napari_edsr.cli import main as napari_edsr

FOLDER = Path(__file__).parent
_FENCE = re.compile(
    r"^(?P<skip><!-- not run: [^\n]+ -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of code in a page.

    Attributes
    ----------
    kind : str
        Its language, as the page names it.
    text : str
    is_run : bool
        Whether a reader could run it anywhere.
    """

    kind: str
    text: str
    is_run: bool


def blocks(page: str) -> list[Block]:
    """All blocks of code of a page, in order."""
    return [
        Block(found["kind"], found["text"], found["skip"] is None)
        for found in _FENCE.finditer(page)
    ]


def command_lines(text: str) -> Iterator[str]:
    """The lines of a block for the shell, continued ones joined, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.sub(r"(^|\s)#.*", "", line).strip()
        if command:
            yield command


def run_page(path: Path, folder: Path) -> None:
    """Do in `folder` what a page tells its reader to type.

    Raises
    ------
    subprocess.CalledProcessError
        If a command fails.
    """
    names: dict[str, object] = {}
    with contextlib.chdir(folder):
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.is_run and block.kind == "python":
                exec(compile(block.text, str(path), "exec"), names)
            elif block.is_run and block.kind == "sh":
                for line in command_lines(block.text):
                    _run(line)


def _run(line: str) -> None:
    program, *arguments = shlex.split(line)
    if program == "python":
        subprocess.run([sys.executable, *arguments], check=True)
        return
    if program != "napari-edsr":
        raise ValueError(f"The page runs {program}, which is not ours.")
    try:
        napari_edsr(arguments)
    except SystemExit as end:
        if end.code:
            raise subprocess.CalledProcessError(int(end.code), line) from end
