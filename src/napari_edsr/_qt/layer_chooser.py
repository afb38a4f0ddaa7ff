"""Which layer is to be upscaled, and what was understood of it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_edsr._qt.controls import Caption, Choice

#: Stands for all layers that are selected in the viewer.
SELECTED = "selected"


class LayerChooser(QWidget):
    """A list of layers, each known by a key; it knows no viewer."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = Choice()
        self.list.setAccessibleName("Layer")
        self.list.setToolTip(
            "The image layer to upscale. It follows the selection in the layer list; "
            "select several there to upscale them one after the other."
        )
        self.caption = Caption()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.list)
        column.addWidget(self.caption)
        self.setFocusProxy(self.list)
        self.list.chosen.connect(self.chosen)

    def set_layers(
        self, names: Sequence[tuple[str, int]], selected: Sequence[int]
    ) -> None:
        """Offer these layers; `selected` are the keys of those selected in the viewer."""
        options: list[tuple[str, object]] = []
        if len(selected) > 1:
            options.append((f"{len(selected)} selected layers", SELECTED))
        self.list.set_options([*options, *names])
        self.list.setEnabled(bool(names))

    def choose(self, key: object) -> None:
        """Show a layer as chosen, as the viewer asked; emits nothing."""
        with QSignalBlocker(self.list):
            self.list.set_value(key)

    def value(self) -> object:
        """Key of the chosen layer, `SELECTED`, or None."""
        return self.list.value()

    def describe(self, text: str) -> None:
        """Say what was understood of the layer."""
        self.caption.show_text(text)
