"""Which images to learn from: layers of the viewer, and folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_edsr import files
from napari_edsr._qt.controls import Caption

_KEY = Qt.ItemDataRole.UserRole
_CHECKED, _UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked
_LINES = 4


class TeachList(QWidget):
    """Layers, each known by a key, and folders, to be ticked; it knows no viewer.

    Until something is ticked by hand, the ticks follow the selection in the viewer.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_touched = False
        self._counts: dict[str, int] = {}
        self.list = QListWidget()
        self.list.setToolTip(
            "The sharp images to learn from. Tick several layers, or add a folder."
        )
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.add = QPushButton("Add &folder…")
        self.add.setToolTip("Learn from all images in a folder as well.")
        self.caption = Caption()
        self._lay_out()
        self.list.itemChanged.connect(self._on_ticked)
        self.add.clicked.connect(self._ask_for_folder)
        self._fit()

    def _lay_out(self) -> None:
        below = QHBoxLayout()
        below.addWidget(self.caption, 1)
        below.addWidget(self.add, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.list)
        column.addLayout(below)
        self.setFocusProxy(self.list)

    def set_layers(
        self, names: Sequence[tuple[str, int]], selected: Sequence[int]
    ) -> None:
        """Offer these layers; `selected` are the keys of those selected in the viewer."""
        ticked, folders = set(self.layers()), self._items(str)
        chosen = ticked if self._is_touched else set(selected)
        kept = [(item.data(_KEY), item.checkState()) for item in folders]
        with QSignalBlocker(self.list):
            self.list.clear()
            for name, key in names:
                self._append(name, key, _CHECKED if key in chosen else _UNCHECKED)
            for path, state in kept:
                self._append(_folder_title(path), path, state)
        self._fit()

    def add_folder(self, path: str) -> None:
        """Add a folder, ticked; its images are counted once."""
        if path not in self._counts:
            self._counts[path] = len(files.images_at(path))
            with QSignalBlocker(self.list):
                self._append(_folder_title(path), path, _CHECKED)
            self._is_touched = True
            self._fit()
            self.changed.emit()

    def tick_only(self, key: int) -> None:
        """Untick everything but one layer."""
        with QSignalBlocker(self.list):
            for item in self._items():
                alone = item.data(_KEY) == key
                item.setCheckState(_CHECKED if alone else _UNCHECKED)
        self._is_touched = True
        self.changed.emit()

    def layers(self) -> list[int]:
        """Keys of the layers that are ticked."""
        return [item.data(_KEY) for item in self._items(int) if _is_ticked(item)]

    def folders(self) -> dict[str, int]:
        """Folders that are ticked, and how many images there were in each."""
        ticked = (item.data(_KEY) for item in self._items(str) if _is_ticked(item))
        return {path: self._counts[path] for path in ticked}

    def describe(self, text: str) -> None:
        """Say what was understood of the images."""
        self.caption.setText(text)

    def _items(self, kind: type = object) -> list[QListWidgetItem]:
        items = [self.list.item(row) for row in range(self.list.count())]
        return [item for item in items if item and isinstance(item.data(_KEY), kind)]

    def _append(self, title: str, key: int | str, state: Qt.CheckState) -> None:
        item = QListWidgetItem(title)
        item.setData(_KEY, key)
        item.setToolTip(str(key) if isinstance(key, str) else title)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(state)
        self.list.addItem(item)

    def _on_ticked(self) -> None:
        self._is_touched = True
        self.changed.emit()

    def _ask_for_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of sharp images")
        if path:
            self.add_folder(path)

    def _fit(self) -> None:
        """As high as its lines are, within reason."""
        lines = min(max(self.list.count(), 2), _LINES)
        line = max(self.list.sizeHintForRow(0), self.fontMetrics().height() + 4)
        self.list.setFixedHeight(lines * line + 2 * self.list.frameWidth() + 2)


def _is_ticked(item: QListWidgetItem) -> bool:
    return item.checkState() == _CHECKED


def _folder_title(path: str) -> str:
    return f"{Path(path).name or path}{os.sep}"
