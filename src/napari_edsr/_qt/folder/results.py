"""What became of the images of a folder, in a list whose lines open results."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_edsr._qt.folder.jobs import FAILED, SKIPPED, FileOutcome

_PATH = Qt.ItemDataRole.UserRole
_HIGHEST = 132  # pixels
_SHORT = {SKIPPED: "was there", FAILED: "failed"}


class FolderResults(QTreeWidget):
    """A line for each image.

    Signals
    -------
    opened(str)
        Path of a result that was clicked, or chosen by Return.
    """

    opened = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Results")
        self.setHeaderLabels(["Result", "What became of it"])
        self.setHeaderHidden(True)
        self.setStyleSheet("QTreeView::item { padding: 2px 0px; }")
        self.setToolTip("Click a result to open it in the viewer.")
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.setMaximumHeight(_HIGHEST)
        header = self.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.itemClicked.connect(self._on_chosen)
        self.itemActivated.connect(self._on_chosen)
        self.hide()

    def begin(self) -> None:
        """Take away the lines of an earlier run."""
        self.clear()
        self.hide()

    def add(self, outcome: FileOutcome) -> None:
        """Add a line; those of images that failed open nothing."""
        failed = outcome.status == FAILED
        path = outcome.job.source if failed else outcome.job.target
        item = QTreeWidgetItem([path.name, _SHORT.get(outcome.status, outcome.said)])
        item.setToolTip(0, str(path))
        item.setToolTip(1, outcome.said)
        item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight)
        item.setData(0, _PATH, "" if failed else str(path))
        self.addTopLevelItem(item)
        self.scrollToItem(item)
        self.show()

    def _on_chosen(self, item: QTreeWidgetItem) -> None:
        if path := item.data(0, _PATH):
            self.opened.emit(path)
