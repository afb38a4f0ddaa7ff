"""A folder's run as the dock sees it: its progress, what became of each image, the end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.failure import Failure
from napari_edsr._qt.folder.jobs import (
    DONE,
    FAILED,
    SKIPPED,
    FileOutcome,
    FolderProgress,
    FolderRequest,
    Survey,
    iter_folder,
    iter_survey,
)
from napari_edsr._qt.job_slot import JobSlot
from napari_edsr._qt.wording import clock, duration
from napari_edsr._qt.worker import Job

_TELLING = 0.02  # share of a run from which the time left can be told


class FolderSession(JobSlot):
    """Runs one folder at a time.

    Signals
    -------
    began(str), progressed(float, str)
        What is being done; share from 0 to 1 and the time left.
    file_ended(FileOutcome)
        In the order of the images.
    ended(str)
        All is over: what happened, in a line.
    """

    began = Signal(str)
    progressed = Signal(float, str)
    file_ended = Signal(object)
    ended = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._counts: Counter[str] = Counter()
        self._failures: list[FileOutcome] = []
        self._total = 0
        self._seconds: float | None = None

    def start(self, request: FolderRequest) -> None:
        """Begin; does nothing while another run goes on."""
        name = Path(request.source).name
        job = self.make(iter_folder(request), f"Upscaling the folder {name}")
        if job is None:
            return
        self._counts, self._failures = Counter(), []
        self._total, self._seconds = 0, None
        job.yielded.connect(self._on_event)
        job.returned.connect(self._on_returned)
        job.ended.connect(self._on_over)  # after the slot has let go of it
        self.began.emit(f"Looking through {name}…")
        job.start()

    def _on_event(self, event: object) -> None:
        if isinstance(event, FileOutcome):
            self._counts[event.status] += 1
            if event.status == FAILED:
                self._failures.append(event)
            self.file_ended.emit(event)
        elif isinstance(event, FolderProgress):
            self._total = event.total
            if self._job is not None:
                self._job.show_progress(event.share, 1)
            if not self.is_stopping:
                self.progressed.emit(event.share, _progress_text(event))

    @property
    def is_stopping(self) -> bool:
        """Whether the run will end after the part at work."""
        return self._job is not None and self._job.is_stopping

    def _on_returned(self, seconds: float) -> None:
        self._seconds = seconds

    def _on_over(self) -> None:
        if self._failures:
            self.failed.emit(self._failure())
        self.ended.emit(self._words())

    def _failure(self) -> Failure:
        first, count = self._failures[0], len(self._failures)
        what = f"{count} images" if count > 1 else "1 image"
        name = first.job.source.name
        why = first.said if name in first.said else f"{name}: {first.said}"
        lines = [f"{each.job.source}: {each.said}" for each in self._failures]
        return Failure(f"{what} could not be upscaled. {why}", "\n".join(lines))

    def _words(self) -> str:
        done, skipped = self._counts[DONE], self._counts[SKIPPED]
        if self._seconds is None and not self._total:
            return ""  # the error says it, or nothing was begun
        if self._seconds is None:
            return f"Stopped. {done} of {self._total} images are done, and kept."
        if not done and not self._failures:
            return f"All {skipped} results were there already."
        parts = [f"{done} of {self._total} images done in {duration(self._seconds)}"]
        parts += [f"{skipped} were there already"] * bool(skipped)
        return ", ".join(parts) + "."


def _progress_text(progress: FolderProgress) -> str:
    left = "?"
    if progress.share > _TELLING:
        left = clock(progress.seconds * (1 - progress.share) / progress.share)
    place = f"image {progress.number} of {progress.total}"
    return f"{progress.share:.0%}, {left} left – {place}"


class FolderScout(QObject):
    """Looks into a folder in the background; of several questions the last counts.

    Signals
    -------
    found(Survey)
    failed(str)
        Why nothing can be done with the folder.
    """

    found = Signal(object)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._next: FolderRequest | None = None

    def look(self, request: FolderRequest) -> None:
        """Ask; the answer comes by a signal."""
        if self._job is not None:
            self._next = request
            self._job.stop()
            return
        self._job = job = Job(iter_survey(request), parent=self)
        job.returned.connect(self._on_survey)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        job.start()

    def stop(self) -> None:
        """Forget what was asked."""
        self._next = None
        if self._job is not None:
            self._job.stop()

    def _on_survey(self, survey: Survey) -> None:
        if self._next is None:
            self.found.emit(survey)

    def _on_failed(self, error: Exception) -> None:
        if self._next is None:
            self.failed.emit(Failure.of(error, "Looking into the folder").message)

    def _on_ended(self) -> None:
        job, self._job = self._job, None
        request, self._next = self._next, None
        if job is not None:
            job.deleteLater()
        if request is not None:
            self.look(request)
