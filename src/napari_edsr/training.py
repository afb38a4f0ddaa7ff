"""Training and fine-tuning: one generator for the command line, the docks and a cluster."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_edsr.atomic import make_folder
from napari_edsr.device import exact_fp32, has_fast_bf16, loss_named, release_memory
from napari_edsr.errors import ModelError, TrainingError
from napari_edsr.events import (
    ImageDone,
    StepDone,
    TrainPlanned,
    Validated,
    drain,
)
from napari_edsr.held_out import bicubic_psnr, can_tell, iter_psnr
from napari_edsr.model import EDSR, MDSR, upscale_batch
from napari_edsr.patches import Batch, Patches
from napari_edsr.team import Team, assemble
from napari_edsr.train_config import TrainConfig
from napari_edsr.train_result import TrainResult
from napari_edsr.train_state import TrainState, alone_in, origin
from napari_edsr.training_data import NO_IMAGE, Pair, Source, iter_pairs, noisy
from napari_edsr.transfer import starting_network

TrainEvent = ImageDone | TrainPlanned | StepDone | Validated
#: A true value sent into the generator ends it early, with the best weights so far.
Training = Generator[TrainEvent, bool | None, TrainResult]

STATE_NAME = "state.safetensors"
_NOTHING_ASIDE = (
    "Nothing is kept aside, so nothing is measured; the last weights are kept."
)
_UNTOLD = (
    "What is kept aside is of one intensity or too small, so nothing is measured and the "
    "last weights are kept; name a window with structure, or validation images."
)
_LOWER = "lower the learning rate, or check the images and the starting model."
_PATIENCE = 20  # steps in a row whose gradients are not finite


def iter_train(
    config: TrainConfig,
    sources: Sequence[Source],
    validation: Sequence[Source] = (),
    *,
    folder: Path | None = None,
    seconds: float | None = None,
) -> Training:
    """Train a network, L1 and Adam as published; closing the generator cancels.

    A run with a folder goes on where an earlier one was left, exactly: batches follow
    from the seed and the step. Processes that torchrun starts share each batch, and
    train what a single one would; only the first reads and writes the folder.

    Parameters
    ----------
    config : TrainConfig
    sources : sequence of Source
        Images to learn from.
    validation : sequence of Source
        Images to measure on; without any, what `sources` keep aside.
    folder : Path, optional
        Where the state is kept, at each measurement and at the end.
    seconds : float, optional
        Stop, as if asked to, after this time.

    Yields
    ------
    ImageDone
        While images are prepared or measured.
    TrainPlanned
        Before the first step.
    StepDone, Validated
        A true value sent in return ends the run with the best weights.

    Returns
    -------
    TrainResult

    Raises
    ------
    TrainingError
        If there is nothing to train on, gradients stay non-finite, or the folder is
        that of another run.
    CheckpointError, DeviceError, ImageError, ModelError
        If the starting model, the device or an image cannot be used.

    References
    ----------
    Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
    CVPR Workshops 2017, section 4.
    """
    network = starting_network(config)
    multi_scale = network.config.multi_scale
    with (
        assemble(config.device, has_branches=multi_scale) as team,
        loss_named(team.device),
        alone_in(folder) if folder and team.rank == 0 else contextlib.nullcontext(),
    ):
        pairs, kept = yield from _iter_data(config, network, sources, validation)
        is_aside = bool(validation) or any(pair.kept for pair in pairs)
        network = network.to(team.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        run = _Run(config, network, pairs, kept, folder, team, is_aside)
        try:
            yield from run.begin()
            yield from run.steps(math.inf if seconds is None else seconds)
            return _result(run.state, kept)
        finally:
            run.save()
            del run, network
            release_memory(team.device)


def train(
    config: TrainConfig, sources: Sequence[Source], **options: Any
) -> TrainResult:
    """Run `iter_train` to its end and return its result."""
    return drain(iter_train(config, sources, **options))


def broken_off(config: TrainConfig, folder: Path) -> TrainResult | None:
    """What a run had reached whose generator was closed; None if nothing was measured.

    Raises
    ------
    CheckpointError, TrainingError
        If the state in the folder is damaged, or that of another run.
    """
    if not (folder / STATE_NAME).exists():
        return None
    state = TrainState(config, starting_network(config), {})
    state.restore(*state.read(folder / STATE_NAME))
    return _result(state, ()) if state.progress.history else None


def _iter_data(
    config: TrainConfig,
    network: EDSR | MDSR,
    sources: Sequence[Source],
    validation: Sequence[Source],
) -> Generator[ImageDone, Any, tuple[list[Pair], list[Pair]]]:
    """Pairs to train on, and those to measure on, which have their noise."""
    shape = network.config
    prepare = partial(
        iter_pairs,
        scales=shape.scales,
        n_colors=shape.n_colors,
        degradation=config.degradation,
    )
    pairs = yield from prepare(sources)
    if all(pair.is_flat for pair in pairs):
        raise TrainingError(NO_IMAGE)
    measured = yield from prepare(validation)
    if not measured:
        asides = [pair.aside(scale) for pair in pairs for scale in shape.scales]
        measured = [pair for pair in asides if pair is not None]
    told = [pair for pair in measured if can_tell(pair)]
    return pairs, noisy(told, config.degradation, config.seed)


class _Run:
    """The steps of a run, its measurements, and its state on disk."""

    def __init__(
        self,
        config: TrainConfig,
        network: EDSR | MDSR,
        pairs: Sequence[Pair],
        kept: Sequence[Pair],
        folder: Path | None,
        team: Team,
        is_aside: bool,
    ) -> None:
        self.config = config
        self.team = team
        self.device = team.device
        self.precision = _precision(config.precision, self.device)
        began = origin(network, [*pairs, *kept]) if folder is not None else {}
        self.state = TrainState(config, network, began)
        self.kept = kept
        self._is_aside = is_aside  # though there may be nothing to see in it
        self.patches = Patches(
            pairs,
            network.config.scales,
            config.patch,
            config.batch,
            config.degradation,
            config.seed,
            self.device,
        )
        self.path = folder / STATE_NAME if folder is not None else None
        self._forward = (
            torch.compile(upscale_batch) if config.compile else upscale_batch
        )
        self._trained = team.wrapped(network, self.state.optimizer)
        self._failed_in_a_row = 0
        self._saved_at = 0
        self._is_whole = True

    @property
    def progress(self) -> Any:
        return self.state.progress

    def begin(self) -> Generator[TrainEvent, Any, None]:
        """Go on from the saved state, or measure what there is before the first step."""
        if self.path is not None and self.team.rank == 0:
            _sweep(self.path.parent)
        if self.team.agreed(self.path is not None and self.path.exists()):
            self._resume()
        elif self.kept:
            self.progress.bicubic = bicubic_psnr(self.kept)
            self.progress.before = yield from self._iter_psnr()
            self.state.keep_best(self.progress.before)
        yield TrainPlanned(
            step=self.progress.step,
            steps=self.config.steps,
            device=str(self.device),
            precision=self.precision,
            bicubic=self.progress.bicubic,
            before=self.progress.before,
            notes=tuple(self._notes()),
        )

    def _resume(self) -> None:
        """Go on from the first process's state: others may not see its folder."""
        saved: dict[str, Any] = {}
        progress = self.progress
        if self.path is not None and self.team.rank == 0:
            saved, progress = self.state.read(self.path)
        names = self.team.agreed(list(saved))  # one by one, for all may be gigabytes
        shared = {name: self.team.agreed(saved.get(name)) for name in names}
        self.state.restore(shared, self.team.agreed(progress))
        self._saved_at = self.progress.step

    def _notes(self) -> Iterator[str]:
        if self.patches.patch < self.config.patch:
            yield (
                f"Patches are {self.patches.patch} px instead of {self.config.patch}: "
                "no image is larger."
            )
        if not self.kept:
            yield _UNTOLD if self._is_aside else _NOTHING_ASIDE

    def steps(self, seconds: float) -> Generator[TrainEvent, bool | None, None]:
        """Step until all are done, time is up or someone asks to end."""
        ends = time.monotonic() + seconds
        asked = False
        if self._is_due():  # where an earlier sitting was broken off before measuring
            asked = bool((yield from self._iter_validate()))
        while not self.team.agreed(asked) and self.progress.step < self.config.steps:
            asked = bool((yield self._next_step()))
            if self._is_due():
                asked = bool((yield from self._iter_validate())) or asked
            asked = asked or time.monotonic() > ends
        if not self._is_measured():
            yield from self._iter_validate()

    def _is_due(self) -> bool:
        step, config = self.progress.step, self.config
        due = step % config.validate_every == 0 or step == config.steps
        return due and not self._is_measured()

    def _is_measured(self) -> bool:
        """Whether nothing was learnt since the last measurement."""
        measured = [step for step, _, _ in self.progress.history[-1:]]
        return self.progress.step in (0, *measured)

    def _next_step(self) -> StepDone:
        """Do a step, and count it."""
        step, config = self.progress.step, self.config
        own = self.team.part(config.batch)
        loss, rate = self._step(self.patches.draw(step, own), step)
        self.progress.step += 1
        self._is_whole = True
        return StepDone(step + 1, config.steps, loss, rate, self.progress.skipped)

    def _step(self, batch: Batch, step: int) -> tuple[float, float]:
        """One optimiser step: loss and learning rate."""
        rate = self.config.learning_rate(step)
        network, optimizer = self.state.network, self.state.optimizer
        for group in optimizer.param_groups:
            group["lr"] = rate
        with self._arithmetic():
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.precision == "bf16"
            ):
                output = self._forward(self._trained, batch.lr, batch.scale)
                loss = nn.functional.l1_loss(output.float(), batch.hr)
            loss.backward()  # type: ignore[no-untyped-call]
            limit = self.config.clip or math.inf
            norm = nn.utils.clip_grad_norm_(network.parameters(), limit)
            value = float(self.team.mean(loss.detach()))
            if math.isfinite(value) and bool(torch.isfinite(norm)):
                self._accept(value)
            else:
                self._skip()
        return value, rate

    def _accept(self, loss: float) -> None:
        self._is_whole = False  # until the step is counted: Ctrl-C may come anywhere
        self.state.optimizer.step()
        if self.state.average is not None:
            self.state.average.update_parameters(self.state.network)
        self.progress.loss_sum += loss
        self.progress.losses += 1
        self._failed_in_a_row = 0

    def _skip(self) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _PATIENCE:
            raise TrainingError(
                f"The gradients were not finite {_PATIENCE} times in a row at step "
                f"{self.progress.step}; {_LOWER}"
            )
        self._is_whole = False  # nor is this step counted until it is done
        self.progress.skipped += 1

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Exact fp32 and, if asked for, deterministic kernels: here and not globally."""
        before = torch.are_deterministic_algorithms_enabled()
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        guard = (
            exact_fp32(self.device)
            if self.precision == "fp32"
            else contextlib.nullcontext()
        )
        if self.config.deterministic:
            torch.use_deterministic_algorithms(True)
        try:
            with guard:
                yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warns)

    def _iter_validate(self) -> Generator[TrainEvent, bool | None, bool | None]:
        """Measure, keep the weights if they are the best, and save the state."""
        progress = self.progress
        try:
            found = yield from self._iter_psnr()
        except ModelError as error:  # the network that it started as gave numbers
            raise TrainingError(
                "The network gave values that are not finite when it was measured at "
                f"step {progress.step}; {_LOWER}"
            ) from error
        loss = progress.loss_sum / progress.losses if progress.losses else math.nan
        self._is_whole = False
        if not self.kept or found > progress.best:
            self.state.keep_best(found)
        progress.history.append((progress.step, found, loss))
        progress.loss_sum, progress.losses = 0.0, 0
        self._is_whole = True
        self._saved_at = 0  # what was measured is new, even if the step is not
        self.save()
        return (yield Validated(progress.step, found, progress.best, loss))

    def _iter_psnr(self) -> Generator[ImageDone, Any, float]:
        return iter_psnr(self.kept, self.state.measured, self.device)

    def save(self) -> None:
        """Save the state, unless that has just been done."""
        new = self._is_whole and self._saved_at != self.progress.step
        if self.path is not None and new and self.team.rank == 0:
            make_folder(self.path.parent)
            self.state.save(self.path)
            self._saved_at = self.progress.step


def _result(state: TrainState, kept: Sequence[Pair]) -> TrainResult:
    """The best network on the CPU, and what is known of it."""
    model = state.measured
    model.load_state_dict(state.best)
    progress = state.progress
    return TrainResult(
        model=model.cpu().eval().requires_grad_(False),
        psnr=progress.best if progress.best > -math.inf else math.nan,
        before=progress.before,
        bicubic=progress.bicubic,
        reached=max((psnr for _, psnr, _ in progress.history), default=math.nan),
        best_step=progress.best_step,
        step=progress.step,
        skipped=progress.skipped,
        finished=progress.step >= state.config.steps,
        kept=kept,
    )


def _sweep(folder: Path) -> None:
    """Take away what was half written when an earlier sitting was killed."""
    for partial_file in folder.glob(f".*.partial{Path(STATE_NAME).suffix}"):
        partial_file.unlink(missing_ok=True)


def _precision(precision: str, device: torch.device) -> str:
    """bf16 where the device computes it faster than fp32, see `TrainConfig`."""
    if precision == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    if precision not in ("fp32", "bf16"):
        raise TrainingError(f"Training runs in fp32 or bf16, not {precision!r}.")
    return precision
