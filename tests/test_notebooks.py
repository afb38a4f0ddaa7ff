"""The example notebook runs as it stands, and what it shows is what its text says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[1] / "docs" / "examples" / "photo_and_stack.ipynb"

#: Ends the notebook in a test.
FOUND = """
assert photo_scores["EDSR"].psnr > photo_scores["bicubic"].psnr + 1
assert stack_scores["EDSR"].psnr > stack_scores["bicubic"].psnr + 1
assert result.image.dtype == stack.dtype and result.image.shape == (2, 128, 128)
assert apart.map.shape == stack.shape and ratio > 1
"""


def test_it_is_kept_without_outputs():
    cells = json.loads(BOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) == 7
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


@pytest.mark.slow  # though of seconds: it needs a kernel, and what draws
def test_it_runs_to_its_end(monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    book = nbformat.read(BOOK, as_version=4)
    book.cells.append(nbformat.v4.new_code_cell(FOUND))
    NotebookClient(book, timeout=240, kernel_name="python3").execute()
    pictures = [
        output
        for cell in book.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
