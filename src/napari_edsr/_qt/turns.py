"""Turns of Python's threads, which the window must not wait for while jobs run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

#: Seconds. Drawing lets go of the interpreter with each call of OpenGL, a hundred times
#: a picture, and had to wait Python's usual 5 ms for the job's thread each time.
_SHORT = 0.0005


class Turns:
    """How long a thread may keep the interpreter when another one waits for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._jobs = 0
        self._usual = sys.getswitchinterval()

    @contextmanager
    def kept_short(self) -> Iterator[None]:
        """Do a job meanwhile; after the last one all is as it was before the first."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    def _begin(self) -> None:
        with self._lock:
            if not self._jobs:
                self._usual = sys.getswitchinterval()
                if self._usual > _SHORT:
                    sys.setswitchinterval(_SHORT)
            self._jobs += 1

    def _end(self) -> None:
        with self._lock:
            self._jobs -= 1
            if not self._jobs and self._usual > _SHORT:
                sys.setswitchinterval(self._usual)


turns = Turns()
