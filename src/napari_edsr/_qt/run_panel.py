"""The foot of the dock: what will happen, the buttons, how far it is, what happened."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QGuiApplication, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.controls import Caption, Section
from napari_edsr._qt.folder.results import FolderResults
from napari_edsr._qt.report import report

_STEPS = 1000
_SIGN = 18


class ErrorView(QWidget):
    """An error in a sentence, with details that fold out and can be copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = Caption()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setMinimumHeight(90)
        self.copy = QPushButton("Copy report")
        self.copy.setToolTip(
            "Copy the message, its details, the versions and devices. Folders are named in "
            "the details; look through them before you send it."
        )
        self.copy.clicked.connect(self._copy)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.text)
        column.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignRight)
        self.details = Section(
            "Details", inside, "What the program says of the error, to be copied."
        )
        sign = QLabel()
        sign.setPixmap(_warning_sign(self))
        row = QHBoxLayout()
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.message, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.details)
        self.hide()

    def show_error(self, message: str, details: str) -> None:
        """Show what happened and what to do; the details stay folded away."""
        self.message.show_text(message)
        self.text.setPlainText(details)
        self.details.set_open(False)
        self.show()

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(report(self.message.text(), self.text.toPlainText()))


def _warning_sign(widget: QWidget) -> QPixmap:
    style = widget.style()
    assert style is not None
    icon = style.standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
    return icon.pixmap(_SIGN, _SIGN)


class ProgressRow(QWidget):
    """A bar with share and time left, and Cancel beside it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.status = Caption()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel = QPushButton("Ca&ncel")
        self.cancel.setToolTip("Stop after the part at work; what is done is kept.")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.status)
        column.addLayout(row)
        self.hide()

    def begin(self, status: str) -> None:
        """Show it, without a share yet."""
        self.bar.setRange(0, 0)
        self.status.setText(status)
        self.cancel.setEnabled(True)
        self.show()

    def move_to(self, share: float, status: str) -> None:
        """Show a share from 0 to 1."""
        self.bar.setRange(0, _STEPS)
        self.bar.setValue(round(share * _STEPS))
        self.status.setText(status)

    def show_stopping(self, status: str) -> None:
        """Say that Cancel was heard."""
        self.status.setText(status)
        self.cancel.setEnabled(False)


class RunPanel(QWidget):
    """Emits what is asked for, and shows what it is told."""

    upscale_asked = Signal()
    preview_asked = Signal()
    cancel_asked = Signal()
    save_asked = Signal()
    compare_asked = Signal()
    anew_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.estimate = Caption()
        self.preview = QPushButton("Prev&iew")
        self.preview.setToolTip(
            "Upscale only what the view (or the rectangle) shows, as a small layer over it. "
            "Its pixels are those of the full run."
        )
        self.upscale = QPushButton("&Upscale")
        self.upscale.setToolTip(
            "Make a new layer over this one; nothing is overwritten."
        )
        self.upscale.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed
        )
        self.upscale.setStyleSheet("font-weight: bold; padding: 7px;")
        self.preview.setStyleSheet("padding: 7px;")
        self.anew = QPushButton("Start anew, replacing the file")
        self.anew.setToolTip(
            "Remove what is done of the file, and make it again with the settings above."
        )
        self.anew.hide()
        self.reason = Caption()
        self.progress = ProgressRow()
        self.outcome = Caption()
        self.compare = QPushButton("Compare")
        self.compare.setToolTip(
            "See the last result beside its source, in the Compare dock."
        )
        self.save = QPushButton("Sav&e…")
        for button in (self.compare, self.save):
            button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.save.setToolTip(
            "Write the last result to a file, with pixel size and provenance."
        )
        self.files = FolderResults()
        self.error = ErrorView()
        self._lay_out()
        self.show_outcome("")

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.preview, 1)
        buttons.addWidget(self.upscale, 2)
        ending = QHBoxLayout()
        ending.addWidget(self.outcome, 1)
        for button in (self.compare, self.save):
            ending.addWidget(
                button, 0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight
            )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.estimate)
        column.addLayout(buttons)
        column.addWidget(self.anew, 0, Qt.AlignmentFlag.AlignRight)
        column.addWidget(self.reason)
        column.addWidget(self.progress)
        column.addLayout(ending)
        column.addWidget(self.files)
        column.addWidget(self.error)
        self.upscale.clicked.connect(self.upscale_asked)
        self.preview.clicked.connect(self.preview_asked)
        self.anew.clicked.connect(self.anew_asked)
        self.progress.cancel.clicked.connect(self.cancel_asked)
        self.save.clicked.connect(self.save_asked)
        self.compare.clicked.connect(self.compare_asked)

    def set_ready(self, upscale: str, preview: str) -> None:
        """Free the buttons, or say why they are not; an empty reason frees one."""
        self.upscale.setEnabled(not upscale)
        self.preview.setEnabled(not preview)
        if upscale:
            self.reason.show_text(upscale)
        else:
            self.reason.show_text(f"No preview: {preview}" if preview else "")

    def offer(self, label: str, *, anew: bool) -> None:
        """Say what the button does, and whether a file can be made anew."""
        self.upscale.setText(label)
        self.anew.setVisible(anew)

    def set_busy(self, reason: str) -> None:
        """Keep the buttons from being pressed during a run."""
        self.anew.hide()
        self.upscale.setEnabled(False)
        self.preview.setEnabled(False)
        self.reason.show_text(reason)

    def begin(self, status: str) -> None:
        """Show the bar, and take away what an earlier run left."""
        self.error.hide()
        self.show_outcome("")
        self.progress.begin(status)

    def end(self) -> None:
        """Take the bar away."""
        self.progress.hide()

    def show_failure(self, message: str, details: str) -> None:
        """Say what went wrong, instead of what went well before."""
        self.outcome.show_text("")
        self.error.show_error(message, details)

    def show_outcome(self, text: str, *, can_save: bool = False) -> None:
        """Say what happened; it stays until the next run."""
        self.outcome.show_text(text)
        self.offer_result(can_save)

    def offer_result(self, there_is_one: bool) -> None:
        """Show what can be done with a result, where there is one."""
        self.save.setVisible(there_is_one)
        self.compare.setVisible(there_is_one)
