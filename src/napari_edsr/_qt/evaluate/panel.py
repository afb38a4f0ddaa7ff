"""The foot of the Evaluate dock: Measure, the table, and what can be made of it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.controls import Caption
from napari_edsr._qt.evaluate.table import ScoreTable
from napari_edsr._qt.run_panel import ErrorView, ProgressRow


class EvaluatePanel(QWidget):
    """Emits what is asked for, and shows what it is told."""

    measure_asked = Signal()
    cancel_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.measure = QPushButton("&Measure")
        self.measure.setToolTip("Compare every candidate with the truth.")
        self.measure.setStyleSheet("font-weight: bold; padding: 7px;")
        self.live = QCheckBox("Update b&y itself")
        self.live.setChecked(True)
        self.live.setToolTip("Measure anew whenever one of the layers changes.")
        self.reason = Caption()
        self.progress = ProgressRow()
        self.progress.cancel.setToolTip("Stop after the plane at work.")
        self.summary = Caption()
        self.table = ScoreTable()
        self.copy = _button("Copy", "Copy the table, to be pasted into a spreadsheet.")
        self.csv = _button("CSV…", "Write all figures of all planes to a file.")
        self.error_map = _button(
            "Error map",
            "Add a layer of the chosen candidate minus the truth: where it is too bright "
            "and where too dark.",
        )
        self.ssim_map = _button(
            "SSIM map",
            "Add a layer of the structural similarity of the chosen candidate at each "
            "pixel.",
        )
        self.compare = _button(
            "Compare",
            "Open the Compare dock with the chosen candidate and the truth, at the plane "
            "where it is worst.",
        )
        self.uncertainty = _button(
            "Uncertainty",
            "Add a layer that shows where the network disagrees with itself over flips "
            "and turns of the image. It runs the model eight times.",
        )
        self.consistency = _button(
            "Consistency",
            "Add a layer of the result made small again, minus the image it came from: "
            "what it invented that the original contradicts.",
        )
        self._maps = (self.error_map, self.ssim_map)
        self.said = Caption()
        self.trust_reason = Caption()
        self.error = ErrorView()
        self._lay_out()
        self.measure.clicked.connect(self.measure_asked)
        self.progress.cancel.clicked.connect(self.cancel_asked)
        self.set_measured(False)

    def _lay_out(self) -> None:
        begin = QHBoxLayout()
        begin.addWidget(self.measure, 1)
        begin.addWidget(self.live)
        buttons = QGridLayout()
        rows = (
            (self.error_map, self.ssim_map, self.compare),
            (self.copy, self.csv),
        )
        for y, row in enumerate(rows):
            for x, button in enumerate(row):
                buttons.addWidget(button, y, x)
        trust = QHBoxLayout()
        trust.addWidget(QLabel("No truth?"))
        trust.addWidget(self.uncertainty, 1)
        trust.addWidget(self.consistency, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(begin)
        column.addWidget(self.reason)
        column.addWidget(self.progress)
        column.addWidget(self.table)
        column.addWidget(self.summary)
        column.addLayout(buttons)
        column.addLayout(trust)
        column.addWidget(self.trust_reason)
        column.addWidget(self.said)
        column.addWidget(self.error)

    def set_ready(self, reason: str) -> None:
        """Free Measure, or say why it is not."""
        self.measure.setEnabled(not reason)
        self.reason.show_text(reason)

    def set_measured(self, measured: bool) -> None:
        """Offer what can be made of figures where there are some."""
        self.table.setVisible(measured)
        self.summary.setVisible(measured)
        for button in (
            self.error_map,
            self.ssim_map,
            self.compare,
            self.copy,
            self.csv,
        ):
            button.setVisible(measured)

    def set_trust(self, reason: str, of: str) -> None:
        """Offer the maps that need no truth, or say why there can be none."""
        self.uncertainty.setEnabled(not reason)
        self.consistency.setEnabled(not reason)
        self.trust_reason.show_text(reason or of)

    def set_busy(self, running: bool, measuring: bool) -> None:
        """Let a map be made alone; only a measurement can be begun anew meanwhile."""
        if running:
            for button in (*self._maps, self.uncertainty, self.consistency):
                button.setEnabled(False)
            self.measure.setEnabled(self.measure.isEnabled() and measuring)
        else:
            for button in self._maps:
                button.setEnabled(True)

    def begin(self, status: str) -> None:
        """Show the bar, and take away what an earlier job said."""
        self.error.hide()
        self.said.show_text("")
        self.progress.begin(status)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
