"""What all docks have in common: their size, and how they come and go."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_edsr._qt.background import TorchScout
from napari_edsr._qt.viewer_link import ViewerLink

_WIDTH = 360
_NARROWEST = 320


class Dock(QWidget):
    """A dock that follows a viewer while it is open, and stops its work when closed.

    Those who inherit from it set `link` and `scout`, and say in `follow_layers` and `stop_all` what
    is to be done.
    """

    link: ViewerLink
    scout: TorchScout

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.column = QVBoxLayout(self)
        self.column.setSpacing(10)
        self.setMinimumWidth(_NARROWEST)

    def follow_layers(self) -> None:
        """Bring everything up to date with the layer list and its selection."""
        raise NotImplementedError

    def stop_all(self) -> None:
        """End whatever runs, each after the step at work."""
        raise NotImplementedError

    def sizeHint(self) -> QSize:  # noqa: N802
        """Wide enough for the texts, and within a small screen."""
        return QSize(_WIDTH, super().sizeHint().height())

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Ask for torch, which takes seconds, only after the dock is there."""
        super().showEvent(event)
        self.scout.start_when_idle()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Stop all work when the dock is closed: napari then only takes the widget out."""
        super().changeEvent(event)
        if event is None or event.type() != QEvent.Type.ParentChange:
            return
        if self.parent() is None:
            self.stop_all()
            self.link.disconnect()
        else:
            self.link.connect()
            self.follow_layers()
