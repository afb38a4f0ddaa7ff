"""A list of layers to be ticked, which follows the viewer until someone ticks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

_KEY = Qt.ItemDataRole.UserRole
_CHECKED, _UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.Unchecked
_LINES = 4
_AROUND = 2  # pixels around each line


class TickList(QListWidget):
    """Layers, each known by a key, and below them other things; it knows no viewer.

    Until something is ticked by hand, the ticks follow what the viewer suggests.

    Parameters
    ----------
    tip : str
    """

    changed = Signal()

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_touched = False
        self.setToolTip(tip)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSpacing(_AROUND)
        self.itemChanged.connect(self._on_ticked)
        self._fit()

    def set_layers(
        self, names: Sequence[tuple[str, int]], suggested: Collection[int]
    ) -> None:
        """Offer these layers; `suggested` are the keys of those to tick by default."""
        chosen = self.ticked(int) if self._is_touched else list(suggested)
        others = [
            (item.text(), item.data(_KEY), item.checkState())
            for item in self._items(str)
        ]
        with QSignalBlocker(self):
            self.clear()
            for name, key in names:
                self._append(name, key, _CHECKED if key in chosen else _UNCHECKED)
            for title, key, state in others:
                self._append(title, key, state)
        self._fit()

    def add_other(self, title: str, key: str) -> None:
        """Add something else than a layer, ticked, at the end."""
        with QSignalBlocker(self):
            self._append(title, key, _CHECKED)
        self._on_ticked()
        self._fit()

    def tick_only(self, *keys: int) -> None:
        """Tick these layers, and nothing else."""
        with QSignalBlocker(self):
            for item in self._items():
                item.setCheckState(_CHECKED if item.data(_KEY) in keys else _UNCHECKED)
        self._on_ticked()

    def ticked(self, kind: type[int] | type[str]) -> list:
        """Keys that are ticked: of layers (int), or of other things (str)."""
        return [
            item.data(_KEY)
            for item in self._items(kind)
            if item.checkState() == _CHECKED
        ]

    def _items(self, kind: type = object) -> list[QListWidgetItem]:
        items = [self.item(row) for row in range(self.count())]
        return [item for item in items if item and isinstance(item.data(_KEY), kind)]

    def _append(self, title: str, key: int | str, state: Qt.CheckState) -> None:
        item = QListWidgetItem(title)
        item.setData(_KEY, key)
        item.setToolTip(str(key) if isinstance(key, str) else title)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(state)
        self.addItem(item)

    def _on_ticked(self) -> None:
        self._is_touched = True
        self.changed.emit()

    def _fit(self) -> None:
        """As high as its lines are, within reason."""
        lines = min(max(self.count(), 2), _LINES)
        text = max(self.sizeHintForRow(0), self.fontMetrics().height())
        edges = 2 * (self.frameWidth() + _AROUND)
        self.setFixedHeight(lines * (text + 2 * _AROUND) + edges)
