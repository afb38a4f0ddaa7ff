"""What a training run gives, and its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_edsr.checkpoints import save_model
from napari_edsr.model import EDSR, MDSR
from napari_edsr.train_config import TrainConfig
from napari_edsr.training_data import Pair

_TELLING = 0.005  # decibels of gain that are more than nothing


@dataclass(frozen=True)
class TrainResult:
    """What a run gives.

    Attributes
    ----------
    model : EDSR or MDSR
        With the best weights, in evaluation mode on the CPU.
    psnr, before, bicubic : float
        PSNR in dB on the data kept aside: of `model`, of the network as it started
        and of bicubic interpolation; NaN where nothing was kept aside.
    reached : float
        The best PSNR measured after a step; below `before` if training did not help,
        and then `model` is the network as it started.
    best_step, step, skipped : int
        When `model` was reached, steps done, and steps skipped.
    finished : bool
        Whether all steps were done.
    kept : sequence of Pair
        The data kept aside.
    """

    model: EDSR | MDSR
    psnr: float
    before: float
    bicubic: float
    reached: float
    best_step: int
    step: int
    skipped: int
    finished: bool
    kept: Sequence[Pair] = ()

    @property
    def helped(self) -> bool:
        """Whether the network got better, as far as that was measured."""
        return math.isnan(self.psnr) or self.gain >= _TELLING

    @property
    def gain(self) -> float:
        """Decibels gained over the starting network; NaN where nothing was measured."""
        return self.psnr - self.before


def save_trained(
    result: TrainResult, config: TrainConfig, path: Path, **about: Any
) -> Path:
    """Save the trained network with its configuration and scores in the metadata."""
    training = {
        "config": config.without_paths(),  # they are private
        "steps": result.step,
        "best_step": result.best_step,
        "psnr": _finite(result.psnr),
        "psnr_before": _finite(result.before),
        "psnr_bicubic": _finite(result.bicubic),
    }
    metadata = {"name": config.name, "training": training, **config.about, **about}
    return save_model(result.model, path, metadata=metadata)


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
