"""The traps of napari's workers, each with a job that falls into it."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from napari.utils.progress import progress
from qtpy.QtCore import QCoreApplication, QObject, QThread, QTimer

from napari_edsr._qt.activity import ActivityBar
from napari_edsr._qt.worker import Awaited, Job, JobFailedError
from napari_edsr.errors import EDSRError, EDSRWarning


class Log(list):
    """Signals of a job in the order in which they arrive, and on which thread."""

    def __init__(self, job):
        self.threads = set()
        self.values = {}
        for name in ("yielded", "returned", "failed", "stopped", "ended"):
            getattr(job, name).connect(lambda *value, n=name: self.note(n, *value))

    def note(self, name, *value):
        self.append(name)
        if value:
            self.values.setdefault(name, []).extend(value)
        self.threads.add(QThread.currentThread())


class Counting:
    """A job that waits at each step until it is let on."""

    def __init__(self, steps=3, error=None):
        self.steps, self.error = steps, error
        self.gate = threading.Semaphore(0)
        self.closed_in = None

    def run(self):
        try:
            for step in range(self.steps):
                yield step
                assert self.gate.acquire(timeout=10)
            if self.error:
                raise self.error
            return "result"
        finally:
            self.closed_in = threading.current_thread()

    def let_on(self):
        self.gate.release()


def run_through(qtbot, job, counting):
    log = Log(job)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
        for _ in range(counting.steps):
            counting.let_on()
    return log


@pytest.mark.promise("Runs go on in a worker thread")
def test_signals_arrive_in_order_on_the_main_thread(qtbot):
    counting = Counting(3)
    log = run_through(qtbot, Job(counting.run()), counting)

    assert log == ["yielded"] * 3 + ["returned", "ended"]
    assert log.values == {"yielded": [0, 1, 2], "returned": ["result"]}
    assert log.threads == {QThread.currentThread()}
    assert counting.closed_in is not threading.main_thread()


@pytest.mark.fault(
    "Layers and docks: an error that napari's workers swallow",
    "The job ends with it, and the dock is told.",
)
@pytest.mark.parametrize("message", ["CUDA error: out of memory\nat line 3", ""])
def test_runtime_error_ends_the_job_as_an_error_of_ours(qtbot, message):
    error = RuntimeError(message)
    counting = Counting(1, error)
    log = run_through(qtbot, Job(counting.run()), counting)

    assert log == ["yielded", "failed", "ended"]
    (failure,) = log.values["failed"]
    assert isinstance(failure, JobFailedError)
    assert isinstance(failure, EDSRError)
    assert not isinstance(failure, RuntimeError)
    assert str(failure) == (message.partition("\n")[0] or "RuntimeError")
    assert failure.__cause__ is error


def test_other_errors_arrive_as_they_are(qtbot):
    error = ValueError("wrong")
    counting = Counting(1, error)
    log = run_through(qtbot, Job(counting.run()), counting)

    assert log == ["yielded", "failed", "ended"]
    assert log.values["failed"] == [error]


def test_stopping_closes_the_generator_in_its_thread_before_the_end(qtbot):
    counting = Counting(1000)
    job = Job(counting.run())
    log = Log(job)
    closed_at_end = []
    job.ended.connect(lambda: closed_at_end.append(counting.closed_in))
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()

    job.stop()
    with qtbot.waitSignal(job.ended, timeout=10_000):
        counting.let_on()

    assert log[-2:] == ["stopped", "ended"]
    assert log.count("yielded") <= 2
    assert "returned" not in log
    assert closed_at_end[0] is not None
    assert closed_at_end[0] is not threading.main_thread()


@pytest.mark.fault(
    "Layers and docks: dock destroyed during any job",
    "The job is closed within a step.",
)
def test_destroying_its_parent_stops_the_job(qtbot):
    counting = Counting(1000)
    parent = QObject()
    job = Job(counting.run(), "Upscaling", parent)
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()

    parent.deleteLater()
    qtbot.waitUntil(lambda: job.is_stopping)
    assert activity_bars() == []
    counting.let_on()

    qtbot.waitUntil(lambda: counting.closed_in is not None)


@pytest.mark.fault(
    "Layers and docks: application quit during any job",
    "The job is closed within a step.",
)
def test_quitting_the_application_stops_the_job(qtbot):
    counting = Counting(1000)
    job = Job(counting.run())
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()

    QCoreApplication.instance().aboutToQuit.emit()
    assert job.is_stopping
    with qtbot.waitSignal(job.ended, timeout=10_000):
        counting.let_on()


def activity_bars():
    return [bar for bar in progress._all_instances if isinstance(bar, ActivityBar)]


def test_activity_bar_follows_the_job_and_closes(qtbot):
    counting = Counting(2)
    job = Job(counting.run(), "Upscaling cells")
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()
    (bar,) = activity_bars()
    assert bar.desc.startswith("Upscaling cells")

    job.show_progress(3, 7)
    job.show_progress(3.5, 7)
    qtbot.waitUntil(lambda: (bar.n, bar.total) == (500, 1000))
    with qtbot.waitSignal(job.ended, timeout=10_000):
        counting.let_on()
        counting.let_on()

    assert activity_bars() == []


def test_a_job_shows_after_what_called_for_it_and_begins_after_it_shows(qtbot):
    """Each of the three in a turn of the event loop: in one the window stands still."""
    begun_with = []

    def count():
        begun_with.append(len(activity_bars()))
        yield

    job = Job(count(), "Upscaling")
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
        assert activity_bars() == []
    assert begun_with == [1]


def test_a_job_that_is_stopped_before_it_has_begun(qtbot):
    begun = []

    def note():
        begun.append(True)
        yield

    job = Job(note(), "Upscaling")
    log = Log(job)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
        job.stop()
    assert log == ["stopped", "ended"]
    assert begun == activity_bars() == []


@pytest.mark.parametrize("error", [None, RuntimeError("boom"), ValueError("wrong")])
def test_activity_bar_closes_however_the_job_ends(qtbot, error):
    counting = Counting(1, error)
    run_through(qtbot, Job(counting.run(), "Upscaling"), counting)
    assert activity_bars() == []


def test_cancel_in_the_activity_dock_asks_to_cancel(qtbot):
    counting = Counting(1000)
    job = Job(counting.run(), "Upscaling")
    job.cancel_asked.connect(job.stop)
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()

    (bar,) = activity_bars()
    bar.cancel()
    assert bar.is_canceled
    with qtbot.waitSignal(job.stopped, timeout=10_000):
        counting.let_on()
    qtbot.waitUntil(lambda: activity_bars() == [])


def test_activity_bar_prints_nothing(qtbot, capsys):
    counting = Counting(1)
    run_through(qtbot, Job(counting.run(), "Upscaling"), counting)
    assert capsys.readouterr() == ("", "")


def test_our_errors_are_not_those_that_workers_swallow():
    from napari_edsr import errors

    ours = [
        e
        for e in vars(errors).values()
        if isinstance(e, type) and issubclass(e, Exception)
    ]
    assert JobFailedError.__mro__.count(RuntimeError) == 0
    assert [e for e in ours if issubclass(e, RuntimeError)] == []


def test_our_warnings_are_passed_on_and_others_logged(qtbot, caplog):
    import warnings

    def warn():
        yield
        warnings.warn("The image holds NaN.", EDSRWarning, stacklevel=1)
        warnings.warn("old name", DeprecationWarning, stacklevel=1)

    job = Job(warn())
    said = []
    job.warned.connect(said.append)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()

    assert said == ["The image holds NaN."]
    assert "DeprecationWarning: old name" in caplog.text


class Listening(Counting):
    """A job that notes what it is sent at each step."""

    def run(self):
        heard = []
        for step in range(self.steps):
            heard.append((yield step))
            assert self.gate.acquire(timeout=10)
        return heard


def test_what_is_sent_before_the_start_arrives(qtbot):
    listening = Listening(3)
    job = Job(listening.run())
    log = Log(job)
    job.send("enough")
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()

    with qtbot.waitSignal(job.ended, timeout=10_000):
        for _ in range(3):
            listening.let_on()

    (heard,) = log.values["returned"]
    assert [word for word in heard if word] == ["enough"]


def test_pause_and_go_on(qtbot):
    counting = Counting(steps=5)
    job = Job(counting.run())
    log = Log(job)
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()
    job.pause()
    job.pause(False)  # before it had come to rest
    job.pause()
    with qtbot.waitSignal(job._worker.paused, timeout=10_000):
        counting.let_on()
    assert log.values["yielded"][:2] == [0, 1][: len(log.values["yielded"])]

    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.pause(False)
        for _ in range(5):
            counting.let_on()

    assert log.values["yielded"] == [0, 1, 2, 3, 4]
    assert log[-2:] == ["returned", "ended"]


def test_paused_job_can_be_stopped(qtbot):
    counting = Counting()
    job = Job(counting.run())
    log = Log(job)
    with qtbot.waitSignal(job.yielded, timeout=10_000):
        job.start()
    job.pause()
    with qtbot.waitSignal(job._worker.paused, timeout=10_000):
        counting.let_on()

    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.stop()

    assert log[-2:] == ["stopped", "ended"]


def test_a_quick_job_waits_for_the_main_thread(qtbot):
    made, dealt_with, ahead = [0], [0], []
    far_ahead = threading.Event()

    def quick():
        while True:
            made[0] += 1
            if made[0] - dealt_with[0] > 100:
                far_ahead.set()
            yield made[0]

    def deal_with(number):
        dealt_with[0] = number
        ahead.append(made[0] - number)

    job = Job(quick())
    job.yielded.connect(deal_with)
    job.start()
    assert not far_ahead.wait(0.5)  # with a main thread that does something else
    qtbot.waitUntil(lambda: dealt_with[0] > 1000, timeout=10_000)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.stop()
    assert max(ahead) <= 100


@pytest.mark.fault(
    "Stopping: stopped while the window is busy",
    "The job is closed without waiting for the window.",
)
def test_a_job_that_waits_for_the_main_thread_can_be_stopped(qtbot):
    made, closed = threading.Semaphore(0), threading.Event()

    def quick():
        try:
            while True:
                made.release()
                yield
        finally:
            closed.set()

    job = Job(quick())
    job.start()
    for _ in range(64):
        assert made.acquire(timeout=10)
    job.stop()
    assert closed.wait(timeout=10)  # without an event loop
    with qtbot.waitSignal(job.ended, timeout=10_000):
        pass


def test_a_job_goes_on_after_an_awaited_event_was_dealt_with(qtbot):
    order = []

    def show_and_compute():
        yield Awaited()
        order.append("computes")
        yield "tile"

    job = Job(show_and_compute())
    job.yielded.connect(lambda event: order.append(type(event).__name__))
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    assert order == ["Awaited", "computes", "str"]


def test_a_job_waits_though_it_had_nothing_to_tell_before(qtbot):
    dealt_with, computes, is_ahead = threading.Event(), threading.Event(), []

    def prepare_and_compute():
        yield
        assert dealt_with.wait(10)
        yield Awaited()
        computes.set()

    def deal_with(event):
        if isinstance(event, Awaited):
            is_ahead.append(computes.wait(0.5))
        else:
            QTimer.singleShot(10, dealt_with.set)

    job = Job(prepare_and_compute())
    job.yielded.connect(deal_with)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    assert is_ahead == [False]
    assert computes.is_set()


def test_a_job_goes_on_when_what_an_awaited_event_changed_was_painted(qtbot):
    order = []

    def show_and_compute():
        yield Awaited()
        order.append("computes")

    job = Job(show_and_compute())
    job.yielded.connect(lambda _: QTimer.singleShot(50, lambda: order.append("paints")))
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    assert order == ["paints", "computes"]


def test_an_awaited_event_does_not_keep_a_job_from_being_stopped(qtbot):
    shown, closed = threading.Event(), threading.Event()

    def show():
        try:
            shown.set()
            yield Awaited()
            yield
        finally:
            closed.set()

    job = Job(show())
    job.start()
    assert shown.wait(timeout=10)
    job.stop()
    assert closed.wait(timeout=10)  # without an event loop
    with qtbot.waitSignal(job.ended, timeout=10_000):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_threads_of_a_job_give_way_to_the_window(qtbot):
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def compute():
        with ThreadPoolExecutor(1) as pool:
            yield niceness(), pool.submit(niceness).result()

    job, before = Job(compute()), niceness()
    log = Log(job)
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    (found,) = log.values["yielded"]
    assert min(found) > before == niceness()
