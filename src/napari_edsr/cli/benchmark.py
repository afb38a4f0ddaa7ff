"""``napari-edsr benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_edsr import files, zoo
from napari_edsr.benchmark import Row, iter_benchmark, mean_of, published
from napari_edsr.cli.parameters import DEFAULT_MODEL, table_console
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.errors import FileError
from napari_edsr.metrics import PROTOCOLS


def benchmark(
    hr: Annotated[Path, typer.Option(help="Folder of high-resolution images.")],
    model: Annotated[
        str | None,
        typer.Option(help="Name or weights file.", show_default=DEFAULT_MODEL),
    ] = None,
    scale: Annotated[int, typer.Option(help="2, 3 or 4.")] = 2,
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
) -> None:
    """Measure a model beside bicubic interpolation on a set of images."""
    from napari_edsr.checkpoints import load_model

    if lr is not None and mod is not None:
        raise FileError("--mod crops HR before LR is made; leave out --lr or --mod.")
    name = model or zoo.default_model(scale)
    truths = _images(hr)
    job = iter_benchmark(
        load_model(name),
        truths,
        _matching(truths, lr, scale) if lr else (),
        scale=scale,
        protocol=protocol,
        modulo=mod,
        device=device,
    )
    rows = run_with_progress(job, f"Measuring {name}")
    table_console().print(_table(rows, name, scale))
    figures = published(hr, scale)
    if figures and protocol == "mmagic":
        typer.echo(
            f"Published for EDSR of 16 x 64, HR cropped to multiples of 12: "
            f"{figures[0]:.4f} dB, {figures[1]:.4f}"
        )


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.")
    found = files.images_at(folder)
    if not found:
        raise FileError(f"There are no images in {folder}.")
    return found


def _matching(truths: list[Path], folder: Path, scale: int) -> list[Path]:
    """Low-resolution images by name, with or without the ``x2`` that DIV2K adds."""
    by_name = {path.stem: path for path in _images(folder)}
    found = []
    for truth in truths:
        names = [f"{truth.stem}x{scale}", truth.stem]
        match = next((by_name[name] for name in names if name in by_name), None)
        if match is None:
            raise FileError(f"There is no {truth.stem} in {folder}.")
        found.append(match)
    return found


def _table(rows: list[Row], name: str, scale: int) -> Table:
    one = rows[0].model
    title = f"{name} x{scale}: protocol {one.protocol}, {one.colour}, {one.border} px shaved"
    table = Table(title=title, box=None, padding=(0, 2, 0, 0))
    table.add_column("Image")
    for heading in ("Bicubic dB", "SSIM", "Model dB", "SSIM", "Gain dB"):
        table.add_column(heading, justify="right")
    for row in rows:
        figures = row.model.psnr, row.model.ssim, row.bicubic.psnr, row.bicubic.ssim
        table.add_row(row.name, *_figures(figures))
    table.add_row("mean", *_figures(mean_of(rows)), style="bold")
    return table


def _figures(values: tuple[float, float, float, float]) -> list[str]:
    psnr, ssim, bicubic, bicubic_ssim = values
    plain = (bicubic, bicubic_ssim, psnr, ssim)
    return [*(f"{value:.4f}" for value in plain), f"{psnr - bicubic:+.4f}"]
