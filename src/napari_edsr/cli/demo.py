"""``napari-edsr demo``."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
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

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
_OPEN_DISPLAY = "from qtpy.QtGui import QGuiApplication; QGuiApplication([])"
_PATIENCE = 60


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
    folder, picture = result.files[0].parent, result.files[-1]
    console.print(f"Pictures: {folder}", soft_wrap=True, markup=False)
    console.print(f"Look at:  {picture}", soft_wrap=True, markup=False)


def _open_viewer() -> None:
    problem = _display_problem()
    if problem:
        raise EDSRError(
            f"{problem}; start it on a desktop, or leave out --gui to get the pictures "
            "as files."
        )
    try:
        from napari_edsr._qt.launch import open_demo

        open_demo()
    except ImportError as error:  # napari, a Qt binding, or a library of the system
        if reason := _unloadable_qt():
            raise EDSRError(
                f"Qt is installed, and cannot be loaded ({reason}); install that library. "
                "The install page of the documentation has its names on Debian."
            ) from error
        raise EDSRError(
            f"The viewer cannot be opened ({error}); install it: "
            'pip install "napari[pyqt6]".'
        ) from error


def _unloadable_qt() -> str:
    """What a binding of Qt that is installed misses; empty if it loads or none is there."""
    for binding in ("PyQt6", "PySide6"):
        if find_spec(binding):
            try:
                import_module(f"{binding}.QtWidgets")
            except ImportError as error:
                return str(error)
    return ""


def _display_problem() -> str:
    """Why Qt would find no screen, and abort the whole process; empty where it does."""
    if not sys.platform.startswith("linux"):
        return ""
    named = [f"{name}={os.environ[name]}" for name in _SCREENS if os.environ.get(name)]
    if not named:
        return "There is no display to open the viewer on"
    complaint = _qt_complaint()
    if "could not connect to display" in complaint:
        # Qt goes on to blame a library, which is there.
        return f"The display cannot be opened ({', '.join(named)})"
    return f"Qt cannot open a window ({complaint})" if complaint else ""


def _qt_complaint() -> str:
    """What Qt says before it aborts, tried in another process."""
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _OPEN_DISPLAY],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"the display does not answer within {_PATIENCE} s"
    if tried.returncode >= 0:  # opened, or no Qt to try it with
        return ""
    return " ".join(tried.stderr.partition("This application failed")[0].split())


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
