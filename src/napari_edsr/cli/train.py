"""``napari-edsr train`` and ``napari-edsr finetune``."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_edsr import zoo
from napari_edsr.atomic import make_folder
from napari_edsr.cli.parameters import DEFAULT_MODEL, FLAG
from napari_edsr.cli.progress import run_with_progress
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import EDSRError, TrainingError
from napari_edsr.events import TrainPlanned, Validated, drain
from napari_edsr.train_config import (
    SHRINKINGS,
    DataConfig,
    Degradation,
    TrainConfig,
    absolute,
    finetuning,
    load_config,
    save_config,
)

if TYPE_CHECKING:
    from napari_edsr.train_result import TrainResult

CONFIG_NAME = "config.yaml"

Minutes = Annotated[
    float | None,
    typer.Option(help="Stop after so long; the same command goes on from there."),
]


def train(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="A YAML file; the README shows one."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; NAME is the configuration's.",
            show_default="runs/NAME",
        ),
    ] = None,
    minutes: Minutes = None,
    device: Annotated[
        str | None, typer.Option(help="Instead of the configuration's.")
    ] = None,
) -> None:
    """Train a network as a configuration says; an interrupted run is taken up again."""
    settings = load_config(config)
    if device is not None:
        settings = replace(settings, device=device)
    _run(settings, out or Path("runs") / settings.name, minutes)


def finetune(
    images: Annotated[
        list[str],
        typer.Argument(metavar="HR", help="Files, globs or folders to learn from."),
    ],
    lr_images: Annotated[
        list[str] | None,
        typer.Option(help="Their low-resolution sides, if these are real images."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model to start from.", show_default=DEFAULT_MODEL),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(help="2, 3 or 4.", show_default="that of the model")
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 2000,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-4,
    shrink: Annotated[
        str, typer.Option(help=f"How it is made smaller: {', '.join(SHRINKINGS)}.")
    ] = "bicubic",
    blur: Annotated[
        float, typer.Option(help="Gaussian blur of the low-resolution side, sigma.")
    ] = 0.0,
    blur_unit: Annotated[str, typer.Option(help="px, nm, um or mm.")] = "px",
    photons: Annotated[
        float, typer.Option(help="Photons at white: Poisson noise; 0 for none.")
    ] = 0.0,
    read_noise: Annotated[
        float,
        typer.Option(help="Gaussian noise in photons; without these a share of white."),
    ] = 0.0,
    jpeg: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="LOW HIGH", help="Qualities of JPEG, drawn between the two."
        ),
    ] = None,
    grey: Annotated[
        bool,
        typer.Option("--grey", metavar=FLAG, help="Make it a network of one channel."),
    ] = False,
    held_out: Annotated[
        float, typer.Option(help="Share of each image kept aside for measuring.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    out: Annotated[
        Path,
        typer.Option(help="The trained model; its run lies in a folder beside it."),
    ] = Path("finetuned.safetensors"),
    minutes: Minutes = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, xpu.")
    ] = "auto",
) -> None:
    """Fine-tune a model on images of one's own."""
    if out.suffix.lower() != ".safetensors":
        raise TrainingError(f"{out.name} must end in .safetensors.")
    degradation = Degradation(
        shrink=shrink,
        blur=blur,
        blur_unit=blur_unit,
        photons=photons,
        read_noise=read_noise,
        jpeg=jpeg or (),
    )
    if lr_images:
        _check_as_they_are(degradation)
    start = _start(model or zoo.default_model(scale or 2), out)
    here = Path.cwd()
    settings = TrainConfig(
        name=out.stem,
        start=start,
        network=_network(start, scale, grey),
        data=DataConfig(
            hr=tuple(absolute(place, here) for place in images),
            lr=tuple(absolute(place, here) for place in lr_images or ()),
            held_out=held_out,
        ),
        degradation=degradation,
        steps=steps,
        rate=rate,
        **finetuning(steps),
        seed=seed,
        device=device,
    )
    _run(settings, out.with_suffix(".run"), minutes, model_path=out)


def _check_as_they_are(degradation: Degradation) -> None:
    """Refuse what would not be done to real pairs, but be recorded in the model."""
    usual = Degradation()
    given = [
        f"--{entry.name.replace('_', '-')}"
        for entry in fields(degradation)
        if getattr(degradation, entry.name) != getattr(usual, entry.name)
    ]
    if given:
        raise TrainingError(
            f"Real pairs have their own degradation; leave out {', '.join(given)}, or "
            "--lr-images."
        )


