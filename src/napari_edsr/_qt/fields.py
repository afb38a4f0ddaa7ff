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
