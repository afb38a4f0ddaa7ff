"""What a training run is made of, as values that fit into a YAML file, without torch."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from napari_edsr.atomic import replacing
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ModelError, TrainingError
from napari_edsr.plain import made, plain
from napari_edsr.units import converted, unit_name

SHRINKINGS = ("bicubic", "area")
SCHEDULES = ("cosine", "step")
_PATHS = ("hr", "lr", "validation_hr", "validation_lr")
_ABOUT = ("title", "licence", "credit", "source")
_EMA_STEPS = 100  # over which the average of a fine-tuning run reaches, at most
_NAME = re.compile(r"\w[\w .+-]{0,99}")


@dataclass(frozen=True)
class Degradation:
    """How a low-resolution image comes from a high-resolution one.

    Blur, then shrinking, then noise, then JPEG, as a camera does it. Real
    low-resolution images are taken as they are.

    Parameters
    ----------
    shrink : {"bicubic", "area"}
        ``"bicubic"`` is MATLAB's, with antialiasing, which the published networks were
        trained for; ``"area"`` is the mean of each block, as a binning camera has it.
    blur : float
        Standard deviation of a Gaussian point spread function, in `blur_unit`.
    blur_unit : str
        ``"px"`` for pixels of the high-resolution image, or a unit of length such as
        ``"um"`` for images of known pixel size.
    photons : float
        Photons that white stands for, which sets the Poisson noise; 0 for none.
    read_noise : float
        Standard deviation of Gaussian noise: in photons, or where `photons` is 0 as a
        share of white.
    jpeg : tuple of int
        Least and greatest JPEG quality, 1-100, drawn anew for each patch; ``()`` for
        none. Only for 8-bit grey or RGB.
    """

    shrink: str = "bicubic"
    blur: float = 0.0
    blur_unit: str = "px"
    photons: float = 0.0
    read_noise: float = 0.0
    jpeg: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.shrink not in SHRINKINGS:
            raise TrainingError(
                f"Shrinking {self.shrink!r} is unknown; choose {' or '.join(SHRINKINGS)}."
            )
        unit = unit_name(self.blur_unit)
        if self.blur_unit != "px" and converted(1.0, unit, "m") is None:
            raise TrainingError(
                f"Unit {self.blur_unit!r} of the blur is unknown; use px, nm, um or mm."
            )
        amounts = (self.blur, self.photons, self.read_noise)
        if not all(math.isfinite(amount) and amount >= 0 for amount in amounts):
            raise TrainingError("Blur, photons and read noise cannot be negative.")
        if self.jpeg and not (
            len(self.jpeg) == 2 and 1 <= self.jpeg[0] <= self.jpeg[1] <= 100
        ):
            raise TrainingError(
                f"JPEG qualities are two numbers from 1 to 100, the lower one first, not "
                f"{self.jpeg}."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Degradation:
        """Of plain values, as YAML or JSON hold them; what is left out takes its default.

        Raises
        ------
        TrainingError
            If a key is unknown or a value makes no sense.
        """
        return made(cls, values, "the degradation")

    @property
    def is_random(self) -> bool:
        """Whether every patch is degraded anew."""
        return bool(self.photons or self.read_noise or self.jpeg)

    def blur_in_pixels(self, pixel_size: float | None, unit: str) -> float:
        """Standard deviation of the blur in pixels of the high-resolution image.

        Parameters
        ----------
        pixel_size : float or None
            Of that image, in `unit`; None if it is not known.
        unit : str

        Raises
        ------
        TrainingError
            If the blur is a length and the size of the pixels is not known.
        """
        if not self.blur or self.blur_unit == "px":
            return self.blur
        own = unit_name(self.blur_unit)
        blur = converted(self.blur, own, unit_name(unit))
        for_print = unit == "inch"  # dots per inch say nothing of what is shown
        if not pixel_size or blur is None or for_print:
            raise TrainingError(
                f"The blur is given in {own}, but the pixel size of the image is not "
                "known; give the blur in px."
            )
        return blur / pixel_size


@dataclass(frozen=True)
class DataConfig:
    """Where the images of a run are.

    Parameters
    ----------
    hr, lr : tuple of str
        Files, globs or folders with high-resolution images, and, for real pairs, with
        as many low-resolution ones: of the same names but for an ending such as
        ``_x2``, or one file for each file, in the same order.
    validation_hr, validation_lr : tuple of str
        The same for images that are only measured, even if `hr` has them too.
    held_out : float
        Share of each image that is kept aside for measuring where there are no
        validation images, 0-0.5.
    windows : tuple of (int, int, int, int)
        Instead of the share, a rectangle in each image, in the order of `hr`: first
        and last row, first and last column, the last ones not included. An empty one
        keeps nothing aside.
    normalize : str or tuple of float
        Intensities of the high-resolution images that the network sees as black and
        white: ``"auto"``, ``"dtype"``, ``"percentile"`` or two numbers, as for
        `napari_edsr.upscale`.
    """

    hr: tuple[str, ...] = ()
    lr: tuple[str, ...] = ()
    validation_hr: tuple[str, ...] = ()
    validation_lr: tuple[str, ...] = ()
    held_out: float = 0.1
    windows: tuple[tuple[int, ...], ...] = ()
    normalize: str | tuple[float, ...] = "auto"

    def __post_init__(self) -> None:
        for window in self.windows:
            if not _is_window(window):
                raise TrainingError(
                    f"A window is four numbers, first and last row, first and last "
                    f"column, not {list(window)}."
                )
        if not (isinstance(self.normalize, str) or len(self.normalize) == 2):
            raise TrainingError(
                "normalize is a word, or the values of black and white."
            )
        if not 0 <= self.held_out <= 0.5:
            raise TrainingError(
                f"The share kept aside, {self.held_out}, must be from 0 to 0.5."
            )


def _is_window(window: tuple[int, ...]) -> bool:
    if len(window) != 4:
        return not window
    y0, y1, x0, x1 = window
    return 0 <= y0 < y1 and 0 <= x0 < x1


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Parameters
    ----------
    name : str
        What the trained model will be called.
    start : str
        Model to start from, a name or a weights file; empty for a fresh network.
        One of another scale gives all but its upsampler (the paper's ×3 and ×4 start
        from its ×2); an RGB one is adapted to grey where `network` has one colour, and
        a narrow one widened where it has more features.
    network : EDSRConfig or None
        Shape of the network; None takes that of `start`.
    data : DataConfig
    degradation : Degradation
    steps : int
        Optimiser steps in all.
    batch, patch : int
        Patches in a step, and their side in low-resolution pixels.
    rate : float
        Peak learning rate of Adam.
    warmup : int
        Steps over which the rate rises from 0.
    schedule : {"cosine", "step"}
        ``"cosine"`` falls to `rate_end` after a constant share `hold` of the steps;
        ``"step"`` halves the rate at each of `milestones`.
    hold : float
        Share of the steps, 0-1.
    rate_end : float
        Learning rate at the end of a cosine.
    milestones : tuple of int
        Steps.
    ema : float
        Decay of the average of the weights that is measured and kept; 0 for none.
    clip : float
        Largest norm of a gradient; 0 for no limit.
    validate_every : int
        Steps between two measurements, after each of which the state is saved.
    seed : int
    device, precision : str
        As for `napari_edsr.upscale`; ``"auto"`` precision is bf16 where the device
        computes it faster, else fp32.
    deterministic : bool
        Bit-identical runs on a GPU as well, at the cost of its speed.
    compile : bool
        Let ``torch.compile`` fuse the network on a GPU.
    about : mapping of str to str
        ``title``, ``licence``, ``credit`` and ``source`` of the model.
    """

    name: str = "untitled"
    start: str = ""
    network: EDSRConfig | None = None
    data: DataConfig = field(default_factory=DataConfig)
    degradation: Degradation = field(default_factory=Degradation)
    steps: int = 2000
    batch: int = 16
    patch: int = 48
    rate: float = 1e-4
    warmup: int = 0
    schedule: str = "cosine"
    hold: float = 0.0
    rate_end: float = 1e-6
    milestones: tuple[int, ...] = ()
    ema: float = 0.999
    clip: float = 0.5
    validate_every: int = 200
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    deterministic: bool = False
    compile: bool = False
    about: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == "state":
            raise TrainingError(
                f"{self.name!r} is no name for a model; use letters, digits, . _ and -."
            )
        if not 0 <= self.seed < 2**63:
            raise TrainingError(f"The seed {self.seed} is not from 0 to 2**63 - 1.")
        if not self.start and self.network is None:
            raise TrainingError("Name a model to start from, or the network to train.")
        if self.schedule not in SCHEDULES:
            raise TrainingError(
                f"Schedule {self.schedule!r} is unknown; choose {' or '.join(SCHEDULES)}."
            )
        counts = {
            key: getattr(self, key)
            for key in ("steps", "batch", "patch", "validate_every")
        }
        if low := [key for key, value in counts.items() if value < 1]:
            raise TrainingError(f"{low[0]} must be at least 1, not {counts[low[0]]}.")
        if not (self.rate > 0 and self.rate_end >= 0 and math.isfinite(self.rate)):
            raise TrainingError("The learning rate must be a positive number.")
        if not (0 <= self.hold <= 1 and 0 <= self.ema < 1 and self.clip >= 0):
            raise TrainingError(
                "hold and ema are shares from 0 to 1, and clip is not negative."
            )
        self._check_schedule()
        if unknown := sorted(set(self.about) - set(_ABOUT)):
            raise TrainingError(
                f"Unknown in about: {', '.join(unknown)}; known are {', '.join(_ABOUT)}."
            )

    def _check_schedule(self) -> None:
        if self.warmup < 0:
            raise TrainingError(f"warmup cannot be negative, as {self.warmup} is.")
        if low := [stone for stone in self.milestones if stone < 1]:
            raise TrainingError(f"milestones must be at least 1, not {low[0]}.")

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        if self.schedule == "step":
            return self.rate * 0.5 ** sum(step >= stone for stone in self.milestones)
        falls_from = max(self.warmup, round(self.hold * self.steps))
        if step < falls_from:
            return self.rate
        share = (step - falls_from) / max(1, self.steps - falls_from)
        low = min(self.rate_end, self.rate)
        return low + (self.rate - low) * (1 + math.cos(math.pi * share)) / 2

    def to_dict(self) -> dict[str, Any]:
        """As plain values for YAML or JSON."""
        return plain(asdict(self))

    def without_paths(self) -> dict[str, Any]:
        """As `to_dict`, without the places of images and the folder of `start`."""
        values = self.to_dict()
        data = {k: value for k, value in values["data"].items() if k not in _PATHS}
        return {**values, "data": data, "start": Path(self.start).name}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Inverse of `to_dict`; what is left out takes its default.

        Raises
        ------
        TrainingError
            If a key is unknown or a value makes no sense.
        ModelError
            If there can be no such network.
        """
        parts: dict[str, Any] = dict(values)
        kinds = {"data": DataConfig, "degradation": Degradation, "network": EDSRConfig}
        for key, kind in kinds.items():
            if parts.get(key) is None:
                parts.pop(key, None)  # in YAML, a key with nothing behind it
            else:
                parts[key] = made(kind, parts[key], key)
        return made(cls, parts, "the configuration")


def finetuning(steps: int) -> dict[str, Any]:
    """Settings of `TrainConfig` that suit a short run from a trained model.

    The learning rate rises over the first steps, and the average of the weights reaches
    over a tenth of the run at most, so that the start is forgotten by its end.
    """
    return {
        "warmup": min(steps // 20, 200),
        "ema": 1 - 1 / min(max(steps // 10, 2), _EMA_STEPS),
        "validate_every": max(1, min(200, steps // 5)),
    }


def load_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read a configuration from a YAML file.

    Paths in it are relative to the folder of the file.

    Raises
    ------
    TrainingError
        If it cannot be read, or says something that makes no sense.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        brief = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise TrainingError(f"{path} cannot be read: {brief}.") from error
    if not isinstance(values, Mapping):
        raise TrainingError(f"{path} holds no configuration; the README shows one.")
    try:
        return TrainConfig.from_dict(_anchored(values, path.parent))
    except (TrainingError, ModelError) as error:
        raise TrainingError(f"{path}: {error}") from error


def save_config(config: TrainConfig, path: str | os.PathLike[str]) -> Path:
    """Write a configuration that `load_config` reads.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    text = yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)
    with replacing(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8")
    return Path(path)


def _anchored(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """With the paths of images, and of a file to start from, made absolute."""
    anchored = dict(values)
    data = anchored.get("data") or {}
    if not isinstance(data, Mapping):
        return anchored  # which `TrainConfig.from_dict` will refuse
    data = dict(data)
    for key in _PATHS:
        names = [data[key]] if isinstance(data.get(key), str) else data.get(key) or ()
        if not isinstance(names, list | tuple):
            continue  # which `TrainConfig.from_dict` will refuse
        data[key] = [absolute(str(name), folder) for name in names]
    anchored["data"] = data
    start = str(anchored.get("start") or "")
    if start and (folder / start).is_file():
        anchored["start"] = os.path.abspath(folder / start)
    return anchored


def absolute(place: str, folder: Path) -> str:
    """A file, a glob or a folder that is named as seen from `folder`."""
    path = os.path.join(os.path.abspath(folder), os.path.expanduser(place))
    if glob.has_magic(place) and not os.path.exists(path):
        above = glob.escape(os.path.abspath(folder))  # where brackets are no pattern
        path = os.path.join(above, os.path.expanduser(place))
    return os.path.normpath(path)
