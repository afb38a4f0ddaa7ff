"""What to trust of a result, as files beside it: its uncertainty and its consistency."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from numpy.typing import NDArray
from rich.filesize import decimal

from napari_edsr import files
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.files import ImageFile
from napari_edsr.train_config import Degradation

if TYPE_CHECKING:
    from napari_edsr.inference import UpscaleResult
    from napari_edsr.model import EDSR, MDSR


def file_size(path: Path) -> str:
    """In words, e.g. ``"1.2 MB"``; of a folder, that of all in it."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return decimal(sum(file.stat().st_size for file in files if file.is_file()))


def checked_degradation(
    network: EDSR | MDSR, scale: int, image: ImageFile
) -> Degradation:
    """That of the model, once it is clear that it can be applied to this image.

    Raises
    ------
    ImageError
        If its blur is a length, and the image's pixels have no size.
    """
    from napari_edsr.trust import blur_in_result, model_degradation

    degradation = model_degradation(network)
    blur_in_result(degradation, scale, image.plane_pixel_size, image.unit)
    return degradation


def write_uncertainty(path: Path, written: ImageFile, result: UpscaleResult) -> None:
    """Write the ensemble's spread as a map of the pixels of `written`, and say its mean."""
    from napari_edsr.trust import measured_uncertainty

    found = measured_uncertainty(result)
    number = f"{found.mean:.3g} grey levels on average ({found.share:.2%})"
    _write(path, found.map, written, result, "uncertainty", number)


def write_consistency(
    path: Path, source: ImageFile, result: UpscaleResult, degradation: Degradation
) -> None:
    """Make the result small again, write what differs from `source`, and say how much."""
    from napari_edsr.trust import iter_consistency, shrinking

    job = iter_consistency(
        result.image,
        source.data,
        scale=result.metadata["scale"],
        axes=source.axes,
        degradation=degradation,
        pixel_size=source.plane_pixel_size,
        unit=source.unit,
    )
    found = run_with_progress(job, "Making it small again")
    psnr = "identical" if found.psnr == math.inf else f"{found.psnr:.2f} dB"
    number = f"{psnr}, {found.rmse:.3g} grey levels RMS ({shrinking(degradation)})"
    _write(path, found.map, source, result, "consistency", number)


def _write(
    path: Path,
    values: NDArray,
    like: ImageFile,
    result: UpscaleResult,
    what: str,
    number: str,
) -> None:
    """Write a map whose pixels are as large as those of `like`, and say its number."""
    image = ImageFile(
        data=values,
        axes=like.axes.replace("S", ""),
        pixel_size=like.pixel_size,
        unit=like.unit,
        provenance=result.metadata,
    )
    files.write_image(path, image)
    typer.echo(f"  {path}: {what}, {file_size(path)}, {number}")
