"""When windows are painted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication


@contextmanager
def painting_put_off(milliseconds: int) -> Iterator[None]:
    """Change widgets, and have that painted only so much later, in a turn of its own."""
    windows = [
        w
        for w in QApplication.topLevelWidgets()
        if w.isVisible() and w.updatesEnabled()
    ]

    def paint() -> None:
        for window in windows:
            if isalive(window):  # type: ignore[no-untyped-call]
                window.setUpdatesEnabled(True)

    for window in windows:
        window.setUpdatesEnabled(False)
    try:
        yield
    finally:
        QTimer.singleShot(milliseconds, paint)
