"""Runs what the Evaluate dock asks for, one job at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.job_slot import JobSlot
from napari_edsr.events import ImageDone


class EvaluateSession(JobSlot):
    """One job at a time, with progress; the newest measurement wins.

    Signals
    -------
    progressed(float, str)
        Share from 0 to 1, and in words.
    stopped
        A job was broken off.
    """

    progressed = Signal(float, str)
    stopped = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._next: Callable[[], object] | None = None
        self.changed.connect(self._on_changed)

    def run(
        self,
        generator: Generator[Any, None, Any],
        doing: str,
        on_result: Callable[[Any], object],
    ) -> bool:
        """Begin a job; False while another is at work.

        Parameters
        ----------
        generator : generator
            Yields events with ``image`` and ``images``, or ``done`` and ``total``.
        doing : str
            What it does, such as ``"Measuring"``.
        on_result : callable
            Called with what it returns.
        """
        job = self.make(generator, doing)
        if job is None:
            return False
        job.yielded.connect(self._on_event)
        job.returned.connect(on_result)
        job.stopped.connect(self.stopped)
        job.start()
        return True

    def run_instead(self, start: Callable[[], object]) -> None:
        """Call `start` now, or as soon as the job at work was broken off."""
        if self.is_running:
            self._next = start
            self.stop()
        else:
            start()

    def stop_all(self) -> None:
        """Break off what is being done, and forget what was to come."""
        self._next = None
        self.stop()

    def _on_changed(self) -> None:
        if not self.is_running and self._next is not None:
            start, self._next = self._next, None
            start()

    def _on_event(self, event: Any) -> None:
        if isinstance(event, ImageDone):
            done, total = float(event.image), event.images
        elif hasattr(event, "done"):
            done, total = float(event.done), event.total
        else:
            return
        if self._job is not None and not self._job.is_stopping:
            self._job.show_progress(done, total)
            self.progressed.emit(done / total, f"{self._doing}: {done / total:.0%}")
