"""One file of ``napari-edsr upscale``: read, upscaled, written, with what is to say of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from napari_edsr import disk, files
from napari_edsr.cli.jobs import Job
from napari_edsr.cli.maps import (
    checked_degradation,
    file_size,
    write_consistency,
    write_uncertainty,
)
from napari_edsr.errors import EDSRWarning
from napari_edsr.events import UpscalePlanned
from napari_edsr.files import ImageFile
from napari_edsr.files.reopened import FileImage
from napari_edsr.images import ImageSpec, understand
from napari_edsr.stores.read import is_zarr, read_zarr

if TYPE_CHECKING:
    from napari_edsr.inference import UpscaleResult
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
    from napari_edsr.inference import iter_upscale

    image = (read_zarr if is_zarr(job.source) else files.read_image)(job.source, axes)
    spec = understand(image.data, image.axes)
    scale = checked_scale(network.config, options["scale"])
    shared = is_shared(options)
    stored = job.is_stored(spec, shared)
    notes = [*image.notes, *check_output(job, image, spec, scale, stored)]
    degradation = None
    if job.consistency is not None:
        degradation = checked_degradation(network, scale, image)
    typer.echo(f"{job.source}: {spec.describe()}, axes {spec.axes}")
    for note in notes:
        typer.echo(f"  {note}")
    run = iter_upscale(
        _for_others(job.source, image, axes) if shared else image.data,
        network,
        axes=image.axes,
        contrast_limits=image.contrast_limits,
        out=job.target if stored else None,
        like=image,
        **options,
    )
    said: set[str] = set()
    with _warnings_said_once(said):
        result = run_job(
            run, f"Upscaling x{scale}", lambda event: _say_plan(event, said)
        )
    _say_new(result.metadata["notes"], said)
    if stored:
        _say_written(job, image, result)
        return result.image.shape
    written = _write(job, image, result)
    if job.uncertainty is not None:
        write_uncertainty(job.uncertainty, written, result)
    if job.consistency is not None and degradation is not None:
        write_consistency(job.consistency, image, result, degradation)
    return result.image.shape


def is_shared(options: dict[str, Any]) -> bool:
    """Whether workers do the parts of a file."""
    return bool(options["scheduler"] or options["workers"])


def check_output(
    job: Job, image: ImageFile, spec: ImageSpec, scale: int, stored: bool
) -> list[str]:
    """Say what the user should know of the output before time is spent on it.

    Raises
    ------
    FileError
        If the format cannot hold the result, or the disk cannot.
    """
    notes = []
    if not job.to_store:
        shape = spec.output_shape(scale)
        notes.append(files.check_writable(job.target, image.axes, shape, spec.dtype))
    notes.append(disk.check_room(job.target, need(job, image, spec, scale, stored)))
    return [note for note in notes if note]


def need(
    job: Job, image: ImageFile, spec: ImageSpec, scale: int, stored: bool
) -> disk.Need:
    """What the result takes on the disk."""
    compressed = image.metadata.get("compression") is not None
    found = disk.needed(job.target, spec, scale, stored=stored, compressed=compressed)
    may_be_finished = stored and job.target.exists()
    return replace(found, surely=0) if may_be_finished else found


def _for_others(path: Path, image: ImageFile, axes: str | None) -> Any:
    """Pixels that other processes read themselves."""
    return image.data if is_zarr(path) else FileImage(path, image, axes)


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


def _say_plan(event: Any, said: set[str]) -> None:
    if isinstance(event, UpscalePlanned):
        _say_new(event.notes, said)
        typer.echo(f"  {_parts(event)}, {event.precision} on {event.device}")


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


def _write(job: Job, source: ImageFile, result: UpscaleResult) -> ImageFile:
    """Write the result, and return what was written."""
    scale = result.metadata["scale"]
    written = files.upscaled_file(source, result.image, scale, result.metadata)
    files.write_image(job.target, written)
    _say_written(job, source, result)
    return written


def _say_written(job: Job, source: ImageFile, result: UpscaleResult) -> None:
    size = " x ".join(str(result.image.shape[source.axes.index(axis)]) for axis in "XY")
    seconds = f"{result.metadata['seconds']:.1f} s"
    typer.echo(f"  {job.target}: {size}, {file_size(job.target)}, {seconds}")
