"""The page on reliability says what the marks of the tests say."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def reliability():
    path = ROOT / "docs" / "reliability.py"
    spec = importlib.util.spec_from_file_location("reliability", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.promise(
    "Full disks, killed programs, damaged files and lost connections are "
    "tested, each with [what is promised](docs/reliability.md) for it."
)
def test_the_page_is_up_to_date(reliability):
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page()


def test_every_mark_is_on_the_page(reliability):
    """Also one in a class, or otherwise where the page does not look for it."""
    files = [*(ROOT / "tests").rglob("test_*.py")]
    files.remove(Path(__file__))
    written = sum(path.read_text("utf-8").count("pytest.mark.fault(") for path in files)
    assert written == sum(len(list(reliability.marks(path))) for path in files)


def test_an_unknown_topic_is_refused(reliability, tmp_path, monkeypatch):
    monkeypatch.setattr(reliability, "ROOT", tmp_path)
    path = tmp_path / "test_x.py"
    path.write_text("@pytest.mark.fault('Weather: rain', 'Dry.')\ndef test_x(): pass\n")
    with pytest.raises(ValueError, match="'Weather: rain' begins with none of"):
        list(reliability.marks(path))
