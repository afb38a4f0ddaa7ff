"""Scores as a table, as JSON and as CSV, for the commands that measure."""

from __future__ import annotations

import csv
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from napari_edsr.atomic import check_place, replacing
from napari_edsr.cli.parameters import FLAG, table_console
from napari_edsr.errors import FileError, legible
from napari_edsr.metrics import Score

CsvFile = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write the table to this file, too."),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar=FLAG,
        help="Print JSON instead; what could not be measured is null.",
    ),
]


def check_csv(path: Path | None) -> None:
    """Refuse, before anything is measured, a file that is no table or has no place.

    Raises
    ------
    FileError
        If it cannot be written, or ends in anything but ``.csv``.
    """
    if path is None:
        return
    if path.suffix.lower() != ".csv":
        raise FileError(f"The table {path.name} must end in .csv.")
    check_place(path)


@contextmanager
def notes_off_the_output(wanted: bool) -> Iterator[None]:
    """Print warnings on the standard error output, where JSON goes to the other one."""
    with warnings.catch_warnings():
        if wanted:
            warnings.showwarning = _note
        yield


def _note(message: Warning | str, *unused: Any, **also_unused: Any) -> None:
    typer.echo(f"Note: {' '.join(str(message).split())}", err=True)


def conditions(score: Score) -> str:
    """What stands above a table of the way it was measured."""
    rounding = "rounded to 8 bits" if score.rounded else "not rounded"
    white = "differing" if math.isnan(score.data_range) else f"{score.data_range:g}"
    return (
        f"protocol {score.protocol}, {score.colour}, {score.border} px shaved, "
        f"{rounding}, data range {white}"
    )


def score_table(names: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty table: columns of names on the left, of numbers on the right."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in names:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def add_row(table: Table, *cells: str, style: str = "") -> None:
    """Add a row whose texts may come from a stranger's file names."""
    table.add_row(*(Text(legible(cell)) for cell in cells), style=style)


def print_table(title: str, table: Table) -> None:
    """To the terminal, or on one line a row into a pipe."""
    console = table_console()
    console.print(Text(legible(title), style="italic"), soft_wrap=True)
    console.print(table)


def decimals(value: float) -> str:
    """Decibels and similarities as tables have them; a dash if not measured."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def digits(value: float) -> str:
    """Errors in units of any size; a dash if not measured."""
    return "-" if math.isnan(value) else f"{value:.4g}"


def print_json(content: Mapping[str, Any]) -> None:
    """Print valid JSON: NaN as null, infinities as the string ``"Infinity"``."""
    typer.echo(json.dumps(_valid(content), indent=2, allow_nan=False))


def _valid(value: Any) -> Any:
    if isinstance(value, Score):
        return _valid(asdict(value))
    if isinstance(value, Mapping):
        return {key: _valid(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(one) for one in value]
    if isinstance(value, str):  # of a file's name that is no Unicode
        return value.encode(errors="replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    return value


def save_csv(
    path: Path, headings: Sequence[str], rows: Sequence[tuple[Sequence[str], Score]]
) -> None:
    """Write a line for each score, whole or not at all.

    Parameters
    ----------
    path : Path
    headings : sequence of str
        Of the texts in front of each score.
    rows : sequence of (sequence of str, Score)
        These texts, and the score; inf and nan are written as such.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    with (
        replacing(path) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow([*headings, *asdict(rows[0][1])])
        for texts, score in rows:
            writer.writerow([*map(legible, texts), *asdict(score).values()])
