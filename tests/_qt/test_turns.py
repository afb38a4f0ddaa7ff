"""How long a thread keeps the interpreter while jobs run."""

import sys

import pytest

from napari_edsr._qt.turns import turns
from napari_edsr._qt.worker import Job


@pytest.fixture
def usual():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def test_a_job_leaves_the_interpreter_to_the_window_sooner(qtbot, usual):
    during = []

    def note():
        during.append(sys.getswitchinterval())
        yield

    job = Job(note())
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    assert during[0] <= usual / 4
    assert sys.getswitchinterval() == usual


def test_the_last_of_several_jobs_ends_it(usual):
    with turns.kept_short():
        with turns.kept_short():
            pass
        assert sys.getswitchinterval() < usual
    assert sys.getswitchinterval() == usual


def test_what_is_shorter_stays(usual):
    sys.setswitchinterval(0.0001)
    shorter = sys.getswitchinterval()
    with turns.kept_short():
        assert sys.getswitchinterval() == shorter
    assert sys.getswitchinterval() == shorter
