"""Upscaling an array: every plane tile by tile, equal to the untiled result."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_edsr import fast, images, intensities
from napari_edsr.batches import BatchedRun
from napari_edsr.canvas import Canvas
from napari_edsr.config import EDSRConfig, upsampling_steps
from napari_edsr.device import free_memory, resolve_devices
from napari_edsr.engine import Engine
from napari_edsr.errors import DeviceError, ModelError
from napari_edsr.events import drain
from napari_edsr.images import Region
from napari_edsr.intensities import Range
from napari_edsr.kept import KeptModel, kept_model
from napari_edsr.model import EDSR, MDSR
from napari_edsr.plan import Tiling, plan_tiling
from napari_edsr.precision import resolve_precision
from napari_edsr.runs import Event, Run

Events = Generator[Event, None, "UpscaleResult"]


@dataclass(frozen=True)
class UpscaleResult:
    """What a run gives.

    Attributes
    ----------
    image : ndarray
        The upscaled image, or region, in the input's dtype and axes.
    axes : str
        One letter for each axis of `image`.
    metadata : dict
        Provenance as plain values: model, scale, device, precision, tile, ranges, ...
    uncertainty : ndarray of float32 or None
        Standard deviation over the self-ensemble in the input's intensities, of the
        shape of `image` without its axis S.
    """

    image: NDArray
    axes: str
    metadata: dict[str, Any]
    uncertainty: NDArray[np.float32] | None = None


def upscale(
    image: ArrayLike, model: str | Path | EDSR | MDSR, **options: Any
) -> NDArray:
    """Upscale an image.

    Parameters
    ----------
    image : array_like
        Grey, RGB, RGBA or multi-channel, with any leading axes; bool, integers or
        floats. See `iter_upscale`.
    model : str, Path, EDSR or MDSR
        A name (``"edsr-light-x2"``), a weights file, or a loaded model.
    **options
        As for `iter_upscale`: `scale`, `axes`, `tile`, `device`, `precision`,
        `normalize`, `self_ensemble`, ...

    Returns
    -------
    ndarray
        Exactly `scale` times as high and wide, of the same dtype and axes.

    Examples
    --------
    >>> from napari_edsr import samples, upscale
    >>> upscale(samples.photo_lr(), "edsr-light-x2", scale=2).dtype
    dtype('uint8')
    """
    return drain(iter_upscale(image, model, **options)).image


def iter_upscale(
    image: ArrayLike,
    model: str | Path | EDSR | MDSR,
    *,
    scale: int | None = None,
    axes: str | None = None,
    tile: int | str = "auto",
    device: str | torch.device = "auto",
    precision: str = "auto",
    normalize: str | Range = "auto",
    contrast_limits: Range | Sequence[Range] | None = None,
    self_ensemble: bool = False,
    uncertainty: bool = False,
    region: Region | None = None,
    out: NDArray | None = None,
) -> Events:
    """Upscale an image part by part; closing the generator cancels within one pass.

    The result is the untiled one: bands of rows run through the network one after the
    other, or tiles with the network's receptive field around them. Planes along leading
    axes are upscaled one by one with one intensity range. NaN and infinities are filled
    for the network and come back as NaN.

    Parameters
    ----------
    image : array_like
        Real numbers or bool with at least two axes.
    model : str, Path, EDSR or MDSR
        A name (``"edsr-light-x2"``), a weights file, or a loaded model.
    scale : int, optional
        2, 3 or 4; the model's own by default.
    axes : str, optional
        One letter an axis, e.g. ``"TCYX"`` or ``"YXS"``; see `napari_edsr.images`.
    tile : int, "rows" or "auto"
        Side of a tile in input pixels, which is never changed. ``"rows"`` takes bands
        of rows from top to bottom, which computes nothing twice and needs little
        memory. ``"auto"`` means rows on a CPU without `self_ensemble`, else tiles as
        large as the work and the free memory allow; it halves when memory runs out.
    device : str or torch.device
        ``"auto"`` takes the first accelerator, else the CPU; ``"cuda:0,cuda:1"`` shares
        the tiles between several. ``"mnn"`` is the CPU with MNN, if that is installed:
        quicker, with an error of hundredths of a grey level.
    precision : {"auto", "fp32", "fp16", "bf16"}
        Of the body's convolutions; what they are added to stays in fp32. ``"auto"`` is
        half precision for 8-bit images where that is quicker and cannot be seen, see
        `napari_edsr.precision`, and fp32 for all others.
    normalize : str or (float, float)
        Intensities that the network sees as 0 and 1, see
        `napari_edsr.intensities.intensity_ranges`.
    contrast_limits : (float, float) or sequence of them, optional
        For ``normalize="contrast-limits"``.
    self_ensemble : bool
        Average eight flips and turns: eight times the work, a little more quality.
    uncertainty : bool
        Also return the ensemble's standard deviation; implies `self_ensemble`.
    region : mapping of str to (int, int), optional
        Part of the image by axis, in input pixels, e.g. ``{"Y": (0, 64), "T": (3, 4)}``.
        Its pixels are those of the whole run.
    out : ndarray, optional
        Array of the result's shape and dtype to write into as tiles finish.

    Yields
    ------
    UpscalePlanned
        Before the first tile, and again if memory ran out.
    PassDone
        After each pass of the network over a tile but the last.
    TileDone
        After each tile.

    Returns
    -------
    UpscaleResult

    Raises
    ------
    ImageError
        If the image, its axes, range, region or `out` cannot be used.
    ModelError
        If the model is unknown or does not fit `scale` or the channels.
    CheckpointError, DownloadError
        If the weights cannot be read or fetched.
    DeviceError
        If the device is missing, or its memory does not suffice.
    """
    image = images.as_source(image)
    spec = images.understand(image, axes)
    engines = _engines(
        model,
        spec.dtype,
        scale=scale,
        device=device,
        precision=precision,
        self_ensemble=self_ensemble or uncertainty,
    )
    engine = engines[0]
    canvas = Canvas(
        image,
        spec,
        intensities.intensity_ranges(image, spec.axes, normalize, contrast_limits),
        n_colors=engine.config.n_colors,
        scale=engine.scale,
        region=region,
        out=out,
        uncertainty=uncertainty,
    )
    canvas.notes += intensities.sampling_notes(image, spec, normalize)
    for note in engine.notes:
        canvas.note(note)
    tiling = plan_tiling(
        tile,
        engine.config,
        engine.scale,
        device=engine.name.partition(":")[0],
        free_bytes=min(free_memory(each.device) for each in engines),
        ensemble=engine.ensemble,
    )
    run = _run(canvas, engines, tiling)
    started = time.perf_counter()
    try:
        yield from run.events()
    finally:
        run.close()
    metadata = {
        **_model_metadata(engine.model),
        **run.metadata(),
        "normalize": normalize if isinstance(normalize, str) else "range",
        "seconds": round(time.perf_counter() - started, 3),
    }
    return UpscaleResult(canvas.out, spec.axes, metadata, canvas.uncertainty)


def _run(canvas: Canvas, engines: list[Engine], tiling: Tiling) -> Run:
    if tiling.equal:
        return BatchedRun(canvas, engines, tiling)
    if len(engines) > 1:
        canvas.note(f"Only {engines[0].name} is used for rows and for an ensemble.")
    return Run(canvas, engines[0], tiling)


def _engines(
    model: str | Path | EDSR | MDSR,
    dtype: np.dtype,
    *,
    scale: int | None,
    device: str | torch.device,
    precision: str,
    self_ensemble: bool,
) -> list[Engine]:
    """One for each device; settles what was left open, says what does not go together."""
    kept = kept_model(model)
    factor = checked_scale(kept.model.config, scale)
    if str(device) == fast.NAME:
        return [_fast_engine(kept, factor, precision, self_ensemble)]
    targets = resolve_devices(device)
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


def _model_metadata(model: EDSR | MDSR) -> dict[str, Any]:
    about = model.provenance.to_dict()
    about["path"] = Path(about["path"]).name  # folders are private
    provenance = {key: value for key, value in about.items() if value not in (None, "")}
    return {
        "software": f"napari-edsr {version('napari-edsr')}",
        "model": {**provenance, "config": model.config.to_dict()},
    }
