"""Small fields that the options are made of."""

from __future__ import annotations

import math
from decimal import Decimal

from qtpy.QtCore import QLocale
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QWidget,
)

_DECIMALS = 12
NARROWEST = 56  # pixels; a spin box would reserve room for its largest number


def beside(*widgets: QWidget) -> QWidget:
    """Widgets beside one another."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel | QCheckBox) else 1)
    holder.setFocusProxy(widgets[0])
    return holder


class NumberBox(QDoubleSpinBox):
    """Any number with as many digits as it needs: intensities may be tiny or huge."""

    def __init__(self, least: float, most: float) -> None:
        super().__init__()
        self.setDecimals(_DECIMALS)
        self.setRange(least, most)
        self.setKeyboardTracking(False)
        self.setMinimumWidth(NARROWEST)

    def textFromValue(self, value: float) -> str:
        """As few digits as tell it from all others; called by Qt."""
        exponent = Decimal(repr(value)).normalize().as_tuple().exponent
        locale = self.locale()
        locale.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator)
        return locale.toString(value, "f", min(max(0, -int(exponent)), _DECIMALS))

    def stepBy(self, steps: int) -> None:
        """By a tenth of the number's order of magnitude; called by Qt."""
        size = abs(self.value())
        self.setSingleStep(10.0 ** (math.floor(math.log10(size)) - 1) if size else 1.0)
        super().stepBy(steps)


def amount(most: float, decimals: int, tip: str) -> QDoubleSpinBox:
    """Of something that can be left out."""
    box = QDoubleSpinBox()
    box.setRange(0, most)
    box.setDecimals(decimals)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    box.setSpecialValueText("none")
    box.setKeyboardTracking(False)
    box.setMinimumWidth(NARROWEST)
    box.setToolTip(tip)
    return box


def count(least: int, most: int, tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(least, most)
    box.setKeyboardTracking(False)
    box.setMinimumWidth(NARROWEST)
    box.setToolTip(tip)
    return box


def quality(value: int) -> QSpinBox:
    box = count(1, 100, "JPEG quality, drawn anew between the two for each square.")
    box.setValue(value)
    box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
    return box
