"""The model of the latest run, kept ready for the next one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from napari_edsr.checkpoints import load_model, locate
from napari_edsr.fast import FastNetwork
from napari_edsr.model import EDSR, MDSR
from napari_edsr.streaming import StreamedNetwork

_File = tuple[str, Path, int, int]


@dataclass(frozen=True)
class KeptModel:
    """A model that nobody changes, with what was made of it.

    Attributes
    ----------
    model : EDSR or MDSR
    networks : dict
        By scale and precision, on the CPU: the memory of others is given back.
    fast : dict
        Networks of MNN by scale.
    """

    file: _File
    model: EDSR | MDSR
    networks: dict[tuple[int, str], StreamedNetwork] = field(default_factory=dict)
    fast: dict[int, FastNetwork] = field(default_factory=dict)


_latest: KeptModel | None = None


def kept_model(name_or_path: str | os.PathLike[str]) -> KeptModel:
    """Load a model unless it is the latest, and its file is as it was.

    Raises
    ------
    ModelError, CheckpointError, DownloadError
        As `napari_edsr.checkpoints.load_model`.
    """
    global _latest
    file = _file(name_or_path)
    known = _latest
    if known is None or known.file != file:
        known = _latest = KeptModel(file, load_model(name_or_path))
    return known


def release() -> None:
    """Forget the latest model and free its memory."""
    global _latest
    _latest = None


def _file(name_or_path: str | os.PathLike[str]) -> _File:
    path, _ = locate(name_or_path)
    try:
        about = path.stat()
    except OSError:  # load_model says what is wrong
        return str(name_or_path), path, 0, 0
    return str(name_or_path), path.absolute(), about.st_mtime_ns, about.st_size
