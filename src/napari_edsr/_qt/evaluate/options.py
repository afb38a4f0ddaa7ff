"""How to measure: what is shaved off, which colours count, and what white is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QSpinBox, QVBoxLayout, QWidget

from napari_edsr._qt.controls import Choice
from napari_edsr._qt.evaluate.requests import FROM_TRUTH, FROM_TYPE, Rules
from napari_edsr._qt.fields import NumberBox
from napari_edsr._qt.options import option_form

_AUTO_BORDER = -1
_WIDEST = 4096
_LARGEST = 1e12
_GIVEN = "given"
_AS_IS, _Y = "as is", "Y"


class RuleOptions(QWidget):
    """Border, colour, data range, and whether to register."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.border = QSpinBox()
        self.border.setRange(_AUTO_BORDER, _WIDEST)
        self.border.setValue(_AUTO_BORDER)
        self.border.setSuffix(" px")
        self.border.setSpecialValueText("auto")
        self.border.setKeyboardTracking(False)
        self.border.setToolTip(
            "Pixels of the truth that are left out along each side. 'auto' is what the "
            "protocol says."
        )
        self.colour = Choice([("as it is", _AS_IS), ("Y (luma of RGB)", _Y)])
        self.colour.setToolTip(
            "Whether all colours are measured together, or the luma alone."
        )
        self.data_range = Choice(
            [
                ("of the type", FROM_TYPE),
                ("truth's smallest to largest", FROM_TRUTH),
                ("given", _GIVEN),
            ]
        )
        self.data_range.setAccessibleName("Data range")
        self.data_range.setToolTip(
            "White minus black, which decibels are measured from. Types of 16 bits can "
            "hold far more than most images do, which flatters them; floats have no "
            "range of their own, so that the truth's is taken."
        )
        self.white = NumberBox(0, _LARGEST)
        self.white.setAccessibleName("White minus black")
        self.white.setValue(255)
        self.white.setToolTip("White minus black, in the units of the layers.")
        self.register = QCheckBox("Reg&ister first")
        self.register.setToolTip(
            "Find by how many pixels, and parts of one, each candidate is shifted against "
            "the truth, and undo it. The table says how much it was."
        )
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        ranges = QWidget()
        ranges.setFocusProxy(self.data_range)
        column = QVBoxLayout(ranges)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.data_range)
        column.addWidget(self.white)
        form = option_form(self)
        form.addRow("Bord&er", self.border)
        form.addRow("Colo&ur", self.colour)
        form.addRow("Data ran&ge", ranges)
        form.addRow(self.register)
        self._show_white()

    def _connect(self) -> None:
        for choice in (self.colour, self.data_range):
            choice.chosen.connect(self._on_change)
        for box in (self.border, self.white):
            box.valueChanged.connect(self._on_change)
        self.register.toggled.connect(self._on_change)

    def _on_change(self) -> None:
        self._show_white()
        self.changed.emit()

    def _show_white(self) -> None:
        self.white.setVisible(self.data_range.value() == _GIVEN)

    def follow_protocol(self, protocol: str) -> None:
        """Leave the colour to protocols that say which."""
        self.colour.setEnabled(protocol == "microscopy")

    def value(self, protocol: str) -> Rules:
        """As the jobs take it, without a scale."""
        border, data_range = self.border.value(), self.data_range.value()
        return Rules(
            protocol=protocol,
            border=None if border == _AUTO_BORDER else border,
            colour=str(self.colour.value()) if self.colour.isEnabled() else None,
            data_range=(
                self.white.value() if data_range == _GIVEN else str(data_range)
            ),
            registers=self.register.isChecked(),
        )

    def summary(self) -> str:
        """In a few words."""
        border = self.border.value()
        words = ["border auto" if border == _AUTO_BORDER else f"border {border} px"]
        if self.data_range.value() == _GIVEN:
            words.append(f"range {self.white.value():g}")
        else:
            words.append(f"range {self.data_range.currentText()}")
        if self.colour.isEnabled() and self.colour.value() == _Y:
            words.append("Y")
        if self.register.isChecked():
            words.append("registered")
        return ", ".join(words)

    def settings(self) -> dict[str, Any]:
        """What is remembered, under the names of the manifest's configuration."""
        return {
            "border": self.border.value(),
            "colour": self.colour.value(),
            "data_range": self.data_range.value(),
            "white": self.white.value(),
            "registration": self.register.isChecked(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set what was remembered."""
        self.border.setValue(values["border"])
        self.colour.set_value(values["colour"])
        self.data_range.set_value(values["data_range"])
        self.white.setValue(values["white"])
        self.register.setChecked(values["registration"])
