"""A folder of images: which, where the results go, and what will come of it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_edsr._qt.controls import Caption
from napari_edsr._qt.options import option_form


class FolderField(QWidget):
    """Path of a folder, typed or chosen.

    Signals
    -------
    entered
        Another path stands there, by hand.
    """

    entered = Signal()

    def __init__(self, title: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.line = QLineEdit()
        self.line.setAccessibleName(title)
        self.line.setToolTip(tip)
        self.browse = QPushButton("…")
        self.browse.setAccessibleName(f"Choose: {title}")
        self.browse.setToolTip(f"Choose: {title[0].lower()}{title[1:]}.")
        self.browse.setMaximumWidth(36)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)
        self.setFocusProxy(self.line)
        self.line.editingFinished.connect(self.entered)
        self.browse.clicked.connect(self._ask)

    def path(self) -> str:
        """What stands there, with the home for ``~``."""
        text = self.line.text().strip()
        return str(Path(text).expanduser()) if text else ""

    def show_path(self, path: str) -> None:
        """The end of it is what tells one from another."""
        self.line.setText(path)
        self.line.setCursorPosition(len(path))

    def _ask(self) -> None:
        path = QFileDialog.getExistingDirectory(self, self._title, self.path())
        if path:
            self.show_path(path)
            self.entered.emit()


class FolderOptions(QWidget):
    """The inside of the section; it knows no viewer.

    Signals
    -------
    changed
        Another folder, pattern or rule.
    run_asked
    """

    changed = Signal()
    run_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scale = 2
        self._chosen = False  # whether the user named the folder of the results
        self.source = FolderField(
            "Folder of images", "Every image in this folder is upscaled as a whole."
        )
        self.pattern = QLineEdit()
        self.pattern.setPlaceholderText("all images")
        self.pattern.setToolTip(
            "Which files, e.g. *.tif or *_488*; **/*.tif takes those of sub-folders too."
        )
        self.output = FolderField(
            "Folder of the results",
            "Results go here under the names of their images; the folder is made.",
        )
        self.skip = QCheckBox("Leave out images whose result is there")
        self.skip.setChecked(True)
        self.skip.setToolTip(
            "A run that was cancelled goes on with the rest. Otherwise results that are "
            "there are replaced."
        )
        self.found = Caption()
        self.run = QPushButton("Upscale the folder")
        self.run.setToolTip(
            "Upscale image by image with the settings above, each into a file."
        )
        self._lay_out()
        self._connect()
        self.show_plan("", "Choose a folder of images.")

    def _lay_out(self) -> None:
        form = option_form(self)
        form.addRow("Images", self.source)
        form.addRow("Files", self.pattern)
        form.addRow("Results", self.output)
        form.addRow(self.skip)
        form.addRow(self.found)
        form.addRow(self.run)

    def _connect(self) -> None:
        self.source.entered.connect(self._on_source)
        self.output.entered.connect(self._on_output)
        self.pattern.editingFinished.connect(self.changed)
        self.skip.toggled.connect(self.changed)
        self.run.clicked.connect(self.run_asked)

    def summary(self) -> str:
        """In a few words."""
        return Path(self.source.path()).name

    def set_scale(self, scale: int) -> None:
        """Name the folder of the results for another scale, unless the user named it."""
        if scale != self._scale:
            self._scale = scale
            self._suggest()
            self.changed.emit()

    def show_plan(self, found: str, obstacle: str) -> None:
        """Say what will happen, or why nothing can."""
        self.found.show_text(obstacle or found)
        self.run.setEnabled(not obstacle)

    def _on_source(self) -> None:
        self._suggest()
        self.changed.emit()

    def _on_output(self) -> None:
        self._chosen = bool(self.output.path())
        self._suggest()
        self.changed.emit()

    def _suggest(self) -> None:
        """A folder beside that of the images."""
        source = self.source.path()
        if not self._chosen:
            path = Path(source)
            beside = path.with_name(f"{path.name}_x{self._scale}") if path.name else ""
            self.output.show_path(str(beside))
