"""Garbage collection that lets the window move while jobs run.

Python's full collection looks at every object, of which napari and torch have four
hundred thousand; no thread runs for that half second, and a job brings several about.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer


class OldObjects:
    """What there was when a job began, which collections pass over until a while after.

    What of it becomes garbage meanwhile stays; `release` is for where that is much.

    Parameters
    ----------
    pause : float
        Seconds from the end of the last job: often another one follows.
    """

    def __init__(self, pause: float = 60.0) -> None:
        self.pause = pause
        self._lock = Lock()
        self._jobs = 0
        self._are_spared = False
        self._timer: Timer | None = None

    @contextmanager
    def spared(self) -> Iterator[None]:
        """Do a job meanwhile."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    def release(self) -> None:
        """Have the next full collection look at all, as if no job ran."""
        with self._lock:
            self._thaw()

    def _begin(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._jobs += 1
            # Not once more: garbage of the jobs since then would be kept with the rest.
            if not self._are_spared:
                gc.freeze()
                self._are_spared = True

    def _end(self) -> None:
        with self._lock:
            self._jobs -= 1
            if not self._jobs:
                self._timer = Timer(self.pause, self._thaw_unless_busy)
                self._timer.daemon = True
                self._timer.start()

    def _thaw_unless_busy(self) -> None:
        with self._lock:
            if not self._jobs:
                self._thaw()

    def _thaw(self) -> None:
        gc.unfreeze()
        self._are_spared = False


old_objects = OldObjects()
