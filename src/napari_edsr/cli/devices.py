"""``napari-edsr devices``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from napari_edsr import zoo
from napari_edsr.errors import DeviceError

if TYPE_CHECKING:
    from napari_edsr.device import DeviceReport


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
    reports.append(_mnn_report(model.name, table))
    console = Console()
    console.print(table)
    console.print(f"Speed: {model.name}, input pixels, estimated from a short run.")
    for report in reports:
        if report.advice:
            text = f"To use {report.name}: {report.advice}"
            console.print(text, soft_wrap=True, markup=False)


def _mnn_report(model: str, table: Table) -> DeviceReport:
    """Try MNN and add its row to the table, or say how to get it."""
    from napari_edsr import drain, fast, iter_upscale, precision, samples
    from napari_edsr.device import DeviceReport

    if not fast.is_installed():
        advice = "pip install 'napari-edsr[fast]'"
        return DeviceReport(
            "mnn", "", usable=False, advice=f"{advice} (quicker on CPUs)"
        )
    try:
        error = precision.fast_error(model, 2)
        picture = samples.photo_lr()
        seconds = drain(iter_upscale(picture, model, device="mnn")).metadata["seconds"]
    except DeviceError as failure:
        return DeviceReport("mnn", "", usable=False, advice=str(failure))
    what = f"MNN on the CPU, off by up to {error:.2g} grey levels of 255"
    pixels = picture.shape[0] * picture.shape[1]
    table.add_row("mnn", what, f"about {_two_digits(seconds * 1e6 / pixels)}")
    return DeviceReport("mnn", what, usable=True)


def _two_digits(value: float) -> str:
    """Two significant digits without an exponent: ``"0.037"``, ``"1.0"``, ``"140"``."""
    rounded = float(f"{value:.2g}")
    decimals = 1 - math.floor(math.log10(rounded))
    return f"{rounded:.{max(0, decimals)}f}"
