"""One file of ``napari-edsr upscale``: read, upscaled, written, with what is to say of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from napari_edsr.cli.maps import (
    checked_degradation,
    file_size,
    write_consistency,
    write_uncertainty,
)
from napari_edsr.errors import EDSRWarning
from napari_edsr.events import UpscalePlanned
from napari_edsr.file_jobs import Job
from napari_edsr.file_runs import FileRead, FileUpscaled, iter_upscale_file

if TYPE_CHECKING:
    from napari_edsr.model import EDSR, MDSR

Result = TypeVar("Result")


class RunsJobs(Protocol):
    """Runs a long job to its end, as `napari_edsr.cli.progress.run_with_progress`."""

    def __call__(
        self,
        job: Generator[Any, None, Result],
        description: str,
        on_event: Callable[[Any], object] | None = None,
    ) -> Result:
        """Return what the job returns."""


def upscale_file(
    job: Job,
    network: EDSR | MDSR,
    axes: str | None,
    options: dict[str, Any],
    run_job: RunsJobs,
) -> tuple[int, ...]:
    """Upscale a file, and say how on the standard output.

    Parameters
    ----------
    job : Job
    network : EDSR or MDSR
    axes : str or None
        Instead of those in the file.
    options : dict
        As for `napari_edsr.iter_upscale`.
    run_job : callable
        Shows the progress.

    Returns
    -------
    tuple of int
        Shape of the result.
    """
    from napari_edsr.engines import checked_scale

    scale = checked_scale(network.config, options["scale"])
    run = iter_upscale_file(job, network, axes, options)
    degradation = None
    said: set[str] = set()

    def say(event: Any) -> None:
        nonlocal degradation
        if isinstance(event, FileRead):
            if job.consistency is not None:
                degradation = checked_degradation(network, scale, event.image)
            _say_file(job, event)
        elif isinstance(event, UpscalePlanned):
            _say_plan(event, said)

    with _warnings_said_once(said):
        done = run_job(run, f"Upscaling x{scale}", say)
    _say_new(done.result.metadata["notes"], said)
    _say_written(job, done)
    if job.uncertainty is not None and done.written is not None:
        write_uncertainty(job.uncertainty, done.written, done.result)
    if job.consistency is not None and degradation is not None:
        write_consistency(job.consistency, done.source, done.result, degradation)
    return done.result.image.shape


@contextmanager
def _warnings_said_once(said: set[str]) -> Iterator[None]:
    """Warnings of ours as notes: many stand among those of the result as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", EDSRWarning)  # for each image of a folder
        others = warnings.showwarning

        def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
            if issubclass(category, EDSRWarning):
                _say_new([str(message)], said)
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show
        yield


def _say_file(job: Job, event: FileRead) -> None:
    typer.echo(f"{job.source}: {event.spec.describe()}, axes {event.spec.axes}")
    for note in event.notes:
        typer.echo(f"  {note}")


def _say_plan(planned: UpscalePlanned, said: set[str]) -> None:
    _say_new(planned.notes, said)
    typer.echo(f"  {_parts(planned)}, {planned.precision} on {planned.device}")


def _parts(planned: UpscalePlanned) -> str:
    ending = "s" if planned.total != 1 else ""
    if planned.tile == "rows":
        return f"{planned.total} band{ending} of rows"
    return f"{planned.total} tile{ending} of up to {planned.tile} px"


def _say_new(notes: Iterable[str], said: set[str]) -> None:
    """Each note once, though a plan may be made anew."""
    for note in notes:
        if note not in said:
            typer.echo(f"  {note}")
        said.add(note)


def _say_written(job: Job, done: FileUpscaled) -> None:
    shape, axes = done.result.image.shape, done.source.axes
    size = " x ".join(str(shape[axes.index(axis)]) for axis in "XY")
    seconds = f"{done.result.metadata['seconds']:.1f} s"
    typer.echo(f"  {job.target}: {size}, {file_size(job.target)}, {seconds}")
