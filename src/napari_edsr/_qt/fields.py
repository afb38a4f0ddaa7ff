"""Small fields that the options are made of."""

from __future__ import annotations

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
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.setKeyboardTracking(False)
        self.setMinimumWidth(NARROWEST)

    def textFromValue(self, value: float) -> str:
        """Without the zeros at the end; called by Qt."""
        text = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").removesuffix(point) if point in text else text


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
