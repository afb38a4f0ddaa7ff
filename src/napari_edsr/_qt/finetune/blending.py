"""Between before and after: a slider that mixes the weights, measures and shows them."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QLabeledSlider

from napari_edsr._qt.controls import Caption
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.finetune.requests import FinetuneOutcome, iter_blend, iter_keep
from napari_edsr._qt.news import model_news
from napari_edsr._qt.worker import Job

if TYPE_CHECKING:
    from napari_edsr.train_result import TrainResult

_SETTLES = 250  # milliseconds without a move of the slider before it is measured


class BlendSlider(QWidget):
    """A share of the fine-tuning, 0-100 %, and what it gives.

    Signals
    -------
    asked(float)
        The share to be measured, 0-1.
    kept
        The mixture is to become a model.
    """

    asked = Signal(float)
    kept = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slider = QLabeledSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Share of what was learned")
        self.slider.setRange(0, 100)
        self.slider.setToolTip(
            "Mixes the weights from before (0) with those from after (100): less of what "
            "was learned is often enough, and safer on other images."
        )
        self.keep = QPushButton("Keep &blend")
        self.keep.setToolTip(
            "Make a model of this mixture, beside the one that is there."
        )
        self.caption = Caption()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLES)
        self._lay_out()
        self.slider.valueChanged.connect(self._on_moved)
        self._timer.timeout.connect(self._ask)
        self.keep.clicked.connect(self.kept)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(QLabel("Before"))
        row.addWidget(self.slider, 1)
        row.addWidget(QLabel("After"))
        row.addWidget(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.caption)

    @property
    def share(self) -> float:
        """Of what was learned, 0-1."""
        return self.slider.value() / 100

    def begin(self) -> None:
        """Stand at what was learned, and offer nothing to be kept yet."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(100)
        self.stop()
        self.show_text("", can_keep=False)

    def stop(self) -> None:
        """Forget a move that was not asked about yet."""
        self._timer.stop()

    def show_text(self, text: str, *, can_keep: bool) -> None:
        """Say what the mixture gives."""
        self.caption.show_text(text)
        self.keep.setEnabled(can_keep)

    def _on_moved(self) -> None:
        self.keep.setEnabled(False)
        self._timer.start()

    def _ask(self) -> None:
        self.asked.emit(self.share)


class Blender(QObject):
    """Mixes and measures in the background, the latest share asked for.

    Signals
    -------
    measured(ImageMeasured)
        For the layers.
    said(str, bool)
        What the mixture gives, and whether it can be kept.
    failed(Failure)
    idle
        Nothing is being done any more.
    """

    measured = Signal(object)
    said = Signal(str, bool)
    failed = Signal(object)
    idle = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._outcome: FinetuneOutcome | None = None
        self._job: Job | None = None
        self._share = 1.0
        self._waiting: float | None = None
        self._mixed: TrainResult | None = None

    @property
    def is_running(self) -> bool:
        """Whether a mixture is being measured or kept."""
        return self._job is not None

    def begin(self, outcome: FinetuneOutcome | None) -> None:
        """Mix what this run gave from now on; None for nothing at all."""
        self.stop()
        self._outcome, self._mixed = outcome, None

    def stop(self) -> None:
        """Break off what is being done."""
        self._waiting = None
        if self._job is not None:
            self._job.stop()

    def mix(self, share: float) -> None:
        """Measure a share; while another is being measured, after it."""
        if self._outcome is None:
            return
        if self._job is not None:
            self._job.stop()
            self._waiting = share
            return
        self._share, self._mixed = share, None
        self.said.emit("Measuring the blend…", False)
        job = self._begin(iter_blend(self._outcome, share), "Measuring the blend")
        job.yielded.connect(self._on_event)
        job.returned.connect(self._on_mixed)
        job.start()

    def keep(self) -> None:
        """Make the mixture a model of the zoo."""
        if self._outcome is None or self._mixed is None or self._job is not None:
            return
        keeping = iter_keep(self._outcome, self._mixed, self._share)
        job = self._begin(keeping, "Keeping the blend")
        job.returned.connect(self._on_kept)
        job.start()

    def _begin(self, generator: Generator[Any, Any, Any], doing: str) -> Job:
        job = self._job = Job(generator, "", self)
        job.failed.connect(lambda error: self.failed.emit(Failure.of(error, doing)))
        job.ended.connect(self._on_ended)
        return job

    def _on_event(self, event: object) -> None:
        if self._job is not None and not self._job.is_stopping:
            self.measured.emit(event)

    def _on_mixed(self, mixed: TrainResult) -> None:
        self._mixed = mixed
        measured = "" if math.isnan(mixed.psnr) else f": {mixed.psnr:.2f} dB"
        text = f"{self._share:.0%} of what was learned{measured}"
        self.said.emit(text, 0 < self._share < 1)

    def _on_kept(self, name: str) -> None:
        self.said.emit(f"Kept as {name}.", False)
        model_news().added.emit(name)

    def _on_ended(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.deleteLater()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.mix(waiting)
        else:
            self.idle.emit()
