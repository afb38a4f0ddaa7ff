"""A job's bar in napari's activity dock."""

from __future__ import annotations

import io
from collections.abc import Callable

from napari.utils.progress import cancelable_progress, progress
from qtpy.QtWidgets import QApplication, QLabel

_SPINNER_SPEED = 10  # percent: some three pictures a second
_PARTS = 1000  # that the bar is divided into


class ActivityBar(progress):
    """A bar in napari's activity dock.

    It lives on the main thread only. Without a viewer's window it draws nothing.
    """

    def __init__(self, description: str) -> None:
        self._is_closed = self._is_divided = False
        super().__init__(desc=description, total=0, file=io.StringIO())
        _calm_spinners()

    def close(self) -> None:
        """Take it out of the dock; again does no harm."""
        if not self._is_closed:
            self._is_closed = True
            super().close()

    def move_to(self, done: float, total: int) -> None:
        """Show `done` of `total` steps; Qt's bar takes whole numbers alone."""
        if not self._is_divided:
            self._is_divided = True
            self.total = _PARTS
        self.update(round(done / total * _PARTS) - self.n)


class CancelableActivityBar(ActivityBar, cancelable_progress):
    """One with a button, which calls `on_cancel`."""

    def __init__(self, description: str, on_cancel: Callable[[], object]) -> None:
        self._on_cancel = on_cancel
        super().__init__(description)

    def cancel(self) -> None:
        """Called by the button in the activity dock."""
        super().cancel()
        self._on_cancel()


def _calm_spinners() -> None:
    """Let napari's sign of activity turn slowly.

    Qt composes the whole window anew for each of its pictures. Where OpenGL is drawn in
    software, as on virtual machines, that takes half of two cores from the job.
    """
    for window in QApplication.topLevelWidgets():
        for label in window.findChildren(QLabel):
            movie = label.movie()
            if movie is not None:
                movie.setSpeed(_SPINNER_SPEED)
