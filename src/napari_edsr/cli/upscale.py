"""``napari-edsr upscale``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_edsr import zoo
from napari_edsr.cli.batch import Manner, run_batch, run_single
from napari_edsr.cli.foresee import check_disk, foresee
from napari_edsr.cli.jobs import Naming, folder_jobs, is_single, single_job
from napari_edsr.cli.outcomes import Log, Settings
from napari_edsr.cli.parameters import DEFAULT_MODEL, FLAG
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.errors import DeviceError, ImageError
from napari_edsr.file_jobs import Job, make_folders
from napari_edsr.stores.location import location

if TYPE_CHECKING:
    from napari_edsr.config import EDSRConfig
    from napari_edsr.model import EDSR, MDSR


def upscale(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A file, a quoted glob, or a folder.")
    ],
    output: Annotated[
        str,
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
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Files of a folder, e.g. '*.tif'; '**/*.tif' for sub-folders, kept in "
            "OUTPUT.",
            show_default="all images",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Names in OUTPUT, of the fields {stem}, {suffix} and {scale}.",
            show_default="those of the inputs",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Files at a time, each in a process with its share of the cores: for "
            "many small images.",
        ),
    ] = 1,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going/--stop-at-error",
            metavar=FLAG,
            help="Go on with the others after a file that fails, or end there.",
        ),
    ] = True,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            metavar=FLAG,
            help="Leave outputs that are there, and complete.",
        ),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(help="Add a line of JSON for each file to this one (.jsonl)."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            metavar=FLAG,
            help="Say what it would take on the disk, of memory and time; write nothing.",
        ),
    ] = False,
) -> None:
    """Upscale images. Pixel size, colour profile and metadata go along."""
    source = os.path.expanduser(source)  # the shell leaves what stands in quotes
    place = location(output)
    asked = Job(location(source), place, uncertainty, consistency)
    model = model or zoo.default_model(scale or 2)
    naming = Naming(name)
    single = is_single(source)
    if single:
        found = [single_job(asked, pattern, naming)]
    else:
        named = _scale(model, scale) if naming.with_scale else None
        found = folder_jobs(source, asked, pattern, naming, named)
    _refuse_both(jobs, bool(scheduler or workers))
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
    settings = Settings(model, _scale(model, scale), axes, options)
    manner = Manner(jobs, keep_going, skip_existing)
    if dry_run:
        foresee(found, place, _config(model), settings, manner)
        return
    journal, network = Log(log, settings), _network(model)
    if not single:
        check_disk(found, place, settings, manner)
        make_folders(found)
    if len(found) == 1:
        run_single(found[0], network, settings, journal, manner)
    else:
        run_batch(found, network, settings, journal, manner)


def _refuse_both(jobs: int, shared: bool) -> None:
    if jobs > 1 and shared:
        raise DeviceError(
            "--jobs shares files among processes, --workers the parts of one; choose one."
        )


def _scale(model: str, scale: int | None) -> int:
    """That of the model, if it was not named."""
    from napari_edsr.engines import checked_scale

    return checked_scale(_config(model), scale)


def _config(model: str) -> EDSRConfig:
    """Of the model, which is not downloaded for that."""
    card = zoo.find_card(model)
    if card is not None:
        return card.config
    from napari_edsr.kept import kept_model

    return kept_model(model).model.config


def _network(name: str) -> EDSR | MDSR:
    """The model, downloaded with a progress bar if it must be."""
    card = zoo.find_card(name)
    if card is not None and not zoo.is_available(card):
        run_with_progress(zoo.iter_download(card), f"Downloading {name}")
    from napari_edsr.kept import kept_model

    return kept_model(name).model


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
