"""Long jobs in a thread: what napari's workers leave out, in one place.

A job is a generator: what it yields is progress, closing it cancels, what it returns
is the result. `Job` runs one in napari's thread pool and answers on the main thread.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_edsr._qt.activity import ActivityBar, CancelableActivityBar
from napari_edsr._qt.garbage import old_objects
from napari_edsr._qt.turns import turns
from napari_edsr.errors import EDSRError, EDSRWarning

_log = logging.getLogger(__name__)
#: Milliseconds between two updates of the activity dock; each one runs the event loop.
_ACTIVITY_INTERVAL = 150
#: Milliseconds until a job shows there and begins. Napari makes its bar in a tenth of a
#: second, but in a third beside a job, or in one turn with what a dock changes then.
_START_DELAY = 50
#: Events of a job that the main thread may be behind. Each holds what it tells of, a
#: tile's pixels for one; a job that yields faster than Qt delivers would fill memory.
_EVENTS_AHEAD = 64
_ABORT_POLL = 0.05  # seconds
#: Milliseconds after an awaited event in which nothing else computes: until what it
#: changed has been painted, which comes in several turns of the event loop.
_PAINTING = 200
#: By which a job's threads give way to the window's on Linux, where a job on the CPU
#: takes all cores and the window would stand still for a tenth of a second at a time.
_NICENESS = 5


class Awaited:
    """Of this kind is an event that the main thread deals with before its job goes on.

    Showing a new layer takes half a second with all cores, and far longer beside a job.
    """


class JobFailedError(EDSRError):
    """A job ended with an error of a kind that napari's workers would swallow."""


def follow(
    job: Generator[Any, Any, Any], wait_after: Callable[[object], None]
) -> Generator[Any, Any, Any]:
    """Be the generator function that napari's workers insist on."""
    message = None
    while True:
        try:
            event = job.send(message)
        except StopIteration as end:
            return end.value
        message = yield event
        wait_after(event)


