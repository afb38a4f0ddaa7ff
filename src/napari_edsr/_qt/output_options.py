"""Where the result goes: into memory, or to a file, which a cluster can write as well."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_edsr._qt.controls import Caption, Segments
from napari_edsr._qt.fields import beside

SUFFIX = ".ome.zarr"


class OutputOptions(QWidget):
    """In memory or to a file, and which one; it knows no viewer.

    What the user chose is kept in mind while a result that is too large needs a file.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggested = ""
        self._folder: Path | None = None
        self._reason = ""
        self.remembered = "memory"
        self.where = Segments(
            [
                (
                    "In memory",
                    "memory",
                    "Keep the result as a layer; Save… writes it to a file.",
                ),
                (
                    "To a file (.&zarr)",
                    "file",
                    "Write the result to an OME-Zarr part by part: it may be larger than "
                    "the memory, and a run that was stopped can be resumed.",
                ),
            ]
        )
        self.path = QLineEdit()
        self.path.setAccessibleName("File of the result")
        self.path.setToolTip("File of the result, NAME.ome.zarr.")
        self.browse = QPushButton("…")
        self.browse.setAccessibleName("Choose the file of the result")
        self.browse.setToolTip("Choose where the file of the result lies.")
        self.browse.setMaximumWidth(36)
        self.file = beside(self.path, self.browse)
        self.scheduler = QLineEdit()
        self.scheduler.setPlaceholderText("Cluster (optional): tcp://host:8786")
        self.scheduler.setAccessibleName("Scheduler of a cluster")
        self.scheduler.setToolTip(
            "Address of dask's scheduler, whose workers then compute instead of this "
            "computer. All of them must reach the image and the file under the same names."
        )
        self.note = Caption()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (self.where, self.file, self.scheduler, self.note):
            column.addWidget(part)
        self.setFocusProxy(self.where)
        self.where.chosen.connect(self._on_choice)
        self.path.textEdited.connect(self._on_edited)
        self.path.editingFinished.connect(self._on_finished)
        self.browse.clicked.connect(self._ask)
        self.scheduler.editingFinished.connect(self.changed)
        self._show_parts()

    def cluster(self) -> str:
        """Address of the scheduler whose workers write the file; empty for none."""
        return self.scheduler.text().strip() if self.value() else ""

    def value(self) -> str:
        """Path of the file; empty for a result in memory."""
        return self.path.text().strip() if self.where.value() == "file" else ""

    def set_value(self, where: str) -> None:
        """Restore what was remembered."""
        self.where.set_value(where)

    def suggest(self, path: Path | None) -> None:
        """Name a file for other layers or another scale; a folder once chosen stays."""
        suggested = str(path or "")
        if suggested == self._suggested:
            return
        self._suggested = suggested
        self._show_suggestion()

    def _show_suggestion(self) -> None:
        path = Path(self._suggested)
        if self._folder is not None and self._suggested:
            path = self._folder / path.name if _is_file(path) else self._folder
        self._show_path(str(path) if self._suggested else "")

    def require_file(self, reason: str) -> None:
        """Let the result go to a file, as long as there is a reason to."""
        if reason and not self._reason:
            self._press("file")
        elif self._reason and not reason:
            self._press(self.remembered)
        self._reason = reason
        self.where.button("memory").setEnabled(not reason)
        self.note.show_text(reason)

    def _press(self, where: str) -> None:
        """Choose for the user, who is not asked to remember it."""
        with QSignalBlocker(self.where):
            self.where.set_value(where)
        self._show_parts()

    def _on_choice(self, where: str) -> None:
        self.remembered = where
        self._show_parts()
        self.changed.emit()

    def _show_parts(self) -> None:
        for part in (self.file, self.scheduler):
            part.setVisible(self.where.value() == "file")

    def _on_edited(self, text: str) -> None:
        path = Path(text.strip())
        self._folder = (path.parent if _is_file(path) else path) if text else None
        self.changed.emit()

    def _on_finished(self) -> None:
        """An empty field asks for the suggestion."""
        if not self.path.text().strip():
            self._show_suggestion()
            self.changed.emit()

    def _ask(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            "File of the result",
            self.path.text(),
            "OME-Zarr (*.zarr)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            path = path if path.endswith(".zarr") else path + SUFFIX
            self._show_path(path)
            self._on_edited(path)

    def _show_path(self, path: str) -> None:
        """The end of it is what tells one from another."""
        self.path.setText(path)
        self.path.setCursorPosition(len(path))


def _is_file(path: Path) -> bool:
    """Whether a path is meant for one result, and not for the folder of several."""
    return path.suffix.lower() == ".zarr"
