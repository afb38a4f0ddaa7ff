"""What garbage collections look at while jobs run, and afterwards."""

import gc
import threading
import weakref

import numpy as np
import pytest
from napari.layers import Image

from napari_edsr._qt.garbage import old_objects
from napari_edsr._qt.worker import Job


class Cycle:
    """Only a collection frees it."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def nothing_spared():
    old_objects.release()
    yield
    old_objects.release()


def test_a_job_spares_what_there_was_before_it(qtbot):
    counts = []

    def count():
        counts.append(gc.get_freeze_count())
        yield

    job = Job(count())
    with qtbot.waitSignal(job.ended, timeout=10_000):
        job.start()
    assert counts[0] > 10_000


def test_a_while_after_the_last_job_nothing_is_spared(qtbot, monkeypatch):
    monkeypatch.setattr(old_objects, "pause", 0.01)
    with old_objects.spared():
        with old_objects.spared():
            pass
        assert gc.get_freeze_count()
    qtbot.waitUntil(lambda: not gc.get_freeze_count(), timeout=10_000)


def test_the_end_of_one_job_does_not_end_it_for_another(monkeypatch):
    monkeypatch.setattr(old_objects, "pause", 0.0)
    with old_objects.spared():
        with old_objects.spared():
            pass
        for timer in threading.enumerate():
            if isinstance(timer, threading.Timer):
                timer.join()
        assert gc.get_freeze_count()


def test_garbage_of_one_job_is_freed_in_the_next():
    with old_objects.spared():
        kept = Cycle()
    garbage = weakref.ref(kept)
    del kept
    with old_objects.spared():
        gc.collect()
        assert garbage() is None


def test_an_image_removed_during_a_job_is_freed(viewer, widget):
    layer, other = (Image(np.zeros((8, 8), np.float32)) for _ in range(2))
    garbage = weakref.ref(layer)
    viewer.layers.extend([layer, other])  # the list refers to what it last selected
    with old_objects.spared():
        viewer.layers.remove(layer)
        del layer
        gc.collect()
        assert garbage() is None
