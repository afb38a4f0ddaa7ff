"""Limits of the system that a test lowers for itself, for real."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def files_end_at(n_bytes: int) -> Iterator[None]:
    """No file can be written beyond so many bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="such limits are those of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
