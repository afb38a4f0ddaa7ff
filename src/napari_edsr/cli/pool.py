"""Files of a batch in several processes, each with the model and its share of the cores."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from napari_edsr.cli import library_messages, terminate
from napari_edsr.cli.outcomes import FAILED, Outcome, Settings, attempt
from napari_edsr.cli.upscale_file import upscale_file
from napari_edsr.events import drain
from napari_edsr.file_jobs import Job

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from napari_edsr.model import EDSR, MDSR

Result = TypeVar("Result")


def iter_in_processes(
    jobs: Sequence[Job], settings: Settings, n_processes: int
) -> Generator[Outcome, None, None]:
    """Yield what became of each file as it is done; closing ends all processes.

    Parameters
    ----------
    jobs : sequence of Job
    settings : Settings
    n_processes : int
    """
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    pool = ProcessPoolExecutor(
        n_processes, spawn, _begin, (settings, n_processes, stop)
    )
    try:
        with _deaf_to_interrupts():
            futures = {pool.submit(_work, job): job for job in jobs}
        for future in as_completed(futures):
            yield _outcome(futures[future], future)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _outcome(job: Job, future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        why = "A process ended early, perhaps out of memory; use fewer --jobs."
        return Outcome(job, FAILED, error=why)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes begun in here never hear of Ctrl-C: this one ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class _Process:
    """What a process keeps from one file to the next."""

    settings: Settings
    n_processes: int
    stop: Event
    at_work: threading.Lock = field(default_factory=threading.Lock)
    network: EDSR | MDSR | None = None

    def load(self) -> None:
        """Load the model, before the first file."""
        from napari_edsr.checkpoints import load_model
        from napari_edsr.device import share_cores

        self.check_stop()
        if self.network is None:
            share_cores(self.n_processes)
            self.network = load_model(self.settings.model)

    def upscale(self, job: Job) -> tuple[int, ...]:
        """Upscale a file."""
        assert self.network is not None
        axes, options = self.settings.axes, self.settings.options
        self.check_stop()
        return upscale_file(job, self.network, axes, options, self.run_job)

    def run_job(
        self,
        job: Generator[Any, None, Result],
        description: str,
        on_event: Callable[[Any], object] | None = None,
    ) -> Result:
        """Run a job to its end, unless all are to stop."""

        def show(event: Any) -> None:
            self.check_stop()
            if on_event is not None:
                on_event(event)

        return drain(job, show)

    def check_stop(self) -> None:
        """End the work if all are to stop."""
        if self.stop.is_set():
            raise KeyboardInterrupt

    def end_with_parent(self) -> None:
        """Wait until the process that began this one has ended, killed perhaps."""
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        self.stop.set()
        with self.at_work:  # which leaves no half-written file
            os._exit(1)


_process: _Process | None = None


def _begin(settings: Settings, n_processes: int, stop: Event) -> None:
    global _process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, terminate)
    _process = _Process(settings, n_processes, stop)
    threading.Thread(target=_process.end_with_parent, daemon=True).start()


def _work(job: Job) -> Outcome:
    assert _process is not None
    said = io.StringIO()
    try:
        with _process.at_work, redirect_stdout(said), library_messages():
            _process.load()
            outcome = attempt(job, _process.upscale)
    except SystemExit as terminated:  # of which the pool would make nothing
        os._exit(int(terminated.code or 0))
    return replace(outcome, cause=None, said=said.getvalue())
