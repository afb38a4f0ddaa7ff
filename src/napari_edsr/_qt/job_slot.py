"""Room for one small job: another has to wait until it is over."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.failure import Failure
from napari_edsr._qt.worker import Job


class JobSlot(QObject):
    """One job at a time, in the background.

    Signals
    -------
    changed
        A job began or ended.
    failed(Failure)
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._doing = ""

    @property
    def is_running(self) -> bool:
        """Whether something is being done."""
        return self._job is not None

    def make(self, generator: Generator[Any, Any, Any], doing: str) -> Job | None:
        """A job whose end is taken care of, to be started; None while another runs."""
        if self._job is not None:
            return None
        self._doing = doing
        self._job = job = Job(generator, doing, self)
        job.failed.connect(self._on_failed)
        job.warned.connect(show_warning)
        job.cancel_asked.connect(job.stop)
        job.ended.connect(self._on_ended)
        self.changed.emit()
        return job

    def stop(self) -> None:
        """Break off what is being done."""
        if self._job is not None:
            self._job.stop()

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(Failure.of(error, self._doing))

    def _on_ended(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.deleteLater()
        self.changed.emit()
