"""The controls of the Compare dock as one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.compare.options import (
    BlinkOptions,
    CurtainOptions,
    LoupeOptions,
)
from napari_edsr._qt.controls import Caption, Choice
from napari_edsr._qt.form import Form
from napari_edsr._qt.tick_list import TickList

GRID, CURTAIN, BLINK, LOUPE = "grid", "curtain", "blink", "loupe"
_MODES = {
    GRID: ("&Grid", "All ticked layers side by side, under one camera."),
    CURTAIN: ("Curtai&n", "Two layers at the two sides of a line that can be dragged."),
    BLINK: ("Blin&k", "The ticked layers in turn at the same place."),
    LOUPE: ("L&oupe", "What is under the cursor, magnified, of every ticked layer."),
}
_TRUTHS = ("truth", "gt", "ground", "hr")


class ModeButtons(QWidget):
    """A button for each way of comparing; pressed again, it leaves.

    Signals
    -------
    pressed(str)
        A button was clicked; what it shows is set by `show_active`.
    """

    pressed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for mode, (text, tip) in _MODES.items():
            button = QPushButton(text)
            button.setCheckable(True)
            button.setToolTip(f"{tip} Press again to leave.")
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _, mode=mode: self.pressed.emit(mode))
            self.buttons[mode] = button
            row.addWidget(button)
        self.setFocusProxy(self.buttons[GRID])

    def show_active(self, active: str, reasons: Mapping[str, str]) -> None:
        """Press the button of the active mode down; free those without a reason not to."""
        for mode, button in self.buttons.items():
            button.setChecked(mode == active)
            button.setEnabled(mode == active or not reasons.get(mode))


class CompareControls(Form):
    """The form of the Compare dock; it knows no viewer.

    Signals
    -------
    layers_changed
        Other layers are ticked, or another truth is chosen.
    changed
        Something that is remembered is another one now.
    """

    layers_changed = Signal()
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.ticks = TickList(
            "The layers to compare. They are shown in the order of the layer list."
        )
        self.truth = Choice()
        self.truth.setToolTip(
            "The layer that the others are measured against, in the loupe and in figures."
        )
        self.modes = ModeButtons()
        self.reason = Caption()
        self.curtain, self.blink = CurtainOptions(), BlinkOptions()
        self.loupe = LoupeOptions()
        self.options: dict[str, QWidget] = {
            CURTAIN: self.curtain,
            BLINK: self.blink,
            LOUPE: self.loupe,
        }
        self.ready = CURTAIN
        self._truth_is_chosen = False
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.rows.addRow("La&yers", self.ticks)
        self.rows.addRow("Tr&uth", self.truth)
        below = QVBoxLayout()
        below.setSpacing(6)
        below.addWidget(self.modes)
        below.addWidget(self.reason)
        for options in self.options.values():
            below.addWidget(options)
        self.rows.addRow(below)

    def _connect(self) -> None:
        self.ticks.changed.connect(self.layers_changed)
        self.truth.chosen.connect(self._on_truth)
        self.curtain.turned.connect(lambda _: self.changed.emit())
        self.blink.changed.connect(self.changed)
        self.loupe.changed.connect(self.changed)

    def _on_truth(self) -> None:
        self._truth_is_chosen = True
        self.layers_changed.emit()

    def set_layers(
        self, names: Sequence[tuple[str, int]], suggested: Sequence[int]
    ) -> None:
        """Offer these layers, and guess the truth until it is chosen by hand."""
        self.ticks.set_layers(names, suggested)
        before = self.truth.value()
        self.truth.blockSignals(True)
        self.truth.set_options([("none", None), *names])
        if not self._truth_is_chosen or before not in [key for _, key in names]:
            self.truth.set_value(_guessed_truth(names))
        self.truth.blockSignals(False)

    def show_ready(self, mode: str) -> None:
        """Show what can be set for a mode."""
        self.ready = mode
        for name, options in self.options.items():
            options.setVisible(name == mode)
        self.changed.emit()

    def settings(self) -> dict[str, Any]:
        """What is remembered, under the names of the manifest's configuration."""
        return {
            "mode": self.ready,
            "direction": self.curtain.direction.value(),
            "rate": self.blink.rate.value(),
            "magnification": self.loupe.magnification.value(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set what was remembered."""
        self.curtain.direction.set_value(values["direction"])
        self.blink.rate.setValue(values["rate"])
        self.loupe.magnification.setValue(values["magnification"])
        self.show_ready(values["mode"])


def _guessed_truth(names: Sequence[tuple[str, int]]) -> int | None:
    """A layer that is called like one, None if there is none."""
    for name, key in names:
        words = name.lower().replace("_", " ").replace("-", " ").split()
        if any(word.strip("(),") in _TRUTHS for word in words):
            return key
    return None
