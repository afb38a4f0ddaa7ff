"""One long computation at a time: two would take each other's memory and settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from napari_edsr.errors import DeviceError

_lock = threading.Lock()
_what = ""


@contextmanager
def computing(what: str) -> Iterator[None]:
    """Claim the network's devices for `what`, such as ``"A training"``.

    Raises
    ------
    DeviceError
        If something else is under way in this program.
    """
    global _what
    if not _lock.acquire(blocking=False):
        raise DeviceError(
            f"{_what} is under way; wait for it or stop it, then try again."
        )
    _what = what
    try:
        yield
    finally:
        _lock.release()
