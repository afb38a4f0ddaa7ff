"""``napari-edsr devices``."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from napari_edsr import zoo


def devices() -> None:
    """Show what torch can run on, why a GPU is not used, and how fast it is."""
    from napari_edsr.device import explain_devices, measure_speed

    model = zoo.get_card(zoo.default_model(2))
    table = Table(box=None, pad_edge=False)
    for heading in ("Device", "What it is", "Seconds a megapixel"):
        table.add_column(heading, overflow="fold")
    reports = explain_devices()
    for report in reports:
        speed = ""
        if report.usable:
            seconds = model.config.flops(2) * 1e6 / measure_speed(report.name)
            speed = f"about {_two_digits(seconds)}"
        table.add_row(report.name, report.description, speed)
    console = Console()
    console.print(table)
    console.print(f"Speed: {model.name}, input pixels, estimated from a short run.")
    for report in reports:
        if report.advice:
            console.print(f"To use {report.name}: {report.advice}", soft_wrap=True)


def _two_digits(value: float) -> str:
    """Two significant digits without an exponent: ``"0.037"``, ``"1.0"``, ``"140"``."""
    rounded = float(f"{value:.2g}")
    decimals = 1 - math.floor(math.log10(rounded))
    return f"{rounded:.{max(0, decimals)}f}"
