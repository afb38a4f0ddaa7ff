"""The queue of requests: one after the other, in a thread, stoppable within a tile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.requests import Placeholder, UpscaleRequest, iter_request
from napari_edsr._qt.worker import Job
from napari_edsr.events import PassDone, TileDone, UpscalePlanned


class UpscaleRunner(QObject):
    """Works through requests and says on the main thread how far it is.

    For each request the signals come in the order `began`, `placeholder`, `planned`,
    `tile_done` ..., then one of `finished`, `failed` and `stopped`; `idle` ends a queue.
    """

    began = Signal(object)
    placeholder = Signal(object, object)
    planned = Signal(object, object)
    tile_done = Signal(object, object)
    advanced = Signal(object, object)
    finished = Signal(object, object)
    failed = Signal(object, object)
    stopped = Signal(object)
    warned = Signal(str)
    idle = Signal()

    def __init__(
        self,
        parent: QObject | None = None,
        make_job: Callable[[UpscaleRequest], Any] = iter_request,
    ) -> None:
        super().__init__(parent)
        self._make_job = make_job
        self._queue: deque[UpscaleRequest] = deque()
        self._request: UpscaleRequest | None = None
        self._job: Job | None = None

    @property
    def is_running(self) -> bool:
        """Whether a request is being worked on."""
        return self._job is not None

    @property
    def is_stopping(self) -> bool:
        """Whether the current request will end after its tile."""
        return self._job is not None and self._job.is_stopping

    @property
    def waiting(self) -> int:
        """Requests that have not begun."""
        return len(self._queue)

    def run(self, requests: Iterable[UpscaleRequest]) -> None:
        """Add requests to the queue, and begin unless it is at work already."""
        self._queue.extend(requests)
        if not self.is_running:
            self._next()

    def stop(self) -> None:
        """Forget what has not begun, and end the current request after its tile."""
        self._queue.clear()
        self.skip()

    def skip(self) -> None:
        """End the current request after its tile, and go on to the next."""
        if self._job is not None:
            self._job.stop()

    def _next(self) -> None:
        if not self._queue:
            self.idle.emit()
            return
        request = self._request = self._queue.popleft()
        title = f"{'Preview' if request.preview else 'Upscaling'} of {request.source}"
        job = self._job = Job(self._make_job(request), title, self)
        job.yielded.connect(self._on_event)
        job.returned.connect(self._on_result)
        job.failed.connect(self._on_error)
        job.stopped.connect(self._on_stopped)
        job.warned.connect(self.warned)
        job.cancel_asked.connect(self.stop)
        job.ended.connect(self._on_end)
        self.began.emit(request)
        job.start()

    def _on_event(self, event: object) -> None:
        if isinstance(event, Placeholder):
            self.placeholder.emit(self._request, event.image)
        elif isinstance(event, UpscalePlanned):
            self.planned.emit(self._request, event)
        elif isinstance(event, TileDone | PassDone):
            if isinstance(event, TileDone):
                self.tile_done.emit(self._request, event)
            if self._job is not None:
                self._job.show_progress(event.done, event.total)
            self.advanced.emit(self._request, event)

    def _on_result(self, result: object) -> None:
        self.finished.emit(self._request, result)

    def _on_error(self, error: Exception) -> None:
        self.failed.emit(self._request, error)

    def _on_stopped(self) -> None:
        self.stopped.emit(self._request)

    def _on_end(self) -> None:
        job, self._job, self._request = self._job, None, None
        if job is not None:
            job.deleteLater()
        self._next()
