"""The models of the latest runs, kept ready for the next ones."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from napari_edsr.checkpoints import load_model, locate
from napari_edsr.errors import ModelError
from napari_edsr.fast import FastNetwork
from napari_edsr.model import EDSR, MDSR, weights_key
from napari_edsr.streaming import StreamedNetwork

_File = tuple[str, Path, int, int]
_Networks = dict[tuple[int, str], StreamedNetwork]
_Fast = dict[int, FastNetwork]


@dataclass
class KeptModel:
    """A model, with what was made of its weights.

    Attributes
    ----------
    model : EDSR or MDSR
    networks : dict
        By scale and precision, on the CPU: the memory of others is given back.
    fast : dict
        Networks of MNN by scale.
    key : str
        Hash of its weights, as they were at first.
    """

    model: EDSR | MDSR
    networks: _Networks = field(default_factory=dict)
    fast: _Fast = field(default_factory=dict)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = weights_key(self.model)


_from_file: tuple[_File, KeptModel] | None = None
#: What was made of the latest model of a caller's; the model is theirs to free.
_of_given: tuple[str, _Networks, _Fast] | None = None


def kept_model(model: str | os.PathLike[str] | EDSR | MDSR) -> KeptModel:
    """What is kept of a model, if it is one of the latest and as it was.

    Parameters
    ----------
    model : str, path, EDSR or MDSR
        Name or file, which is loaded unless it is the latest, and unchanged; or a model
        of the caller's, who may change its weights from one run to the next.

    Raises
    ------
    ModelError, CheckpointError, DownloadError
        As `napari_edsr.checkpoints.load_model`; a ModelError if it is nothing of these.
    """
    if isinstance(model, EDSR | MDSR):
        return _of_ones_own(model)
    if not isinstance(model, str | os.PathLike):
        raise ModelError(
            f"A model is a name, a file, an EDSR or an MDSR, not {type(model).__name__}."
        )
    return _loaded(model)


def release() -> None:
    """Forget the latest models and free their memory."""
    global _from_file, _of_given
    _from_file = _of_given = None


def _loaded(name_or_path: str | os.PathLike[str]) -> KeptModel:
    global _from_file
    file = _file(name_or_path)
    if _from_file is None or _from_file[0] != file:
        _from_file = file, KeptModel(load_model(name_or_path))
    return _from_file[1]


def _of_ones_own(model: EDSR | MDSR) -> KeptModel:
    """What was made of the same weights still serves; the model itself may differ."""
    global _of_given
    kept = KeptModel(model)
    if _of_given is not None and _of_given[0] == kept.key:
        _, kept.networks, kept.fast = _of_given
    _of_given = kept.key, kept.networks, kept.fast
    return kept


def _file(name_or_path: str | os.PathLike[str]) -> _File:
    path, _ = locate(name_or_path)
    try:
        about = path.stat()
    except OSError:  # load_model says what is wrong
        return str(name_or_path), path, 0, 0
    return str(name_or_path), path.absolute(), about.st_mtime_ns, about.st_size
