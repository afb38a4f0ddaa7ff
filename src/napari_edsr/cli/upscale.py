"""``napari-edsr upscale``."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_edsr import files, zoo
from napari_edsr.atomic import make_folder
from napari_edsr.cli.maps import (
    checked_degradation,
    file_size,
    write_consistency,
    write_uncertainty,
)
from napari_edsr.cli.parameters import DEFAULT_MODEL, FLAG, check_place
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.errors import EDSRError, EDSRWarning, FileError, ImageError
from napari_edsr.events import UpscalePlanned
from napari_edsr.files import ImageFile
from napari_edsr.files.reopened import FileImage
from napari_edsr.images import understand
from napari_edsr.stores import staging
from napari_edsr.stores.read import is_zarr, read_zarr

if TYPE_CHECKING:
    from napari_edsr.inference import UpscaleResult
    from napari_edsr.model import EDSR, MDSR


@dataclass(frozen=True)
class Job:
    """A file to read, one to write, and perhaps others for maps of what to trust."""

    source: Path
    target: Path
    uncertainty: Path | None = None
    consistency: Path | None = None

    @property
    def to_store(self) -> bool:
        """Whether the result is an OME-Zarr."""
        return self.target.suffix.lower() == ".zarr"

    @property
    def is_tiff(self) -> bool:
        """Whether the result is a TIFF, and no map is wanted beside it."""
        return self.target.suffix.lower() in (".tif", ".tiff") and not self.maps

    @property
    def maps(self) -> dict[str, Path]:
        """Those that are wanted, by what they show."""
        wanted = {"uncertainty": self.uncertainty, "consistency": self.consistency}
        return {name: path for name, path in wanted.items() if path is not None}


def upscale(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A file, a quoted glob, or a folder.")
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT", help="A file; a folder for a glob or folder of inputs."
        ),
    ],
    scale: Annotated[
        int | None, typer.Option(help="2, 3 or 4.", show_default="that of the model")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Name or weights file.", show_default=DEFAULT_MODEL),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            help="One letter an axis, e.g. TCYX.", show_default="read from the file"
        ),
    ] = None,
    tile: Annotated[
        str, typer.Option(help="Side in input pixels, rows, or auto.")
    ] = "auto",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:0,cuda:1, mps, xpu, mnn.")
    ] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, fp16 or bf16.")] = "auto",
    normalize: Annotated[
        str, typer.Option(help="auto, dtype, percentile, contrast-limits, or LO,HI.")
    ] = "auto",
    self_ensemble: Annotated[
        bool,
        typer.Option(
            "--self-ensemble", metavar=FLAG, help="Average eight flips and turns."
        ),
    ] = False,
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            help="TIFF for the self-ensemble's standard deviation; the result is its mean."
        ),
    ] = None,
    consistency: Annotated[
        Path | None,
        typer.Option(
            help="TIFF for the result made small again minus the input; of a single file."
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", metavar=FLAG, help="Replace an .ome.zarr made otherwise."
        ),
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of dask's scheduler, whose workers do the parts."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes here that do the parts.")
    ] = 0,
) -> None:
    """Upscale images. Pixel size, colour profile and metadata go along."""
    jobs = _jobs(source, Job(Path(source), output, uncertainty, consistency))
    network = _network(model, scale)
    options = {
        "scale": scale,
        "tile": tile,
        "device": device,
        "precision": precision,
        "self_ensemble": self_ensemble,
        "uncertainty": uncertainty is not None,
        "normalize": _range(normalize),
        "overwrite": overwrite,
        "scheduler": scheduler,
        "workers": workers,
    }
    failures = []
    for job in jobs:
        try:
            _upscale_file(job, network, axes, options)
        except EDSRError as error:
            if len(jobs) == 1:
                raise
            typer.echo(f"  left out: {error}")
            failures.append(error)
    if failures:
        raise FileError(
            f"{len(failures)} of {len(jobs)} images were left out: {failures[0]}"
        )


def _jobs(source: str, asked: Job) -> list[Job]:
    """One for each file that `source` names."""
    if not source:
        raise FileError("INPUT is empty; name a file, a glob or a folder.")
    path, output = asked.source, asked.target
    if path.is_file() or is_zarr(path) or not (path.is_dir() or glob.has_magic(source)):
        _protect([asked])
        return [asked]
    if asked.maps:
        raise FileError(f"--{min(asked.maps)} needs a single INPUT file.")
    inputs = files.images_at(source)
    if not inputs:
        raise FileError(
            f"No images in {source}; known are {', '.join(files.READABLE)}."
        )
    jobs = [Job(name, output / _output_name(name)) for name in inputs]
    _refuse_collisions(jobs)
    _make_folder(output)
    _protect(jobs)
    return jobs


def _make_folder(output: Path) -> None:
    if output.is_file() or (
        output.suffix.lower() in files.READABLE and not output.is_dir()
    ):
        raise FileError(
            f"A folder or glob goes into a folder, which {output.name} is not; "
            "name one for OUTPUT."
        )
    make_folder(output)


def _output_name(source: Path) -> str:
    """Its own name; formats that cannot be written become PNG."""
    if source.suffix.lower() in files.WRITABLE:
        return source.name
    suffix = ".tif" if source.suffix.lower() == ".lsm" else ".png"
    return source.with_suffix(suffix).name


def _refuse_collisions(jobs: list[Job]) -> None:
    targets = [job.target for job in jobs]
    twice = {target.name for target in targets if targets.count(target) > 1}
    if twice:
        raise FileError(
            f"Several inputs would become {twice.pop()}; upscale them one by one."
        )


def _protect(jobs: list[Job]) -> None:
    """Refuse to overwrite any input, under whatever name, and places of no use."""
    sources = {_identity(job.source) for job in jobs if job.source.exists()}
    for job in jobs:
        for output in (job.target, *job.maps.values()):
            if output.exists() and _identity(output) in sources:
                raise FileError(f"{output} is the input itself; name another output.")
            check_place(output)
        _check_maps(job)


def _identity(path: Path) -> tuple[int, int]:
    """The same for all names of a file, links included."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _check_maps(job: Job) -> None:
    if job.to_store and job.maps:
        raise FileError(f"--{min(job.maps)} needs an OUTPUT such as .tif.")
    taken = {job.target.resolve(): "OUTPUT"}
    for name, path in job.maps.items():
        if path.resolve() in taken:
            other = taken[path.resolve()]
            raise FileError(f"{other} and --{name} are the same file; name two.")
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise FileError(f"The {name} is written as .tif; name such a file.")
        taken[path.resolve()] = f"--{name}"


