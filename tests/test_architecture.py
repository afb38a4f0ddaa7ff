"""The habits of the code that a machine can check, with one test for each tool."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sys.executable).parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
HEAVY = ("torch", "napari", "qtpy", "superqt", "vispy", "skimage", "scipy")


def run(*command: str | Path) -> None:
    """Run it in the repository; its output is the message when it fails."""
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.fail(f"{command[0]}:\n{done.stdout}{done.stderr}", pytrace=False)


def test_imports_go_down_the_layers():
    run(SCRIPTS / "lint-imports")


def test_contributing_draws_the_layers_as_they_are():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = next(part for part in text.split("```") if "__main__" in part)
    lines = [line.strip() for line in picture.splitlines() if "──" not in line]
    drawn = [set(re.split(r"\s{2,}", line)[0].split(" · ")) for line in lines if line]
    (contract, *_) = SETTINGS["tool"]["importlinter"]["contracts"]
    assert drawn == [set(layer.split(" | ")) for layer in contract["layers"]]


def test_ruff_finds_nothing():
    run(sys.executable, "-m", "ruff", "check")


def test_ruff_would_not_reformat():
    run(sys.executable, "-m", "ruff", "format", "--check")


@pytest.mark.timeout(600)
def test_mypy_finds_nothing():
    run(sys.executable, "-m", "mypy")


IMPORT_AND_LOOK = """
import sys
import napari_edsr
loaded = set(sys.argv[1:]) & set(sys.modules)
sys.exit(f"import napari_edsr loads {sorted(loaded)}" if loaded else 0)
"""


def test_importing_the_package_loads_nothing_heavy():
    run(sys.executable, "-c", IMPORT_AND_LOOK, *HEAVY)


@pytest.mark.promise(
    "without `[all]` you get the Python package and the command line alone"
)
def test_base_dependencies_name_no_gui():
    names = {re.split(r"[^\w-]", line)[0].lower() for line in PROJECT["dependencies"]}
    gui = {
        "napari",
        "qtpy",
        "superqt",
        "pyqtgraph",
        "magicgui",
        "pyqt5",
        "pyqt6",
        "pyside6",
    }
    assert names & gui == set()


def floors() -> dict[str, Version]:
    """The oldest release of each dependency that pyproject.toml says will do."""
    groups = SETTINGS["dependency-groups"]
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *sum(extras, []), *groups["test"]]
    wanted = [Requirement(line) for line in lines if "napari-edsr" not in line]
    found: dict[str, Version] = {}
    for one in wanted:
        (floor,) = (part.version for part in one.specifier if part.operator == ">=")
        name = canonicalize_name(one.name)
        found[name] = max(Version(floor), found.get(name, Version("0")))
    return found


def test_the_floors_are_what_the_environment_oldest_installs():
    """`tox -e floors` writes them anew; torch is one release wherever tests run."""
    lines = (ROOT / "tests" / "oldest.txt").read_text().splitlines()
    pins = dict(line.split()[0].split("==") for line in lines if line[0] not in "# ")
    named = floors()
    del named["torch"]
    assert {name: Version(pins[name]) for name in named} == named
    assert f"torch=={pins['torch']}" == (ROOT / "tests/torch.txt").read_text().strip()


def test_the_manifest_at_the_top_is_the_one_in_the_package():
    inside = ROOT / "src" / "napari_edsr" / "napari.yaml"
    assert (ROOT / "napari.yaml").resolve() == inside.resolve()


def test_napari_finds_a_valid_manifest():
    run(SCRIPTS / "npe2", "validate", "napari-edsr", "--imports")
