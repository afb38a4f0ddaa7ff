"""EDSR super-resolution for napari, Python and the command line.

The names below are loaded when they are first used: importing the package imports
neither torch nor Qt.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_edsr.checkpoints import load_model, save_model
    from napari_edsr.config import EDSRConfig
    from napari_edsr.errors import EDSRError, EDSRWarning
    from napari_edsr.evaluation import iter_scores
    from napari_edsr.events import drain
    from napari_edsr.inference import UpscaleResult, iter_upscale, upscale
    from napari_edsr.metrics import score
    from napari_edsr.model import EDSR, MDSR
    from napari_edsr.train_config import TrainConfig
    from napari_edsr.train_result import TrainResult
    from napari_edsr.training import iter_train, train
    from napari_edsr.training_data import Source
    from napari_edsr.transfer import blended
    from napari_edsr.trust import iter_consistency
    from napari_edsr.zoo import list_cards

_HOME = {
    "EDSR": "model",
    "EDSRConfig": "config",
    "EDSRError": "errors",
    "EDSRWarning": "errors",
    "MDSR": "model",
    "Source": "training_data",
    "TrainConfig": "train_config",
    "TrainResult": "train_result",
    "UpscaleResult": "inference",
    "blended": "transfer",
    "drain": "events",
    "iter_consistency": "trust",
    "iter_scores": "evaluation",
    "iter_train": "training",
    "iter_upscale": "inference",
    "list_cards": "zoo",
    "load_model": "checkpoints",
    "save_model": "checkpoints",
    "score": "metrics",
    "train": "training",
    "upscale": "inference",
}

__version__: str
__all__ = [
    "EDSR",
    "MDSR",
    "EDSRConfig",
    "EDSRError",
    "EDSRWarning",
    "Source",
    "TrainConfig",
    "TrainResult",
    "UpscaleResult",
    "__version__",
    "blended",
    "drain",
    "iter_consistency",
    "iter_scores",
    "iter_train",
    "iter_upscale",
    "list_cards",
    "load_model",
    "save_model",
    "score",
    "train",
    "upscale",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-edsr")
    if name in _HOME:
        return getattr(importlib.import_module(f"napari_edsr.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