def give_way() -> None:
    """Let threads with windows go before this one, and before those that it starts.

    Of Linux's threads each has a priority, which cannot be raised again: the thread
    keeps it until Qt's pool ends it, half a minute after its last job.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(own, _NICENESS))


class JobWorker(GeneratorWorker):
    """A worker that reports every error, closes its generator, and waits for Qt.

    napari's own swallows each ``RuntimeError`` (out of memory is one) without ending,
    leaves a stopped generator open until garbage collection, and posts without limit.
    """

    def __init__(
        self, func: Callable[..., Any], job: Generator[Any, None, Any]
    ) -> None:
        super().__init__(func, job, self._wait_after)
        self._job = job
        self._ahead = 0
        self._news = threading.Condition()

    def work(self) -> Any:
        """Run the generator; called in the thread by Qt."""
        give_way()
        try:
            with old_objects.spared(), turns.kept_short():
                result = super().work()
        except (SystemExit, KeyboardInterrupt) as error:  # nobody would be told
            raise JobFailedError(_first_line(error)) from error
        finally:
            self._job.close()
        if isinstance(result, RuntimeError):
            raise JobFailedError(_first_line(result)) from result
        return result

    def _wait_after(self, event: object) -> None:
        """Return once few enough events wait for the main thread, or it asks to stop."""
        most = 0 if isinstance(event, Awaited) else _EVENTS_AHEAD - 1
        with self._news:
            self._ahead += 1
            while self._ahead > most and not self.abort_requested:
                self._news.wait(_ABORT_POLL)

    def note_dealt_with(self) -> None:
        """Called on the main thread for each event that it has dealt with."""
        with self._news:
            self._ahead -= 1
            self._news.notify()


# A script that closes its viewer without an event loop must not end under a worker.
atexit.register(JobWorker.await_workers)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def _make_worker(job: Generator[Any, None, Any], *, is_task: bool) -> JobWorker:
    """A worker; of tasks napari knows, and asks before the viewer is closed on them."""
    if not is_task:
        return JobWorker(follow, job)
    worker: JobWorker = create_worker(
        follow, job, _worker_class=JobWorker, _ignore_errors=True, _start_thread=False
    )
    # With PySide6 napari's note that it failed is an error itself, and that it ended
    # follows at once. Without a viewer there is none, and nothing to disconnect.
    worker.errored.connect(worker.quit)
    worker.errored.disconnect()
    return worker


class Job(QObject):
    """A generator running in a thread; all of its signals arrive on the main thread.

    Parameters
    ----------
    job : generator
        Yields progress and returns the result; closed however the run ends.
    description : str
        What the activity dock calls it; empty for a job that does not show there.
    parent : QObject, optional
        With it the job is stopped when the parent is destroyed.
    is_cancelable : bool, optional
        Whether the activity dock has a button for `cancel_asked`.
    """

    yielded = Signal(object)
    returned = Signal(object)
    failed = Signal(object)
    stopped = Signal()
    ended = Signal()
    warned = Signal(str)
    cancel_asked = Signal()

    def __init__(
        self,
        job: Generator[Any, None, Any],
        description: str = "",
        parent: QObject | None = None,
        *,
        is_cancelable: bool = True,
    ) -> None:
        super().__init__(parent)
        self._is_cancelable = is_cancelable
        self._worker = _make_worker(job, is_task=bool(description))
        self._description = description
        self._bar: ActivityBar | None = None
        self._start_timer = self._timer(self._start_shown)
        self._share: tuple[float, int] = (0, 0)
        self._bar_timer = self._timer(self._update_bar)
        self._has_outcome = False
        self._is_under_way = False
        self._message: object = None
        self.is_paused = False
        self._connect()

    def _timer(self, on_timeout: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(on_timeout)
        return timer

    def _connect(self) -> None:
        worker = self._worker
        worker.yielded.connect(self._on_yielded)
        worker.paused.connect(self._on_rest)
        worker.resumed.connect(self._on_rest)
        worker.finished.connect(self._end)
        worker.warned.connect(self._on_warned)
        self.destroyed.connect(worker.quit)
        for inner, outer in (
            (worker.returned, self.returned),
            (worker.errored, self.failed),
            (worker.aborted, self.stopped),
        ):
            inner.connect(outer)
            outer.connect(self._note_outcome)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.stop)

    def _on_warned(self, arguments: tuple[Any, ...]) -> None:
        """Tell the user of our warnings; others are for developers."""
        message, category = arguments[:2]
        if issubclass(category, EDSRWarning):
            self.warned.emit(str(message))
        else:
            _log.warning("%s: %s", category.__name__, message)

    def _note_outcome(self) -> None:
        self._has_outcome = True

    def start(self) -> None:
        """Begin; the signals follow when the event loop runs."""
        if self._description:
            self._start_timer.start(_START_DELAY)
        else:
            self._worker.start()

    def _start_shown(self) -> None:
        self._bar = self._make_bar()
        self.destroyed.connect(self._bar.close)
        self._worker.start()

    def _make_bar(self) -> ActivityBar:
        if not self._is_cancelable:
            return ActivityBar(self._description)
        return CancelableActivityBar(self._description, self.cancel_asked.emit)

    def stop(self) -> None:
        """Ask it to end after the step it is at; `stopped` tells when it has."""
        self._worker.quit()

    def send(self, value: object) -> None:
        """Let the generator's ``yield`` give `value`, the next time or the first."""
        self._message = value
        if self._is_under_way:
            self._worker.send(value)

    def pause(self, paused: bool = True) -> None:
        """Wait after the step it is at, or go on."""
        self.is_paused = paused
        if paused:
            self._worker.pause()
        else:
            self._worker.resume()

    def _on_rest(self) -> None:
        """A worker forgets what it was asked before it had done what it was asked first."""
        if self.is_paused != self._worker.is_paused:
            self.pause(self.is_paused)

    def _on_yielded(self, event: object) -> None:
        """A generator takes messages only once it has begun."""
        if not self._is_under_way:
            self._is_under_way = True
            if self._message is not None:
                self._worker.send(self._message)
        self.yielded.emit(event)
        painting = _PAINTING if isinstance(event, Awaited) else 0
        QTimer.singleShot(painting, self._worker.note_dealt_with)

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return bool(self._worker.abort_requested)

    def show_progress(self, done: float, total: int) -> None:
        """Move the bar in the activity dock, now or shortly."""
        self._share = (done, total)
        if self._bar is not None and not self._bar_timer.isActive():
            self._bar_timer.start(_ACTIVITY_INTERVAL)

    def _update_bar(self) -> None:
        if self._bar is not None:
            self._bar.move_to(*self._share)

    def _end(self) -> None:
        self._bar_timer.stop()
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if not self._has_outcome:  # it was stopped while it did its last step
            self.stopped.emit()
        self.ended.emit()
