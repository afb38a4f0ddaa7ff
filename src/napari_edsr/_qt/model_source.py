"""Where models come from: downloads, and files that must first be recognised."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_edsr import zoo
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.models import ModelChoice, ModelChooser, iter_recognise
from napari_edsr._qt.worker import Job
from napari_edsr.events import BytesDone


class ModelSource(QObject):
    """Does what a model chooser asks for, in the background.

    Signals
    -------
    failed(Failure)
        A download or a file was no good.
    recognised(ModelChoice)
        A file holds this network.
    updated
        A download has ended.
    """

    failed = Signal(object)
    recognised = Signal(object)
    updated = Signal()

    def __init__(self, chooser: ModelChooser, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._chooser = chooser
        self._download: Job | None = None
        self._size = 1
        chooser.download_asked.connect(self.download)
        chooser.download_stop_asked.connect(self.stop)
        chooser.file_asked.connect(self.recognise)

    def download(self, name: str) -> None:
        """Fetch a model's weights; what arrives stays for the next attempt if stopped."""
        card = zoo.get_card(name)
        self._size = card.size
        job = self._download = Job(
            zoo.iter_download(card), f"Download of {card.name}", self
        )
        job.yielded.connect(self._on_bytes)
        job.failed.connect(self._on_failed)
        job.cancel_asked.connect(self.stop)
        job.ended.connect(self._on_ended)
        self._chooser.show_download(0.0)
        job.start()

    def stop(self) -> None:
        """Break off a download."""
        if self._download is not None:
            self._download.stop()

    def recognise(self, path: str) -> None:
        """Look into a weights file, and add it to the chooser if it is an EDSR."""
        job = self._reading(path)
        job.returned.connect(self._on_recognised)
        job.start()

    def restore(self, path: str) -> None:
        """Look into the file that was used the last time, unless another is chosen."""
        job = self._reading(path)
        job.returned.connect(self._on_restored)
        job.failed.connect(partial(self._chooser.forget_pending, path))
        job.start()

    def _reading(self, path: str) -> Job:
        title = f"Reading {Path(path).name}"
        job = Job(iter_recognise(path), title, self, is_cancelable=False)
        job.failed.connect(self._on_failed)
        job.ended.connect(job.deleteLater)
        return job

    def _on_bytes(self, event: BytesDone) -> None:
        total = event.total or self._size
        if self._download is not None:
            self._download.show_progress(min(event.done, total), total)
        self._chooser.show_download(min(1.0, event.done / total))

    def _on_recognised(self, choice: ModelChoice) -> None:
        self._chooser.add_file(choice)
        self.recognised.emit(choice)

    def _on_restored(self, choice: ModelChoice) -> None:
        if self._chooser.pending == choice.key:
            self._on_recognised(choice)

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(Failure.of(error, "Getting the model"))

    def _on_ended(self) -> None:
        job, self._download = self._download, None
        if job is not None:
            job.deleteLater()
        self._chooser.show_download(None)
        self.updated.emit()
