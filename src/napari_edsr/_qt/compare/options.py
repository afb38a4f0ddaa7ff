"""What can be set for each way of comparing."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QPushButton,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_edsr._qt.compare.curtain import HORIZONTAL, VERTICAL
from napari_edsr._qt.controls import Choice, Segments

_STEPS = 1000  # of the slider
_SIDES = {VERTICAL: ("L&eft", "&Right"), HORIZONTAL: ("Upp&er", "Lowe&r")}


class _Options(QWidget):
    """Rows of a form."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = QFormLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )


class CurtainOptions(_Options):
    """Which layer is at which side, and where the line is.

    Signals
    -------
    sides_changed
        Other layers, or the same two swapped.
    turned(str)
        The line is vertical or horizontal now.
    moved(float)
        The line is to be at this position from 0 to 1.
    """

    sides_changed = Signal()
    turned = Signal(str)
    moved = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first, self.second = Choice(), Choice()
        self.first.setToolTip("The layer at the left of the line, or above it.")
        self.second.setToolTip("The layer at the right of the line, or below it.")
        self.swap = QPushButton("Swap si&des")
        self.swap.setToolTip("Exchange the two layers; in the canvas, press X.")
        self.direction = Segments(
            [
                ("Ver&tical", VERTICAL, "A line from top to bottom."),
                ("Hori&zontal", HORIZONTAL, "A line from left to right."),
            ]
        )
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setSingleStep(_STEPS // 100)
        self.slider.setPageStep(_STEPS // 10)
        self.slider.setValue(_STEPS // 2)
        self.slider.setToolTip(
            "Where the line is. It can be dragged in the canvas as well, or moved there "
            "with the arrow keys."
        )
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.rows.addRow("L&eft", self.first)
        self.rows.addRow("&Right", self.second)
        self.rows.addRow("Line", self.direction)
        self.rows.addRow("Posit&ion", self.slider)
        self.rows.addRow("", self.swap)

    def _connect(self) -> None:
        self.first.chosen.connect(lambda _: self._keep_apart(self.second))
        self.second.chosen.connect(lambda _: self._keep_apart(self.first))
        self.swap.clicked.connect(self.swap_sides)
        self.direction.chosen.connect(self._on_direction)
        self.slider.valueChanged.connect(lambda value: self.moved.emit(value / _STEPS))

    @property
    def position(self) -> float:
        """Of the line, from 0 to 1."""
        return self.slider.value() / _STEPS

    def show_position(self, position: float) -> None:
        """Follow the line as it is moved in the canvas; emits nothing."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(position * _STEPS))

    def set_layers(self, names: Sequence[tuple[str, int]]) -> None:
        """Offer these; sides that are no longer there become the first and the last."""
        before = self.sides()
        for chooser, end in ((self.first, 0), (self.second, -1)):
            with QSignalBlocker(chooser):
                known = chooser.value() in [key for _, key in names]
                chooser.set_options(names)
                if names and not known:
                    chooser.set_value(names[end][1])
        if self.first.value() == self.second.value() and len(names) > 1:
            self._move_on(self.second)
        if self.sides() != before:
            self.sides_changed.emit()

    def sides(self) -> tuple[object, object]:
        """Keys of the two layers."""
        return self.first.value(), self.second.value()

    def set_sides(self, first: int, second: int) -> None:
        """Choose both layers."""
        with QSignalBlocker(self.first), QSignalBlocker(self.second):
            self.first.set_value(first)
            self.second.set_value(second)
        self.sides_changed.emit()

    def swap_sides(self) -> None:
        """Exchange the two layers."""
        first, second = self.sides()
        if isinstance(first, int) and isinstance(second, int):
            self.set_sides(second, first)

    def _keep_apart(self, other: Choice) -> None:
        if self.first.value() == self.second.value():
            self._move_on(other)
        self.sides_changed.emit()

    def _move_on(self, chooser: Choice) -> None:
        """Choose the next layer of the list; emits nothing."""
        with QSignalBlocker(chooser):
            place = (chooser.currentIndex() + 1) % max(1, chooser.count())
            chooser.setCurrentIndex(place)

    def _on_direction(self, direction: str) -> None:
        for chooser, text in zip(
            (self.first, self.second), _SIDES[direction], strict=True
        ):
            label = self.rows.labelForField(chooser)
            label.setText(text)  # type: ignore[union-attr]
        self.turned.emit(direction)


class BlinkOptions(_Options):
    """How fast, and a rest.

    Signals
    -------
    changed
    pause_asked(bool)
    """

    changed = Signal()
    pause_asked = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rate = QDoubleSpinBox()
        self.rate.setRange(0.5, 10)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setValue(2)
        self.rate.setSuffix(" layers per second")
        self.rate.setToolTip("How many layers are shown in a second.")
        self.pause = QPushButton("Pause &blinking")
        self.pause.setCheckable(True)
        self.pause.setToolTip("Stay at the layer that is shown, or go on.")
        self.rows.addRow("Fre&quency", self.rate)
        self.rows.addRow("", self.pause)
        self.rate.valueChanged.connect(lambda _: self.changed.emit())
        self.pause.toggled.connect(self.pause_asked)


class LoupeOptions(_Options):
    """How much larger.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.magnification = QSpinBox()
        self.magnification.setRange(2, 16)
        self.magnification.setValue(8)
        self.magnification.setSuffix(" ×")
        self.magnification.setToolTip(
            "How large a pixel of the layer with the smallest pixels is drawn."
        )
        self.rows.addRow("&Magnified", self.magnification)
        self.magnification.valueChanged.connect(lambda _: self.changed.emit())
