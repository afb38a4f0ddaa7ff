"""``napari-edsr evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_edsr import files
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.cli.scores import (
    AsJson,
    CsvFile,
    add_row,
    check_csv,
    conditions,
    decimals,
    digits,
    notes_off_the_output,
    print_json,
    print_table,
    save_csv,
    score_table,
)
from napari_edsr.errors import FileError
from napari_edsr.evaluation import FileScore, iter_evaluate, mean_score
from napari_edsr.metrics import PROTOCOLS, Score
from napari_edsr.stores.read import is_zarr

_METRICS = ("PSNR dB", "SSIM", "MAE", "RMSE", "Range-inv. dB")
#: Names of image and plane, and the score of a line of the table.
Line = tuple[tuple[str, str], Score]


def evaluate(
    prediction: Annotated[
        Path,
        typer.Argument(metavar="PREDICTION", help="A file, an OME-Zarr, or a folder."),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH",
            help="One too, or a folder with the same names; predictions may end in _x2.",
        ),
    ],
    protocol: Annotated[
        str | None,
        typer.Option(
            help=", ".join(PROTOCOLS),
            show_default="mmagic with --scale, else microscopy",
        ),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(help="Factor of the upscaling, which sets the border.")
    ] = None,
    border: Annotated[
        int | None,
        typer.Option(help="Pixels to shave.", show_default="the protocol's"),
    ] = None,
    data_range: Annotated[
        float | None,
        typer.Option(help="White minus black.", show_default="that of integer types"),
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(help="as-is or Y (luma).", show_default="the protocol's"),
    ] = None,
    csv: CsvFile = None,
    json: AsJson = False,
) -> None:
    """Measure images against the truth, plane by plane.

    Sizes must be the same: nothing is cropped to a multiple of the scale. The protocols
    of EDSR leave out the truth's last rows that no low-resolution pixel stands for.
    """
    check_csv(csv)
    pairs, unused = _pairs(prediction, truth, scale)
    job = iter_evaluate(
        pairs,
        protocol=protocol or ("microscopy" if scale is None else "mmagic"),
        scale=scale,
        border=border,
        data_range=data_range,
        colour=colour and colour.replace("-", " "),
    )
    with notes_off_the_output(json):
        scores = run_with_progress(job, "Measuring")
    notes = [note for one in scores for note in one.notes]
    if unused:
        notes.append(f"Without a truth, not measured: {', '.join(unused)}.")
    if json:
        print_json(_content(scores, notes))
    else:
        _print(scores, notes)
    if csv is not None:
        save_csv(csv, ("image", "plane"), list(_lines(scores)))


def _pairs(
    prediction: Path, truth: Path, scale: int | None
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Files with their truths, and the names of those that have none."""
    folders = [path for path in (prediction, truth) if _is_folder(path)]
    if not folders:
        return [(prediction, truth)], []
    for path in (prediction, truth):
        if path.exists() and path not in folders:
            raise FileError(f"{path} is no folder; name two files, or two folders.")
    truths, found = _images_in(truth), _images_in(prediction)
    matching = files.matching_images(truths, found, scale)
    unused = [path.name for path in found if path not in matching]
    return list(zip(matching, truths, strict=True)), unused


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not is_zarr(path)


def _images_in(folder: Path) -> list[Path]:
    """Image files, or where there are none OME-Zarr."""
    stores = filter(is_zarr, folder.iterdir()) if folder.is_dir() else ()
    return files.images_at(folder) or sorted(stores) or files.images_in(folder)


def _mean(scores: Sequence[FileScore]) -> Score:
    return mean_score([one.mean for one in scores])


def _lines(scores: Sequence[FileScore]) -> Iterator[Line]:
    """Each plane, the mean of each image that has several, and the mean of all."""
    for one in scores:
        for plane in one.planes:
            places = zip(one.leading, plane.place, strict=True)
            label = " ".join(f"{axis}={index}" for axis, index in places)
            yield (one.name, label), plane.score
        if len(one.planes) > 1 and len(scores) > 1:
            yield (one.name, "mean"), one.mean
    yield ("mean", ""), _mean(scores)


def _print(scores: Sequence[FileScore], notes: Sequence[str]) -> None:
    for note in notes:
        typer.echo(f"  {note}")
    mean = _mean(scores)
    stacks = any(one.leading for one in scores)
    names = ("Image", "Plane") if stacks else ("Image",)
    numbers = (*_METRICS, "Left out px") if mean.left_out else _METRICS
    table = score_table(names, numbers)
    for texts, score in _lines(scores):
        figures = _figures(score)[: len(numbers)]
        last = texts == ("mean", "")
        add_row(table, *texts[: len(names)], *figures, style="bold" if last else "")
    print_table(f"Measured by {conditions(mean)}", table)


def _figures(score: Score) -> list[str]:
    return [
        decimals(score.psnr),
        decimals(score.ssim),
        digits(score.mae),
        digits(score.rmse),
        decimals(score.range_invariant_psnr),
        str(score.left_out),
    ]


def _content(scores: Sequence[FileScore], notes: Sequence[str]) -> dict[str, Any]:
    images = [
        {
            "name": one.name,
            "planes": [
                {
                    "place": dict(zip(one.leading, plane.place, strict=True)),
                    **vars(plane.score),
                }
                for plane in one.planes
            ],
            "mean": one.mean,
        }
        for one in scores
    ]
    return {"images": images, "mean": _mean(scores), "notes": notes}
