"""What is to be trained, complete and independent of the widget, and the job itself."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_edsr import cache, zoo
from napari_edsr._qt.busy import computing
from napari_edsr._qt.layer_part import LayerPart
from napari_edsr.cards import KEPT_SCORES
from napari_edsr.errors import EDSRError, TrainingError
from napari_edsr.train_config import TrainConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_edsr.train_result import TrainResult
    from napari_edsr.training import TrainEvent
    from napari_edsr.training_data import Source, Window

_KEPT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Lesson:
    """A layer to learn from.

    Attributes
    ----------
    hr : LayerPart
    lr : LayerPart or None
        Its low-resolution side; None to make it.
    held_out : Window or float
        What is kept aside: a rectangle in pixels of `hr`, or a share.
    """

    hr: LayerPart
    lr: LayerPart | None = None
    held_out: Window | float = 0.0

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for lessons that teach the same: the pixels are told by where they are."""
        parts = (part for part in (self.hr, self.lr) if part is not None)
        places = [(part.name, part.corner, part.data.shape) for part in parts]
        return (*places, self.held_out)

    def source(self) -> Source:
        """For the trainer."""
        from napari_edsr.training_data import Source

        read_lr = self.lr.read if self.lr else None
        return Source(self.hr.name, self.hr.read, read_lr, held_out=self.held_out)


@dataclass(frozen=True)
class FinetuneRequest:
    """A run.

    Attributes
    ----------
    config : TrainConfig
        Its `data` names the folders, and no layer.
    lessons : sequence of Lesson
        The layers.
    scale : int
        Of interest to the user, if the network has several.
    resumes : bool
        Whether to go on where a run of the same name was stopped.
    replaces : bool
        Whether the model of this name is one of the same run, from before it went on.
    """

    config: TrainConfig
    lessons: Sequence[Lesson]
    scale: int
    resumes: bool = False
    replaces: bool = False

    @property
    def folder(self) -> Path:
        """Where the state of the run lies until all steps are done."""
        return cache.folder() / "runs" / self.config.name

    def is_like(self, other: FinetuneRequest) -> bool:
        """Whether the two do the same, whatever they are called."""
        if replace(self.config, name=other.config.name) != other.config:
            return False
        mine, theirs = (
            [part for x in r.lessons for part in x.key] for r in (self, other)
        )
        return mine == theirs

    def sources(self) -> list[Source]:
        """Layers and images of folders to learn from."""
        from napari_edsr.training_files import find_sources

        data = self.config.data
        found = find_sources(data)[0] if data.hr else []
        taken = {lesson.hr.name for lesson in self.lessons}
        named = (
            replace(source, name=f"{source.name} (file)")
            if source.name in taken
            else source
            for source in found
        )
        return [*(lesson.source() for lesson in self.lessons), *named]


@dataclass(frozen=True)
class FinetuneOutcome:
    """What a run gave.

    Attributes
    ----------
    request : FinetuneRequest
    result : TrainResult
    registered : bool
        Whether it is a model of the zoo now; not if training did not help.
    """

    request: FinetuneRequest
    result: TrainResult
    registered: bool


class DivergedError(TrainingError):
    """A run came to no good end, but what it had gained before is a model.

    Attributes
    ----------
    name : str
        Of the model.
    """

    def __init__(self, error: TrainingError, name: str) -> None:
        super().__init__(
            f"{error} What was best before is in the Upscale dock: {name}."
        )
        self.name = name


def iter_finetune(
    request: FinetuneRequest,
) -> Generator[TrainEvent | None, Any, FinetuneOutcome]:
    """Train, and make the best weights a model of the zoo; the job of a worker.

    A true value sent at any time ends it early with the best weights so far. They are
    also kept if it is closed, as when napari is.

    Raises
    ------
    DeviceError
        If something else is being computed in this program.
    EDSRError
        As `napari_edsr.training.iter_train`, and if the name of the model is taken. A
        `DivergedError` if there is a model all the same.
    """
    with computing(f"Fine-tuning of {request.config.name}"):
        if not request.resumes:
            zoo.import_target(request.config.name)  # refused now rather than at the end
            _clear(request.folder)
            _sweep(request.folder.parent)
        asked = bool((yield None))
        try:
            result = yield from _iter_until_asked(request, asked)
        except GeneratorExit:
            _keep_broken_off(request)
            raise
        except TrainingError as error:
            if _keep_broken_off(request):
                raise DivergedError(error, request.config.name) from error
            raise
        registered = result.helped
        if registered:
            register(result, request.config, replace_existing=request.replaces)
        if result.finished:
            shutil.rmtree(request.folder, ignore_errors=True)
        return FinetuneOutcome(request, result, registered)


def _keep_broken_off(request: FinetuneRequest) -> bool:
    """Make the best weights a model, if they helped; whether that could be done."""
    from napari_edsr.training import broken_off

    with contextlib.suppress(EDSRError):
        result = broken_off(request.config, request.folder)
        if result is not None and result.helped:
            register(result, request.config, replace_existing=request.replaces)
            return True
    return False


