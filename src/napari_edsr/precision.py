"""The precision that "auto" stands for: half, where it is quicker and cannot be seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

from napari_edsr import cache, samples
from napari_edsr.checkpoints import load_model
from napari_edsr.device import (
    PRECISIONS,
    describe,
    fast_half,
    is_out_of_memory,
    release_memory,
)
from napari_edsr.engine import Engine
from napari_edsr.errors import DeviceError, DownloadError, ModelError
from napari_edsr.events import drain
from napari_edsr.fast import FastNetwork
from napari_edsr.kept import KeptModel
from napari_edsr.model import EDSR, MDSR

#: What half precision may change in the picture it is tried on, in grey levels of 8 bits.
LARGEST_ERROR, RMS_ERROR = 0.5, 0.05
_WORTH_IT = 0.9  # of the time that fp32 takes
_SECTION = "precision"
_CPU = torch.device("cpu")
#: Work of the picture it is tried on: on a GPU enough to last longer than its start.
_TRIAL_FLOP = {"cpu": 3e10, "accelerator": 2e12}
_TRIAL_SIDE = 24, 1024
_known: dict[str, str] = {}


def resolve_precision(
    precision: str,
    kept: KeptModel,
    scale: int,
    device: torch.device,
    dtype: np.dtype,
) -> str:
    """Choose the precision of the body's convolutions.

    ``"auto"`` is half precision for 8-bit images, on devices where it is quicker with
    this model and where it changes no grey level of a built-in picture by more than
    `LARGEST_ERROR`, nor all of them by `RMS_ERROR` in the root mean square; it is fp32
    for all others. This is tried once for a model on a machine, and remembered.

    Raises
    ------
    DeviceError
        If the name is unknown.
    """
    if precision == "auto":
        half = fast_half(device) if dtype.itemsize == 1 else None
        return "fp32" if half is None else _chosen(half, kept, scale, device)
    if precision not in PRECISIONS:
        choices = ", ".join(["auto", *PRECISIONS])
        raise DeviceError(
            f"Precision {precision!r} is unknown; choose one of: {choices}."
        )
    return precision


def fast_error(name: str, scale: int) -> float:
    """How far MNN is from exact with a model of the zoo, on the built-in picture.

    Returns
    -------
    float
        Largest difference, in grey levels of 8 bits. Measured once, and remembered.

    Raises
    ------
    DeviceError
        If MNN is missing or fails.
    """
    kept = KeptModel(load_model(name))
    model, key = kept.model, f"mnn {_key('fp32', kept, scale, _CPU)}"
    found = cache.recorded(_SECTION).get(key)
    if not isinstance(found, float):
        picture, whole = _picture(model, scale), (slice(None), slice(None))
        exact = drain(Engine(model, scale, _CPU, "fp32").iter_run(picture, whole))[0]
        quick = FastNetwork(model, scale)(torch.from_numpy(picture.copy())[None])[0]
        found = float(np.abs(quick.numpy() - exact).max() * 255)
        with suppress(DownloadError):
            cache.record(_SECTION, key, found)
    return found


def _chosen(half: str, kept: KeptModel, scale: int, device: torch.device) -> str:
    key = _key(half, kept, scale, device)
    if key not in _known:
        found = cache.recorded(_SECTION).get(key)
        if found not in ("fp32", half):
            pays = _tried(half, kept.model, scale, device)
            if pays is None:
                return "fp32"  # this time
            found = half if pays else "fp32"
            with suppress(DownloadError):  # then it is tried again by the next program
                cache.record(_SECTION, key, found)
        _known[key] = found
    return _known[key]


def _key(half: str, kept: KeptModel, scale: int, device: torch.device) -> str:
    return f"{half} {kept.key} x{scale} {describe(device)}"


def _tried(
    half: str, model: EDSR | MDSR, scale: int, device: torch.device
) -> bool | None:
    """Whether half precision pays; None where memory does not suffice to tell."""
    try:
        return _pays(half, model, scale, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    finally:
        release_memory(device)  # or a run would plan with less than there is


def _pays(half: str, model: EDSR | MDSR, scale: int, device: torch.device) -> bool:
    """Try both on a picture: the first runs show the error, the others the time."""
    picture = _picture(model, scale, device)
    narrow, wide = (_runner(model, scale, device, p, picture) for p in (half, "fp32"))
    try:
        error = (narrow() - wide()) * 255
    except ModelError:  # not finite even in fp32: the run itself will say so
        return False
    if np.abs(error).max() > LARGEST_ERROR or np.sqrt(np.mean(error**2)) > RMS_ERROR:
        return False
    times = [(_seconds(narrow), _seconds(wide)) for _ in range(3)]
    quickest, other = (min(column) for column in zip(*times, strict=True))
    return quickest < _WORTH_IT * other


def _runner(
    model: EDSR | MDSR,
    scale: int,
    device: torch.device,
    precision: str,
    picture: NDArray[np.float32],
) -> Callable[[], NDArray[np.float32]]:
    engine = Engine(model, scale, device, precision)
    whole = slice(None), slice(None)
    return lambda: drain(engine.iter_run(picture, whole))[0]


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _picture(
    model: EDSR | MDSR, scale: int, device: torch.device = _CPU
) -> NDArray[np.float32]:
    """The built-in photograph from its middle on, for a moment's work."""
    config = model.config
    work = _TRIAL_FLOP["cpu" if device.type == "cpu" else "accelerator"]
    side = round((work / config.folded_flops(scale)) ** 0.5)
    side = min(max(side, _TRIAL_SIDE[0]), _TRIAL_SIDE[1])
    photo = samples.photo_lr()[64:, 64:][:side, :side]
    missing = [(0, side - length) for length in photo.shape[:2]]
    photo = np.pad(photo, (*missing, (0, 0)), "symmetric")
    planes = (photo / 255).astype(np.float32).transpose(2, 0, 1)
    return planes if config.n_colors == 3 else planes[[1] * config.n_colors]
