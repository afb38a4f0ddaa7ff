"""README.md promises nothing that no test shows: marks ``promise(words, ...)`` name it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

MARK = "pytest.mark.promise("
#: How the passages begin in which nothing of ours is promised: advice, and what others do.
PROMISE_NOTHING = (
    "Super-resolution of microscopy and photo layers in [napari]",
    "Super-resolution invents plausible detail.",
    "On Linux, pip fetches torch for CUDA",
    "Into an environment of its own.",
    "python3 -m venv edsr",
    ". edsr/bin/activate",
    'pip install "napari-edsr[all] @ git+',
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\"])")
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")

_MARKED = re.compile(
    r"^@pytest\.mark\.promise(?P<words>\(.*?\))$\n(?=@|def )(?:.*?\n)??def (?P<test>\w+)",
    re.MULTILINE | re.DOTALL,
)


def flat(text: str) -> str:
    """Text in one line, without the signs of a quotation before its lines."""
    return " ".join(re.sub(r"^> ?", "", text, flags=re.MULTILINE).split())


def passages(page: str) -> list[str]:
    """What may be a promise: sentences, rows of tables, commands and other blocks of code.

    Headings and pictures are none.
    """
    found = prose(_BLOCK.sub("\n", page))
    for block in pages.blocks(page):
        parts = pages.command_lines(block.text) if block.kind == "sh" else [block.text]
        found += map(flat, parts)
    return found


def prose(text: str) -> list[str]:
    """Passages of a text without blocks of code."""
    found = []
    for paragraph in re.split(r"\n\s*\n", _PICTURE.sub("", text).strip()):
        if paragraph.startswith("|"):
            _, _, *rows = map(flat, paragraph.splitlines())
            found += [row for row in rows if row.strip("| ")]
        elif paragraph and not paragraph.startswith("#"):
            for item in re.split(r"^- ", paragraph, flags=re.MULTILINE):
                found += _SENTENCE.split(flat(item)) if item.strip() else []
    return found


@pytest.fixture(scope="module")
def marks():
    """The words of each mark, and the test that it is at; nothing is imported."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__) and MARK in text:
            own = list(marks_in(text, path.name))
            assert len({test for _, test in own}) == text.count(MARK), path.name
            found += own
    return found


def marks_in(text: str, name: str) -> Iterator[tuple[str, str]]:
    """Marks of a file of tests."""
    for found in _MARKED.finditer(text):
        words = ast.literal_eval(found["words"])
        for each in (words,) if isinstance(words, str) else words:
            yield each, f"{name}: {found['test']}"


def is_named_by(words: str, passage: str) -> bool:
    """Whether it is in the passage that a mark's words stand, or all of it in them."""
    return words in passage or passage in words


def test_every_mark_stands_in_the_readme_word_for_word(marks):
    text = flat(README)
    assert [(words, test) for words, test in marks if words not in text] == []


def test_every_promise_is_named_by_a_test(marks):
    named = [words for words, _ in marks]
    nobody = [
        passage
        for passage in passages(README)
        if not passage.startswith(PROMISE_NOTHING)
        and not any(is_named_by(words, passage) for words in named)
    ]
    assert nobody == []


def test_what_promises_nothing_is_there_and_nowhere_named(marks):
    for beginning in PROMISE_NOTHING:
        (passage,) = (p for p in passages(README) if p.startswith(beginning))
        assert [test for words, test in marks if is_named_by(words, passage)] == []


def test_passages_of_a_page():
    page = """# A page

Each sentence counts. *So does this
one*, `a.b` or not.

![A picture](a.png)

- **Bold.** An item.
- Another. Of two.

> A warning
> of two lines.

| control | what |
|---|---|
| Run | runs |
| ![a](a.png) | ![b](b.png) |

```sh
run a \\
b  # comment
run c
```

```python
x = 1
y = 2
```
"""
    assert passages(page) == [
        "Each sentence counts.",
        "*So does this one*, `a.b` or not.",
        "**Bold.** An item.",
        "Another.",
        "Of two.",
        "A warning of two lines.",
        "| Run | runs |",
        "run a b",
        "run c",
        "x = 1 y = 2",
    ]