def _clear(folder: Path) -> None:
    """Take away an earlier run, unless another program is at it."""
    from napari_edsr.train_state import alone_in

    with alone_in(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(runs: Path) -> None:
    """Take away the states of runs that nobody went on with."""
    oldest = time.time() - _KEPT_SECONDS
    for folder in runs.glob("*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def _iter_until_asked(
    request: FinetuneRequest, asked: bool
) -> Generator[TrainEvent, Any, TrainResult]:
    """Keep in mind that someone asked to end, until the trainer hears it."""
    from napari_edsr.training import iter_train

    job = iter_train(request.config, request.sources(), folder=request.folder)
    try:
        event = next(job)
        while True:
            asked = bool((yield event)) or asked
            event = job.send(asked)
    except StopIteration as stop:
        return stop.value
    finally:
        job.close()


def register(
    result: TrainResult,
    config: TrainConfig,
    name: str = "",
    *,
    replace_existing: bool = False,
    **about: str,
) -> None:
    """Make the network of a result a model of the zoo, its scores with it.

    Parameters
    ----------
    result : TrainResult
    config : TrainConfig
    name : str
        That of the configuration if not given.
    replace_existing : bool
        Whether an imported model of the name may be replaced.
    **about : str
        More for the metadata of the file.
    """
    from napari_edsr.train_result import save_trained

    name = name or config.name
    target = zoo.import_target(name, replace_existing=replace_existing)
    save_trained(result, config, target, name=name, title=name, **about)
    scores = dict(
        zip(KEPT_SCORES, (result.psnr, result.before, result.bicubic), strict=True)
    )
    origin = result.model.provenance
    zoo.record_import(
        name,
        result.model.config,
        scores={key: v for key, v in scores.items() if math.isfinite(v)},
        title=name,
        licence=origin.licence,
        credit=origin.credit,
        source=origin.source,
    )


def iter_blend(
    outcome: FinetuneOutcome, share: float
) -> Generator[Any, Any, TrainResult]:
    """Mix the weights before and after, and measure the mixture; the job of a worker.

    Returns
    -------
    TrainResult
        That of the run with the mixed network and its PSNR.
    """
    with computing("Measuring a blend"):
        yield None
        from napari_edsr.device import resolve_device
        from napari_edsr.held_out import iter_psnr
        from napari_edsr.transfer import blended, starting_network

        config, result = outcome.request.config, outcome.result
        device = resolve_device(config.device)
        network = blended(starting_network(config), result.model, share)
        psnr = yield from iter_psnr(result.kept, network.to(device), device)
        return replace(result, model=network.cpu(), psnr=psnr)


def iter_keep(
    outcome: FinetuneOutcome, mixed: TrainResult, share: float
) -> Generator[None, None, str]:
    """Make a mixture of weights a model of the zoo; the job of a worker.

    Returns
    -------
    str
        What it is called.
    """
    yield
    config = outcome.request.config
    name = zoo.free_name(f"{config.name}-{round(100 * share)}")
    register(mixed, config, name, blend=f"{share:g}")
    return name


def iter_save(outcome: FinetuneOutcome, path: str) -> Generator[None, None, str]:
    """Write the new model to a file; the job of a worker."""
    yield
    from napari_edsr.train_result import save_trained

    config = outcome.request.config
    save_trained(outcome.result, config, Path(path), title=config.name)
    return path


@dataclass(frozen=True)
class Shown:
    """What the network will see of a layer, or of the first image of a folder.

    Attributes
    ----------
    name : str
    image : ndarray
        Low resolution, with noise, in the axes of the layer.
    scale : int
    is_rgb : bool
    part : LayerPart or None
        Of the layer.
    """

    name: str
    image: NDArray
    scale: int
    is_rgb: bool
    part: LayerPart | None


def iter_show(request: FinetuneRequest) -> Generator[Any, Any, list[Shown]]:
    """Make the low-resolution sides that will be learned from; the job of a worker."""
    yield None
    from napari_edsr.training_data import NO_IMAGE, iter_pairs, noisy

    config = request.config
    scale, n_colors = request.scale, _colours(config)
    parts = {lesson.hr.name: lesson.hr for lesson in request.lessons}
    shown = []
    for source in request.sources()[: max(1, len(request.lessons))]:
        pairs = yield from iter_pairs(
            [source],
            scales=[scale],
            n_colors=n_colors,
            degradation=config.degradation,
        )
        if pairs:
            made = noisy(pairs, config.degradation, config.seed)
            planes = {pair.place: pair.lr[scale] for pair in made}
            shown.append(
                Shown(
                    source.name,
                    assembled(planes),
                    scale,
                    is_rgb=len(made[0].hr) == 3,
                    part=parts.get(source.name),
                )
            )
    if not shown:
        raise TrainingError(NO_IMAGE)
    return shown


def _colours(config: TrainConfig) -> int:
    """Colours of the network to be trained."""
    from napari_edsr.checkpoints import load_model

    return (config.network or load_model(config.start).config).n_colors


def assembled(planes: Mapping[tuple[int, ...], NDArray]) -> NDArray:
    """Planes (C, H, W) at their places in one array: of one colour, or with S last."""
    first = next(iter(planes.values()))
    leading = np.max([*planes], axis=0).astype(int) + 1 if any(planes) else ()
    stack = np.zeros((*leading, *first.shape[1:], first.shape[0]), first.dtype)
    for place, plane in planes.items():
        stack[place] = np.moveaxis(plane, 0, -1)
    return stack[..., 0] if first.shape[0] == 1 else stack
