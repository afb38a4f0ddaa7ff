"""One progress bar for every long job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from napari_edsr.events import BytesDone, drain

Result = TypeVar("Result")


def run_with_progress(
    job: Generator[Any, None, Result],
    description: str,
    on_event: Callable[[Any], object] | None = None,
) -> Result:
    """Run a job to its end behind a bar with the share done and the time left.

    The bar is drawn on the standard error output, and only if that is a terminal.

    Parameters
    ----------
    job : generator
        Any long job of this package; events with `done` and `total` move the bar.
    description : str
        What stands before the bar.
    on_event : callable, optional
        Called with each event before the bar moves; what it prints stays above it.

    Returns
    -------
    object
        What the job returns.
    """
    with _bar() as bar:
        return _run_in(bar, job, description, on_event)


class BatchBars:
    """The bar of a batch of files, and under it that of the one at work.

    Parameters
    ----------
    n_files : int
    """

    def __init__(self, n_files: int) -> None:
        self._bar, self._done, self._total = _bar(), 0, n_files
        self._files = self._bar.add_task("Files", total=n_files, amount=f"0/{n_files}")

    def __enter__(self) -> BatchBars:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take it away."""
        self._bar.stop()

    def run(
        self,
        job: Generator[Any, None, Result],
        description: str,
        on_event: Callable[[Any], object] | None = None,
    ) -> Result:
        """As `run_with_progress`, under the bar of the files."""
        return _run_in(self._bar, job, description, on_event)

    def advance(self) -> None:
        """A file is done, or left out."""
        self._done += 1
        amount = f"{self._done}/{self._total}"
        self._bar.update(self._files, completed=self._done, amount=amount)


def _run_in(
    bar: Progress,
    job: Generator[Any, None, Result],
    description: str,
    on_event: Callable[[Any], object] | None,
) -> Result:
    task = bar.add_task(description, total=None, amount="")

    def show(event: Any) -> None:
        if on_event is not None:
            on_event(event)
        if hasattr(event, "done"):
            amount = _amount(event)
            bar.update(task, completed=event.done, total=event.total, amount=amount)

    try:
        return drain(job, show)
    finally:
        bar.remove_task(task)


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    )


def _amount(event: Any) -> str:
    if not isinstance(event, BytesDone):
        return f"{int(event.done)}/{event.total}"
    if event.total is None:
        return decimal(event.done)
    return f"{decimal(event.done)} of {decimal(event.total)}"
