"""The foot of the Compare dock: what is going on, the loupe, and the ways out."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_edsr._qt.compare.tiles import Tiles
from napari_edsr._qt.controls import Caption
from napari_edsr._qt.run_panel import ErrorView


class ComparePanel(QWidget):
    """Emits what is asked for, and shows what it is told.

    Signals
    -------
    export_asked, leave_asked
    """

    export_asked = Signal()
    leave_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.status = Caption()
        self.tiles = Tiles()
        self.note = Caption()
        self.export = QPushButton("E&xport figure…")
        self.export.setToolTip(
            "Save what is seen as a figure with names, a scale bar and, with a truth, "
            "PSNR and SSIM; as PNG or SVG."
        )
        self.leave = QPushButton("Le&ave")
        self.leave.setToolTip("Show the layers again as they were shown before.")
        self.reason = Caption()
        self.outcome = Caption()
        self.error = ErrorView()
        self._lay_out()
        self.export.clicked.connect(self.export_asked)
        self.leave.clicked.connect(self.leave_asked)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.export, self.leave):
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            buttons.addWidget(button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.status)
        column.addWidget(self.tiles)
        column.addWidget(self.note)
        column.addLayout(buttons)
        for widget in (self.reason, self.outcome, self.error):
            column.addWidget(widget)
        for caption in (self.status, self.note, self.reason, self.outcome):
            caption.show_text("")

    def set_ready(self, *, export: str, leave: bool) -> None:
        """Free the buttons, or say why there is nothing to export."""
        self.export.setEnabled(not export)
        self.leave.setEnabled(leave)
        self.reason.show_text(export)
