"""A run as the viewer sees it: the picture that gets better, progress, and the end."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.failure import Failure
from napari_edsr._qt.finetune.kept_layers import KeptLayers
from napari_edsr._qt.finetune.requests import (
    DivergedError,
    FinetuneOutcome,
    FinetuneRequest,
    iter_finetune,
)
from napari_edsr._qt.news import model_news
from napari_edsr._qt.wording import clock
from napari_edsr._qt.worker import Job
from napari_edsr.events import (
    ImageDone,
    ImageMeasured,
    StepDone,
    TrainPlanned,
    Validated,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Stopwatch:
    """Seconds of work, without those of pauses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent = 0.0
        self._since: float | None = None

    def run(self) -> None:
        """Go on."""
        if self._since is None:
            self._since = self._clock()

    def rest(self) -> None:
        """Stand still."""
        self._spent, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        """How long it ran."""
        running = self._clock() - self._since if self._since is not None else 0.0
        return self._spent + running


class FinetuneSession(QObject):
    """Runs a request and shows how the network gets better.

    Signals
    -------
    began(str), progressed(float, str)
        What is being done; share from 0 to 1 and the time left.
    planned(TrainPlanned), stepped(StepDone), validated(Validated)
        As the trainer yields them.
    warned(str)
        The run goes on, but the user should know.
    failed(Failure)
        It went wrong; `ended` follows.
    ended(FinetuneOutcome or None)
        All is over; with the last result, or None.
    """

    began = Signal(str)
    progressed = Signal(float, str)
    planned = Signal(object)
    stepped = Signal(object)
    validated = Signal(object)
    warned = Signal(str)
    failed = Signal(object)
    ended = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.kept = KeptLayers(viewer)
        self.outcome: FinetuneOutcome | None = None
        self.request: FinetuneRequest | None = None
        self._job: Job | None = None
        self._watch = Stopwatch()
        self._first_step = 0
        self._beginning: FinetuneRequest | None = None
        self._is_planned = self._is_ending = False

    @property
    def is_running(self) -> bool:
        """Whether a run is under way, be it paused."""
        return self._job is not None

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for `pause(False)`."""
        return self._job is not None and self._job.is_paused

    @property
    def resumable(self) -> str:
        """Name of the last run, if it was stopped before all its steps were done."""
        if self.is_running or self.request is None or not self.request.folder.is_dir():
            return ""
        return self.request.config.name

    @property
    def continued(self) -> FinetuneRequest | None:
        """To go on with the last run, whose model takes the place of its earlier one."""
        if self.request is None:
            return None
        made = self.outcome is not None and self.outcome.registered
        replaces = made or self.request.replaces
        return replace(self.request, resumes=True, replaces=replaces)

    def start(self, request: FinetuneRequest) -> None:
        """Begin; does nothing while a run goes on."""
        if self.is_running:
            return
        self._beginning, self._is_ending, self._is_planned = request, False, False
        self._watch = Stopwatch()
        title = f"Fine-tuning {request.config.name}"
        job = self._job = Job(iter_finetune(request), title, self)
        job.yielded.connect(self._on_event)
        job.returned.connect(self._on_outcome)
        job.failed.connect(self._on_failed)
        job.warned.connect(self.warned)
        job.cancel_asked.connect(self.finish)
        job.ended.connect(self._on_ended)
        self.began.emit("Preparing the images…")
        job.start()

    def pause(self, paused: bool) -> None:
        """Wait after the step at work, or go on."""
        if self._job is not None:
            self._job.pause(paused)
            if paused:
                self._watch.rest()

    def finish(self) -> None:
        """End after the step at work, and keep the best weights; before the first, none."""
        if self._job is None:
            return
        self._is_ending = True
        if self._is_planned:
            self._job.send(True)
            self._job.pause(False)
        else:
            self._job.stop()

    def _on_event(self, event: object) -> None:
        if self._beginning is not None:
            self._take_over(self._beginning)
        if isinstance(event, ImageMeasured):
            self.kept.show(event)
        if isinstance(event, ImageDone):
            self._on_image(event)
        elif isinstance(event, TrainPlanned):
            self._on_planned(event)
        elif isinstance(event, StepDone):
            self._on_step(event)
        elif isinstance(event, Validated):
            self.validated.emit(event)

    def _take_over(self, request: FinetuneRequest) -> None:
        """Forget the run before, now that this one could begin."""
        before, self._beginning = self.request, None
        self.request, self.outcome = request, None
        if before is not None and before.folder != request.folder:
            shutil.rmtree(before.folder, ignore_errors=True)
        self.kept.begin(request.lessons, resumes=request.resumes)

    def _on_image(self, event: ImageDone) -> None:
        if not self._watch.seconds and not self._is_ending:
            text = f"Preparing and measuring: image {event.image} of {event.images}"
            self.began.emit(text)

    def _on_planned(self, event: TrainPlanned) -> None:
        self._first_step, self._is_planned = event.step, True
        self.kept.trained()
        self._watch.run()
        self.planned.emit(event)

    def _on_step(self, event: StepDone) -> None:
        if not self.is_paused:
            self._watch.run()
        if self._job is not None:
            self._job.show_progress(event.done, event.total)
        self.stepped.emit(event)
        if not (self._is_ending or self.is_paused):
            share = event.done / event.total
            self.progressed.emit(share, f"{share:.0%}, {self._left(event)} left")

    def _left(self, event: StepDone) -> str:
        done = event.done - self._first_step
        per_step = self._watch.seconds / done if done else math.nan
        return clock(per_step * (event.total - event.done)) if done else "?"

    def _on_outcome(self, outcome: FinetuneOutcome) -> None:
        self.outcome = outcome
        if outcome.registered:
            model_news().added.emit(outcome.request.config.name)

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, DivergedError):
            model_news().added.emit(error.name)
        self.failed.emit(Failure.of(error, "Fine-tuning"))

    def _on_ended(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.deleteLater()
        self._beginning = None
        self.ended.emit(self.outcome)
