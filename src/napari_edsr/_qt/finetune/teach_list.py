"""Which images to learn from: layers of the viewer, and folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_edsr import files
from napari_edsr._qt.controls import Caption
from napari_edsr._qt.tick_list import TickList


class TeachList(QWidget):
    """Layers, each known by a key, and folders, to be ticked; it knows no viewer.

    Until something is ticked by hand, the ticks follow the selection in the viewer.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counts: dict[str, int] = {}
        self.list = TickList(
            "The sharp images to learn from. Tick several layers, or add a folder."
        )
        self.list.setAccessibleName("Sharp images")
        self.add = QPushButton("Add &folder…")
        self.add.setToolTip("Learn from all images in a folder as well.")
        self.caption = Caption()
        self._lay_out()
        self.list.changed.connect(self.changed)
        self.add.clicked.connect(self._ask_for_folder)

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
        self.list.set_layers(names, selected)

    def add_folder(self, path: str) -> None:
        """Add a folder, ticked; its images are counted once."""
        if path not in self._counts:
            self._counts[path] = len(files.images_at(path))
            self.list.add_other(f"{Path(path).name or path}{os.sep}", path)

    def tick_only(self, key: int) -> None:
        """Untick everything but one layer."""
        self.list.tick_only(key)

    def layers(self) -> list[int]:
        """Keys of the layers that are ticked."""
        return self.list.ticked(int)

    def folders(self) -> dict[str, int]:
        """Folders that are ticked, and how many images there were in each."""
        return {path: self._counts[path] for path in self.list.ticked(str)}

    def describe(self, text: str) -> None:
        """Say what was understood of the images."""
        self.caption.setText(text)

    def _ask_for_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of sharp images")
        if path:
            self.add_folder(path)
