"""Writes which faults are tested, what is promised, and the tests that show it.

``python docs/reliability.py`` after a mark ``fault`` has changed; a test compares the page.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"

INTRODUCTION = """\
# Reliability

Whatever goes wrong, three things are promised. You get a sentence that says what happened
and what to do about it. The viewer lives on. Nothing that was there or was done is lost,
and nothing half made is left behind.

Below stands each fault that is tested, what is promised for it in particular, and the
tests that show it. The faults are real wherever a test can make them: processes are
killed, disks are full, a server on this machine drops its connections, files are damaged
and malicious. Only what needs broken hardware is played: a GPU that is lost or whose memory
ran out.

`make test` runs them with all other tests, and `tox -e test -- -m fault` runs them alone; on
Linux those that show a viewer do so on a screen of their own, where Xvfb is installed. The
tables are written by `docs/reliability.py` from the marks `fault(what, promise)` of the
tests.
"""

#: The words before the colon in what a mark says, in the order of the page.
TOPICS = (
    "Layers and docks",
    "Stopping",
    "Disk",
    "Network",
    "Weights files",
    "Images",
    "Devices",
    "Names and languages",
    "Settings",
)


class Fault(NamedTuple):
    """A row of the page, but for its tests."""

    topic: str
    what: str
    promise: str


def page() -> str:
    """The page, in Markdown."""
    found: dict[Fault, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for fault, test in marks(path):
            found.setdefault(fault, []).append(test)
    parts = [INTRODUCTION]
    for topic in TOPICS:
        faults = sorted(fault for fault in found if fault.topic == topic)
        rows = [row(fault, found[fault]) for fault in faults]
        table = ["| fault | what is promised | shown by |", "|---|---|---|", *rows]
        parts.append("\n".join([f"## {topic}", "", *table, ""]))
    return "\n".join(parts)


def row(fault: Fault, tests: list[str]) -> str:
    """A line of the table."""
    return f"| {fault.what} | {fault.promise} | {'<br>'.join(tests)} |"


def marks(path: Path) -> Iterator[tuple[Fault, str]]:
    """Faults of a file of tests, each with a link to its test; nothing is imported."""
    place = path.relative_to(ROOT).as_posix()
    for function in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        link = f"[{function.name.removeprefix('test_')}](../{place})"
        for mark in function.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith(".fault"):
                yield _fault(mark), link


def _fault(mark: ast.Call) -> Fault:
    said, promise = (ast.literal_eval(argument) for argument in mark.args)
    topic, _, what = said.partition(": ")
    if topic not in TOPICS:
        raise ValueError(f"{said!r} begins with none of: {', '.join(TOPICS)}.")
    return Fault(topic, what, promise)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
