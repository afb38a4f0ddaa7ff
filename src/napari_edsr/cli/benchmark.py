"""``napari-edsr benchmark``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_edsr import files, zoo
from napari_edsr.benchmark import (
    Published,
    Row,
    iter_benchmark,
    mean_of,
    published,
)
from napari_edsr.cli.parameters import DEFAULT_MODEL
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.cli.scores import (
    AsJson,
    CsvFile,
    add_row,
    check_csv,
    conditions,
    decimals,
    notes_off_the_output,
    print_json,
    print_table,
    save_csv,
    score_table,
)
from napari_edsr.errors import FileError
from napari_edsr.metrics import PROTOCOLS, Score


def benchmark(
    hr: Annotated[Path, typer.Option(help="Folder of high-resolution images.")],
    model: Annotated[
        str | None,
        typer.Option(help="Name or weights file.", show_default=DEFAULT_MODEL),
    ] = None,
    scale: Annotated[
        int | None,
        typer.Option(
            help="2, 3 or 4.", show_default="that of the model; of several, the least"
        ),
    ] = None,
    lr: Annotated[
        Path | None,
        typer.Option(
            help="Folder of low-resolution ones.", show_default="made from HR"
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help=", ".join(PROTOCOLS))] = "mmagic",
    mod: Annotated[
        int | None,
        typer.Option(
            help="Crop HR to multiples of this; published tables take 12.",
            show_default="--scale",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    csv: CsvFile = None,
    json: AsJson = False,
) -> None:
    """Measure a model beside bicubic interpolation on a set of images."""
    from napari_edsr.checkpoints import load_model
    from napari_edsr.engines import checked_scale

    if lr is not None and mod is not None:
        raise FileError("--mod crops HR before LR is made; leave out --lr or --mod.")
    check_csv(csv)
    name = model or zoo.default_model(scale or 2)
    truths = files.images_in(hr)
    with notes_off_the_output(json):
        network = load_model(name)
    own = network.config.scales[0]
    factor = checked_scale(network.config, own if scale is None else scale)
    job = iter_benchmark(
        network,
        truths,
        files.matching_images(truths, files.images_in(lr), factor) if lr else (),
        scale=factor,
        protocol=protocol,
        modulo=mod,
        device=device,
    )
    with notes_off_the_output(json):
        rows = run_with_progress(job, f"Measuring {name}")
    figures = published(hr, factor) if protocol == "mmagic" else None
    if json:
        print_json(_content(rows, name, factor, figures))
    else:
        title = f"{name} x{factor}: {conditions(rows[0].model)}"
        print_table(title, _table(rows))
        if figures:
            typer.echo(_sentence(figures))
    if csv is not None:
        save_csv(csv, ("image", "method"), list(_lines(rows, name)))


def _table(rows: list[Row]) -> Table:
    numbers = ("Bicubic dB", "SSIM", "Model dB", "SSIM", "Gain dB")
    table = score_table(("Image",), numbers)
    for row in rows:
        add_row(table, row.name, *_figures(row))
    add_row(table, "mean", *_figures(mean_of(rows)), style="bold")
    return table


def _figures(row: Row) -> list[str]:
    both = (row.bicubic, row.model)
    plain = [decimals(value) for one in both for value in (one.psnr, one.ssim)]
    gain = row.model.psnr - row.bicubic.psnr
    return [*plain, "-" if math.isnan(gain) else f"{gain:+.4f}"]


def _sentence(figures: Published) -> str:
    crop = (
        f"cropped to multiples of {figures.modulo}" if figures.modulo else "uncropped"
    )
    return (
        f"Published on {figures.dataset} for EDSR of 16 x 64, HR {crop}: "
        f"{figures.psnr:.4f} dB, {figures.ssim:.4f}"
    )


def _lines(rows: list[Row], name: str) -> Iterator[tuple[tuple[str, str], Score]]:
    for row in (*rows, mean_of(rows)):
        yield (row.name, name), row.model
        yield (row.name, "bicubic"), row.bicubic


def _content(
    rows: list[Row], name: str, scale: int, figures: Published | None
) -> dict[str, Any]:
    return {
        "model": name,
        "scale": scale,
        "images": [vars(row) for row in rows],
        "mean": vars(mean_of(rows)),
        "published": figures and vars(figures),
    }
