"""``napari-edsr demo``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from napari_edsr.cli.parameters import FLAG
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.demo import PROTOCOL, DemoResult, Shown, run_demo
from napari_edsr.errors import EDSRError
from napari_edsr.metrics import Score


def demo(
    output: Annotated[Path, typer.Option("--output", "--out", help="Folder.")] = Path(
        "demo-output"
    ),
    scale: Annotated[int, typer.Option(help="2, 3 or 4.")] = 2,
    gui: Annotated[
        bool, typer.Option("--gui", metavar=FLAG, help="Open napari instead.")
    ] = False,
) -> None:
    """Upscale the bundled photograph and micrograph, and compare with bicubic."""
    if gui:
        _open_viewer()
        return
    result = run_with_progress(run_demo(output, scale=scale), "Upscaling the samples")
    console = Console()
    console.print(_table(result))
    console.print(f"Made with {result.model} on {result.device}.")
    console.print(f"Pictures: {result.files[0].parent}", soft_wrap=True)
    console.print(f"Look at:  {result.files[-1]}", soft_wrap=True)


def _open_viewer() -> None:
    if not _has_display():
        raise EDSRError(
            "There is no display to open the viewer on; run it on a desktop, "
            "or leave out --gui to get the pictures as files."
        )
    try:
        from napari_edsr._qt.launch import open_demo

        open_demo()
    except ImportError as error:  # napari, or a Qt binding
        raise EDSRError(
            f"The viewer can not be opened ({error}); install it: "
            'pip install "napari-edsr[all]".'
        ) from error


def _has_display() -> bool:
    """Whether Qt finds a screen: without one it would abort the whole process."""
    if not sys.platform.startswith("linux"):
        return True
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return any(os.environ.get(name) for name in names)


def _table(result: DemoResult) -> Table:
    table = Table(
        title=f"Enlarged x{result.scale}, compared with the truth",
        caption=f"PSNR in dB / SSIM, on 8 bits, {result.scale} px of border left out, "
        f"as the {PROTOCOL} toolbox measures",
    )
    table.add_column("Image")
    table.add_column("Colour")
    for heading in ("Bicubic", "EDSR light", "Gain", "Time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in result.shown:
        table.add_row(
            one.sample.title,
            one.result_score.colour,
            _figures(one.bicubic_score),
            _figures(one.result_score),
            f"{_gain(one):+.2f} dB",
            f"{one.seconds:.1f} s",
        )
    return table


def _figures(score: Score) -> str:
    return f"{score.psnr:.2f} / {score.ssim:.4f}"


def _gain(shown: Shown) -> float:
    """Difference of the figures as they are printed, so that the line adds up."""
    return round(shown.result_score.psnr, 2) - round(shown.bicubic_score.psnr, 2)
