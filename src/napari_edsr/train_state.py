"""The state of a training run in one file, from which it goes on exactly."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_edsr.atomic import make_folder, replacing, take_lock
from napari_edsr.errors import CheckpointError, TrainingError
from napari_edsr.model import EDSR, MDSR
from napari_edsr.safe_loading import read_weights_file
from napari_edsr.train_config import TrainConfig
from napari_edsr.training_data import Pair

_FORMAT = "1"
_OTHER = {"images": "with other images", "start": "from another model"}
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """What a run has come to, as plain values.

    Attributes
    ----------
    step, skipped : int
        Optimiser steps done, and those whose gradient was not finite.
    loss_sum, losses : float, int
        Sum and number of the losses since the last measurement.
    bicubic, before : float
        PSNR in dB on the data kept aside, of bicubic and of the starting network.
    best, best_step : float, int
        The best PSNR so far and when it was reached.
    history : list of (int, float, float)
        Step, PSNR and mean loss of each measurement.
    """

    step: int = 0
    skipped: int = 0
    loss_sum: float = 0.0
    losses: int = 0
    bicubic: float = float("nan")
    before: float = float("nan")
    best: float = float("-inf")
    best_step: int = 0
    history: list[tuple[int, float, float]] = field(default_factory=list)


def origin(network: EDSR | MDSR, pairs: Sequence[Pair]) -> dict[str, str]:
    """What a run begins with besides its settings, in digests.

    Low-resolution sides that were made follow from the settings.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(repr((pair.hr.shape, pair.hr.dtype.str, pair.kept)).encode())
        for plane in (pair.hr, *(pair.lr.values() if pair.is_real else ())):
            digest.update(np.ascontiguousarray(plane).data)
    start = str(network.provenance.extra.get("start_weights", ""))
    return {"images": digest.hexdigest(), "start": start}


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other programs from running in a folder.

    Raises
    ------
    FileError
        If another program does, or nothing can be written there.
    """
    was_there = folder.exists()
    place = make_folder(folder) / ".lock"
    lock = take_lock(
        place,
        f"Another program is training in {folder}; wait until it has ended, or name "
        "another folder.",
    )
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            place.unlink()  # still ours: nobody can be given it
        lock.release()
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless something was kept


class TrainState:
    """Network, average, optimiser and progress of a run.

    Parameters
    ----------
    config : TrainConfig
    network : EDSR or MDSR
        Trained in place, on its device.
    origin : mapping of str to str
        As `origin` gives it; empty if it is not known.
    """

    def __init__(
        self, config: TrainConfig, network: EDSR | MDSR, origin: Mapping[str, str]
    ) -> None:
        self.config = config
        self.origin = origin
        self.network = network
        self.average: AveragedModel | None = None
        if config.ema:
            smooth = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(network, multi_avg_fn=smooth)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=config.rate)
        self.best = {name: value.clone() for name, value in self.weights()}
        self.progress = Progress()

    @property
    def measured(self) -> EDSR | MDSR:
        """The network that is measured and kept: the average, where there is one."""
        if self.average is None:
            return self.network
        return cast("EDSR | MDSR", self.average.module)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors of `measured` by name."""
        return ((n, v.detach()) for n, v in self.measured.state_dict().items())

    def keep_best(self, psnr: float) -> None:
        """Keep the weights as they are now as the best ones."""
        self.progress.best, self.progress.best_step = psnr, self.progress.step
        self.best = {name: value.clone() for name, value in self.weights()}

    def save(self, path: Path) -> None:
        """Write everything, whole or not at all; what stood there stays until then."""
        texts = {
            "napari_edsr_training": _FORMAT,
            "config": json.dumps(self.config.to_dict()),
            "origin": json.dumps(dict(self.origin)),
            "progress": json.dumps(vars(self.progress)),
        }
        tensors = {n: v.detach().cpu().contiguous() for n, v in self._tensors()}
        data = safetensors.torch.save(tensors, texts)
        with replacing(path) as partial:
            partial.write_bytes(data)

    def read(self, path: Path) -> tuple[dict[str, Tensor], Progress]:
        """Tensors and progress from a file that `save` wrote for this configuration.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        TrainingError
            If it belongs to another run.
        """
        try:
            file = read_weights_file(path)
        except CheckpointError as error:
            raise CheckpointError(
                f"{path} is damaged; delete {path.parent} to start again."
            ) from error
        if file.metadata.get("napari_edsr_training") != _FORMAT:
            raise TrainingError(
                f"{path} is no saved training run; name another folder."
            )
        if other := self._other_settings(json.loads(file.metadata["config"])):
            raise TrainingError(
                f"{path.parent} holds a run with other settings ({', '.join(other)}); "
                "name another folder, or delete it to start again."
            )
        saved = cast("dict[str, Tensor]", file.contents)
        self._check_shapes(path, saved)
        there = json.loads(file.metadata.get("origin", "{}"))  # older ones had none
        shared = there.keys() & self.origin.keys()
        if other := sorted(key for key in shared if there[key] != self.origin[key]):
            raise TrainingError(
                f"{path.parent} holds a run {' and '.join(_OTHER[key] for key in other)}; "
                "name another folder, or delete it to start again."
            )
        return saved, Progress(**json.loads(file.metadata["progress"]))

    def _check_shapes(self, path: Path, saved: dict[str, Tensor]) -> None:
        """Refuse what came from a starting model of the same name but another shape."""
        for name, value in self._tensors():
            if name not in saved or saved[name].shape != value.shape:
                raise TrainingError(
                    f"{path.parent} holds a run of another network; name another "
                    "folder, or delete it to start again."
                )

    def restore(self, saved: dict[str, Tensor], progress: Progress) -> None:
        """Go on from what `read` gave."""
        self._restore_optimizer(saved)
        with torch.no_grad():
            for name, value in self._tensors():
                value.copy_(saved[name])
        self.progress = progress

    def _other_settings(self, saved: dict[str, Any]) -> list[str]:
        """Names of settings that differ; paths may, since a run can be moved."""
        here = self.config.without_paths()
        there = TrainConfig.from_dict(saved).without_paths()  # what is new has defaults
        free = {
            "device",
            "about",
            "validate_every",
        }  # these may change between sittings
        return sorted(
            key for key in here if key not in free and here[key] != there[key]
        )

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that is saved, by name; the tensors are the live ones."""
        for name, value in self.network.state_dict().items():
            yield f"network.{name}", value
        if self.average is not None:
            for name, value in self.average.state_dict().items():
                yield f"average.{name}", value
        for name, value in self.best.items():
            yield f"best.{name}", value
        for number, moments in self.optimizer.state_dict()["state"].items():
            for kind in _MOMENTS:
                yield f"adam.{number}.{kind}", moments[kind]

    def _restore_optimizer(self, saved: dict[str, Tensor]) -> None:
        """Make the moments, which Adam has only after its first step."""
        groups = self.optimizer.state_dict()["param_groups"]
        state = {
            number: {kind: saved[f"adam.{number}.{kind}"] for kind in _MOMENTS}
            for number in groups[0]["params"]
            if f"adam.{number}.step" in saved
        }
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