def _start(model: str, out: Path) -> str:
    """A name, or the place of a file, which is not to be written over."""
    path = Path(model)
    if not path.is_file():
        return model
    if out.exists() and out.samefile(path):
        raise TrainingError(
            f"{out} is the model to start from, which stays as it is; name another --out."
        )
    return os.path.abspath(path)


def _network(start: str, scale: int | None, grey: bool) -> EDSRConfig | None:
    """Shape for another scale or fewer colours than the model's; None for its own."""
    from napari_edsr.checkpoints import load_model

    own = load_model(start).config
    shape = replace(own, n_colors=1) if grey else own
    if scale is not None and scale not in own.scales:
        shape = replace(shape, scales=(scale,))
    return None if shape == own else shape


def _run(
    config: TrainConfig,
    folder: Path,
    minutes: float | None,
    model_path: Path | None = None,
) -> None:
    from napari_edsr.train_result import save_trained
    from napari_edsr.training import iter_train
    from napari_edsr.training_files import find_sources

    if minutes is not None and not minutes > 0:
        raise TrainingError(f"--minutes must be more than 0, not {minutes:g}.")
    path = model_path or folder / f"{config.name}.safetensors"
    _check_free(path, folder)
    learn, measure = find_sources(config.data)
    make_folder(folder)
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun
    job = iter_train(
        config,
        learn,
        measure,
        folder=folder,
        seconds=None if minutes is None else 60 * minutes,
    )
    if not is_first:
        drain(job)
        return

    has_begun = False

    def say(event: Any) -> None:
        nonlocal has_begun
        if isinstance(event, TrainPlanned):  # a run with other settings was refused
            save_config(config, folder / CONFIG_NAME)
            has_begun = True
        _say(event)

    try:
        result = run_with_progress(job, f"Training {config.name}", say)
    except TrainingError:
        if has_begun:
            _keep_best(config, folder, path)
        raise
    save_trained(result, config, path)
    _say_result(result, path)


def _check_free(path: Path, folder: Path) -> None:
    """Refuse to write over a model that does not come from the run in the folder."""
    from napari_edsr.training import STATE_NAME

    if path.exists() and not (folder / STATE_NAME).exists():
        raise TrainingError(
            f"{path} is there already, and is not of a run in {folder}; name another "
            "--out, or delete it."
        )


def _keep_best(config: TrainConfig, folder: Path, path: Path) -> None:
    """Save what a run that diverged had gained; why it ended is told in any case."""
    from napari_edsr.train_result import save_trained
    from napari_edsr.training import broken_off

    with contextlib.suppress(EDSRError):
        best = broken_off(config, folder)
        if best is not None and best.helped and math.isfinite(best.psnr):
            save_trained(best, config, path)
            typer.echo(
                f"{path}: the best weights, of step {best.best_step}, are kept: "
                f"{best.psnr:.3f} dB, {best.gain:+.3f} over the start."
            )


def _say(event: Any) -> None:
    if isinstance(event, TrainPlanned):
        for note in event.notes:
            typer.echo(f"  {note}")
        typer.echo(
            f"  step {event.step} of {event.steps}, {event.precision} on {event.device}; "
            f"bicubic {_decibels(event.bicubic)}, before {_decibels(event.before)}"
        )
    elif isinstance(event, Validated):
        typer.echo(
            f"  step {event.step}: {_decibels(event.psnr)}, best {_decibels(event.best)}, "
            f"loss {event.loss:.5f}"
        )


def _decibels(value: float) -> str:
    return f"{value:.3f} dB" if math.isfinite(value) else "not measured"


def _say_result(result: TrainResult, path: Path) -> None:
    if result.skipped:
        typer.echo(f"  {result.skipped} steps were skipped: not finite.")
    if not result.finished:
        typer.echo(f"  Stopped at step {result.step}; run it again to go on.")
    if math.isnan(result.psnr):
        typer.echo(f"{path}: there was nothing to measure it on.")
    elif result.helped:
        typer.echo(f"{path}: {result.psnr:.3f} dB, {result.gain:+.3f} over the start.")
        if result.psnr < result.bicubic:
            typer.echo(
                f"  Bicubic interpolation reaches {result.bicubic:.3f} dB: train longer, "
                "or on more images."
            )
    elif result.gain > 0:
        typer.echo(
            f"{path}: training gained too little to count, {result.gain:+.4f} dB."
        )
    else:
        typer.echo(
            f"{path}: training did not help; these are the weights it started from."
        )
