"""The engines of a run: what was asked for, settled for this machine."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_edsr import fast
from napari_edsr.batches import make_run
from napari_edsr.canvas import Canvas
from napari_edsr.config import EDSRConfig, upsampling_steps
from napari_edsr.device import free_memory, loss_named, resolve_devices
from napari_edsr.engine import Engine
from napari_edsr.errors import DeviceError, ModelError
from napari_edsr.intensities import Range
from napari_edsr.kept import KeptModel
from napari_edsr.model import EDSR, MDSR
from napari_edsr.plan import Tiling, plan_tiling
from napari_edsr.precision import resolve_precision
from napari_edsr.runs import Event, Part


def make_engines(
    kept: KeptModel,
    dtype: np.dtype,
    *,
    scale: int | None,
    device: str | torch.device,
    precision: str,
    self_ensemble: bool,
) -> list[Engine]:
    """One for each device; settles what was left open, says what does not go together.

    Parameters
    ----------
    kept : KeptModel
    dtype : numpy.dtype
        Of the image.
    scale, device, precision, self_ensemble
        As for `napari_edsr.inference.iter_upscale`.
    """
    factor = checked_scale(kept.model.config, scale)
    if str(device) == fast.NAME:
        return [_fast_engine(kept, factor, precision, self_ensemble)]
    targets = resolve_devices(device)
    with loss_named(targets[0]):
        settled = resolve_precision(precision, kept, factor, targets[0], dtype)
    return [
        Engine(
            *(kept.model, factor, target, settled),
            self_ensemble=self_ensemble,
            networks=kept.networks if target.type == "cpu" else None,
        )
        for target in targets
    ]


def _fast_engine(
    kept: KeptModel, scale: int, precision: str, self_ensemble: bool
) -> Engine:
    """MNN, or the CPU in its place if it is missing or fails."""
    if precision not in ("auto", "fp32"):
        raise DeviceError(f"MNN computes in fp32, not in {precision}.")
    notes = []
    try:
        if scale not in kept.fast:
            kept.fast[scale] = fast.FastNetwork(kept.model, scale)
    except DeviceError as error:
        notes.append(f"{error} The CPU runs without it, exactly.")
    engine = Engine(
        *(kept.model, scale, torch.device("cpu"), "fp32"),
        self_ensemble=self_ensemble,
        networks=kept.networks,
        fast=kept.fast.get(scale),
    )
    engine.notes += notes
    return engine


def tiling_for(tile: int | str, engines: list[Engine]) -> Tiling:
    """How planes are cut for engines of one model, see `napari_edsr.plan.plan_tiling`."""
    engine = engines[0]
    return plan_tiling(
        tile,
        engine.config,
        engine.scale,
        device=engine.name.partition(":")[0],
        free_bytes=min(free_memory(each.device) for each in engines),
        ensemble=engine.ensemble,
    )


def checked_scale(config: EDSRConfig, scale: int | None) -> int:
    """Settle on a factor that the network has.

    Raises
    ------
    ModelError
        If it has not got `scale`, or several and none was named.
    """
    offered = " and ".join(f"x{own}" for own in config.scales)
    if scale is None:
        if len(config.scales) > 1:
            raise ModelError(f"This model has the scales {offered}; choose one.")
        return config.scales[0]
    if isinstance(scale, bool) or not isinstance(scale, int | np.integer):
        raise ModelError(f"The scale {scale!r} is not a whole number such as 2.")
    upsampling_steps(int(scale))
    if scale not in config.scales:
        raise ModelError(
            f"The model upscales {offered}; choose that scale, or a model for x{scale} "
            f"such as edsr-light-x{scale}."
        )
    return int(scale)


def iter_run(
    canvas: Canvas,
    engines: Sequence[Engine],
    tiling: Tiling,
    normalize: str | Range,
    parts: Sequence[Part] | None = None,
) -> Generator[Event, None, dict[str, Any]]:
    """Fill a canvas, or those parts of it.

    Returns
    -------
    dict
        How the result was made, as plain values.

    Raises
    ------
    DeviceError
        If a device fails, or its memory does not suffice.
    """
    for note in engines[0].notes:
        canvas.note(note)
    run = make_run(canvas, engines, tiling, parts)
    started = time.perf_counter()
    with loss_named(run.devices):
        try:
            yield from run.events()
        finally:
            run.close()
            canvas.target.close()
    return {
        **model_metadata(engines[0].model),
        **run.metadata(),
        "normalize": normalize if isinstance(normalize, str) else "range",
        "seconds": round(time.perf_counter() - started, 3),
    }


def model_metadata(model: EDSR | MDSR) -> dict[str, Any]:
    """Where a result comes from, as plain values."""
    about = model.provenance.to_dict()
    about["path"] = Path(about["path"]).name  # folders are private
    provenance = {key: value for key, value in about.items() if value not in (None, "")}
    return {
        "software": f"napari-edsr {version('napari-edsr')}",
        "model": {**provenance, "config": model.config.to_dict()},
    }
