"""The recipe for conda-forge asks for what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RECIPE = yaml.safe_load((ROOT / "conda-recipe/recipe.yaml").read_text("utf-8"))
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = SETTINGS["project"]
#: What is called otherwise on conda-forge.
NAMES = {
    "torch": "pytorch",
    "dask[array]": "dask-core",
    "universal-pathlib": "universal_pathlib",
}


def floors(needs):
    """Least version of each package, by its name on conda-forge."""
    found = {}
    for need in needs:
        name, floor = re.fullmatch(r"([\w.\[\]-]+) *>= *([\w.]+)", need).groups()
        found[NAMES.get(name, name)] = floor
    return found


def rendered(text):
    """A text of the recipe with the values of its own context."""
    context = RECIPE["context"]
    return re.sub(r"\$\{\{ (\w+) \}\}", lambda name: context[name[1]], text)


def test_a_run_needs_what_the_wheel_needs():
    python, *others = map(rendered, RECIPE["requirements"]["run"])
    assert python == f"python {PROJECT['requires-python']}"
    assert floors(others) == floors(PROJECT["dependencies"])


def test_the_build_needs_what_the_wheel_is_built_with():
    python, pip, *others = map(rendered, RECIPE["requirements"]["host"])
    assert [python, pip] == [rendered("python ${{ python_min }}.*"), "pip"]
    assert floors(others) == floors(SETTINGS["build-system"]["requires"])


def test_constraints_are_those_of_the_extras():
    extras = PROJECT["optional-dependencies"]
    needs = (need for name in ("napari", "large", "fast") for need in extras[name])
    of_extras = floors(needs)
    assert "MNN" in of_extras  # which conda-forge does not have under that name
    del of_extras["MNN"]
    assert floors(RECIPE["requirements"]["run_constraints"]) == of_extras


def test_the_program_is_that_of_the_wheel():
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == PROJECT["scripts"]
    assert RECIPE["build"]["noarch"] == "python"
    scripts = [test["script"] for test in RECIPE["tests"] if "script" in test]
    assert "napari-edsr --help" in scripts[0]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("summary", PROJECT["description"]),
        ("license", PROJECT["license"]),
        ("license_file", PROJECT["license-files"][0]),
        ("homepage", PROJECT["urls"]["Homepage"]),
        ("documentation", PROJECT["urls"]["Documentation"]),
    ],
)
def test_it_says_of_the_project_what_the_project_says(ours, theirs):
    assert RECIPE["about"][ours] == theirs


def test_its_version_is_that_of_the_next_release():
    version = SETTINGS["tool"]["hatch"]["version"]["raw-options"]["fallback_version"]
    assert RECIPE["context"]["version"] == version
    assert rendered(RECIPE["package"]["name"]) == PROJECT["name"]
    assert rendered(RECIPE["source"]["url"]).endswith(f"/napari_edsr-{version}.tar.gz")
