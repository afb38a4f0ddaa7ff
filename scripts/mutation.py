"""Changes the code of tiling, images and metrics, and says which changes no test notices.

mutmut makes the changes, one at a time, in a copy in ``mutants/``; ``[tool.mutmut]`` in
``pyproject.toml`` names the modules and their tests. Names of mutants as arguments, with
``*`` for any letters, run these alone, on the copy that is there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "mutants"
TOTALS = COPY / "mutmut-cicd-stats.json"


def main(names: list[str]) -> None:
    """Run them, show those that no test noticed, and end with the numbers."""
    if not names:  # mutmut runs no mutant again because a test has changed
        shutil.rmtree(COPY, ignore_errors=True)
    mutmut("run", *names)
    for name, status in outcomes():
        if status == "survived":
            mutmut("show", name)
    mutmut("export-cicd-stats")
    totals = json.loads(TOTALS.read_text(encoding="utf-8"))
    sys.stdout.write(f"mutation: {summary(totals)}\n")


def outcomes() -> list[tuple[str, str]]:
    """Names of the mutants that no test failed for, and what became of each."""
    done = mutmut("results", capture_output=True, text=True)
    pairs = (line.strip().rsplit(": ", 1) for line in done.stdout.splitlines())
    return [(name, status) for name, status in pairs]


def summary(totals: dict[str, int]) -> str:
    """One line with what is known of all mutants."""
    named = {"killed", "survived", "timeout", "total"}
    rest = sum(count for name, count in totals.items() if name not in named)
    words = "{killed} killed, {survived} survived, {timeout} timed out".format(**totals)
    return f"{totals['total']} mutants: {words}, {rest} of another outcome"


def mutmut(*words: str, **options: bool) -> subprocess.CompletedProcess[str]:
    """Call it in the repository; its errors are ours."""
    command = [Path(sys.executable).with_name("mutmut"), *words]
    return subprocess.run(command, cwd=ROOT, check=True, **options)


if __name__ == "__main__":
    main(sys.argv[1:])
