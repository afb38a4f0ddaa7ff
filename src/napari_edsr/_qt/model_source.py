"""Where models come from: downloads, and files that must first be recognised."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_edsr import zoo
from napari_edsr._qt.models import ModelChoice, ModelChooser, iter_recognise
from napari_edsr._qt.session import Failure
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
    """

    failed = Signal(object)
    recognised = Signal(object)

    def __init__(self, chooser: ModelChooser, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._chooser = chooser
        self._download: Job | None = None
        self._size = 1
        self._restoring = ""
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
        job = Job(iter_recognise(path), f"Reading {Path(path).name}", self)
        job.returned.connect(self._on_recognised)
        job.failed.connect(self._on_unreadable)
        job.ended.connect(job.deleteLater)
        job.start()

    def _on_bytes(self, event: BytesDone) -> None:
        total = event.total or self._size
        if self._download is not None:
            self._download.show_progress(min(event.done, total), total)
        self._chooser.show_download(min(1.0, event.done / total))

    def restore(self, path: str) -> None:
        """Look into the file that was used the last time, unless another is chosen."""
        self._restoring = path
        self.recognise(path)

    def _on_recognised(self, choice: ModelChoice) -> None:
        restoring, self._restoring = self._restoring == choice.key, ""
        if restoring and self._chooser.pending != choice.key:
            return
        self._chooser.add_file(choice)
        self.recognised.emit(choice)

    def _on_unreadable(self, error: Exception) -> None:
        self._chooser.forget_pending()
        self._on_failed(error)

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(Failure.of(error, "Getting the model"))

    def _on_ended(self) -> None:
        job, self._download = self._download, None
        if job is not None:
            job.deleteLater()
        self._chooser.show_download(None)
        self._chooser.changed.emit()