def _network(model: str | None, scale: int | None) -> EDSR | MDSR:
    """The model, downloaded with a progress bar if it must be."""
    name = model or zoo.default_model(scale or 2)
    card = zoo.find_card(name)
    if card is not None and not zoo.is_available(card):
        run_with_progress(zoo.iter_download(card), f"Downloading {name}")
    from napari_edsr.checkpoints import load_model

    return load_model(name)


def _range(normalize: str) -> Any:
    if "," not in normalize:
        return normalize
    try:
        lo, hi = (float(part) for part in normalize.split(","))
    except ValueError:
        raise ImageError(
            f"--normalize {normalize} is not LO,HI such as 0,4095."
        ) from None
    return lo, hi


def _upscale_file(
    job: Job, network: EDSR | MDSR, axes: str | None, options: dict[str, Any]
) -> None:
    from napari_edsr.engines import checked_scale
    from napari_edsr.inference import iter_upscale

    image = (read_zarr if is_zarr(job.source) else files.read_image)(job.source, axes)
    spec = understand(image.data, image.axes)
    scale = checked_scale(network.config, options["scale"])
    notes = [*image.notes]
    shared = bool(options["scheduler"] or options["workers"])
    stored = job.to_store or (job.is_tiff and (shared or staging.is_worthwhile(spec)))
    if not job.to_store:
        shape = spec.output_shape(scale)
        notes.append(files.check_writable(job.target, image.axes, shape, spec.dtype))
    degradation = None
    if job.consistency is not None:
        degradation = checked_degradation(network, scale, image)
    typer.echo(f"{job.source}: {spec.describe()}, axes {spec.axes}")
    for note in filter(None, notes):
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
        result = run_with_progress(
            run, f"Upscaling x{scale}", lambda event: _say_plan(event, said)
        )
    _say_new(result.metadata["notes"], said)
    if stored:
        _say_written(job, image, result)
        return
    written = _write(job, image, result)
    if job.uncertainty is not None:
        write_uncertainty(job.uncertainty, written, result)
    if job.consistency is not None and degradation is not None:
        write_consistency(job.consistency, image, result, degradation)


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
