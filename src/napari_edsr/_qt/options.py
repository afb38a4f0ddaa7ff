"""The options of a run: where it computes, what it takes as black and white, what of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.controls import Caption, Choice, Segments
from napari_edsr._qt.fields import NumberBox
from napari_edsr._qt.wording import device_name

_LARGEST_TILE = 8192
_INTENSITIES = (
    ("Automatic", "auto"),
    ("Range of the type", "dtype"),
    ("Percentiles 0.1–99.9", "percentile"),
    ("Contrast limits of the layer", "contrast-limits"),
    ("From … to …", "range"),
)
_METHODS = {
    "dtype": "the range of the type",
    "percentile": "percentiles 0.1–99.9 of all planes",
}


def option_form(parent: QWidget) -> QFormLayout:
    """A form for the inside of a section."""
    form = QFormLayout(parent)
    form.setContentsMargins(14, 2, 0, 4)
    form.setHorizontalSpacing(8)
    form.setVerticalSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return form


class SpeedOptions(QWidget):
    """Tile size, device and precision."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._auto_device = ""
        self._wanted_device = ""
        self.tile = QSpinBox()
        self.tile.setRange(0, _LARGEST_TILE)
        self.tile.setSingleStep(32)
        self.tile.setSpecialValueText("auto")
        self.tile.setSuffix(" px")
        self.tile.setKeyboardTracking(False)
        self.tile.setToolTip(
            "Side of the squares the image is cut into, in its own pixels. Smaller ones "
            "take less memory and more time; the result is the same. 'auto' goes by rows "
            "on the CPU, which computes nothing twice, and else fits the free memory."
        )
        self.device = Choice([("auto", "auto"), ("CPU", "cpu")])
        self.device.setToolTip(
            "Where the network runs. 'auto' takes the first GPU that PyTorch can use, else "
            "the CPU. MNN is quicker than the CPU alone, but its grey levels differ by up "
            "to the error named. The list is complete a moment after the dock was opened."
        )
        self.precision = Choice(
            [("auto", "auto"), ("fp32", "fp32"), ("fp16", "fp16"), ("bf16", "bf16")]
        )
        self.precision.setToolTip(
            "Number format inside the network. 'auto' is fp32, but half for 8-bit images "
            "where that is faster and changes no grey level by more than a half."
        )
        self._lay_out()

    def _lay_out(self) -> None:
        form = option_form(self)
        form.addRow("&Tile", self.tile)
        form.addRow("&Device", self.device)
        form.addRow("Precisi&on", self.precision)
        self.tile.valueChanged.connect(self.changed)
        self.device.chosen.connect(self._on_device)
        self.precision.chosen.connect(self.changed)

    def value(self) -> dict[str, Any]:
        """Keyword arguments of the engine."""
        return {
            "tile": self.tile.value() or "auto",
            "device": self.device.value(),
            "precision": self.precision.value(),
        }

    def set_value(self, tile: int, device: str, precision: str) -> None:
        """Restore what was remembered; a device not known yet is kept in mind."""
        self.tile.setValue(tile)
        self._wanted_device = "" if self.device.set_value(device) else device
        self.precision.set_value(precision)

    def _on_device(self) -> None:
        self._wanted_device = ""
        self.changed.emit()

    def set_devices(
        self, devices: Sequence[str], auto: str, fast_error: float | None = None
    ) -> None:
        """Complete the list with what torch sees; `auto` is what it would take."""
        self._auto_device = auto
        named = [(device_name(device), device) for device in devices]
        if fast_error is not None:
            named.append((f"{device_name('mnn')}, error {fast_error:.2g}", "mnn"))
        self.device.set_options([(f"auto: {device_name(auto)}", "auto"), *named])
        self.device.set_value(self._wanted_device)

    @property
    def remembered_device(self) -> str:
        """What to choose the next time: the device, or one that may be back then."""
        return self._wanted_device or str(self.device.value())

    @property
    def actual_device(self) -> str:
        """The device that will be used, as far as is known."""
        device = str(self.device.value())
        return (self._auto_device or "cpu") if device == "auto" else device

    def summary(self) -> str:
        """In a few words."""
        words = [self.device.currentText()]
        if self.tile.value():
            words.append(f"tile {self.tile.value()} px")
        if self.precision.value() != "auto":
            words.append(self.precision.currentText())
        return ", ".join(words)


class IntensityOptions(QWidget):
    """Which intensities the network sees as black and white."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._automatic = ""
        self.method = Choice(_INTENSITIES)
        self.method.setToolTip(
            "The intensities the network takes for black and white. Nothing is clipped and "
            "the result keeps the grey levels of the image; one range holds for the whole "
            "stack, so that time series do not flicker."
        )
        self.low, self.high = _number(0.0), _number(1.0)
        self.low.setAccessibleName("Black")
        self.low.setToolTip("Intensity that the network sees as black.")
        self.high.setAccessibleName("White")
        self.high.setToolTip("Intensity that the network sees as white.")
        self._range = QWidget()
        row = QHBoxLayout(self._range)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low)
        row.addWidget(QLabel("to"))
        row.addWidget(self.high)
        self.note = Caption()
        form = option_form(self)
        form.addRow("Ran&ge", self.method)
        form.addRow("", self._range)
        form.addRow(self.note)
        self.method.chosen.connect(self._on_change)
        self.low.valueChanged.connect(self._on_change)
        self.high.valueChanged.connect(self._on_change)
        self._on_change()

    def _on_change(self) -> None:
        self._range.setVisible(self.method.value() == "range")
        self._show_note()
        self.changed.emit()

    def _show_note(self) -> None:
        automatic = self.method.value() == "auto" and bool(self._automatic)
        self.note.show_text(f"For this layer: {self._automatic}." if automatic else "")

    def set_automatic(self, method: str) -> None:
        """Say what ``auto`` stands for on the layer at hand."""
        self._automatic = _METHODS.get(method, "")
        self._show_note()

    def value(self) -> str | tuple[float, float]:
        """The engine's ``normalize``."""
        method = str(self.method.value())
        return (self.low.value(), self.high.value()) if method == "range" else method

    def set_value(self, method: str, low: float, high: float) -> None:
        """Restore what was remembered."""
        self.low.setValue(low)
        self.high.setValue(high)
        self.method.set_value(method)

    def summary(self) -> str:
        """In a few words."""
        if self.method.value() == "range":
            return f"{self.low.value():g} to {self.high.value():g}"
        return self.method.currentText().lower()


def _number(value: float) -> NumberBox:
    box = NumberBox(-1e12, 1e12)
    box.setButtonSymbols(NumberBox.ButtonSymbols.NoButtons)
    box.setValue(value)
    return box


class QualityOptions(QWidget):
    """The self-ensemble and what its spread says."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.ensemble = QCheckBox("Self-ensem&ble, 8 times slower")
        self.ensemble.setToolTip(
            "Upscales eight flipped and turned copies and takes their mean: about 0.1 dB "
            "better."
        )
        self.uncertainty = QCheckBox("Uncertaint&y layer")
        self.uncertainty.setToolTip(
            "Adds a hidden layer with the standard deviation over the eight copies: where "
            "the network is unsure. Needs the self-ensemble."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 2, 0, 4)
        column.addWidget(self.ensemble)
        column.addWidget(self.uncertainty)
        self.ensemble.toggled.connect(self._on_ensemble)
        self.uncertainty.toggled.connect(self._on_uncertainty)

    def _on_ensemble(self, on: bool) -> None:
        if not on:
            self.uncertainty.setChecked(False)
        self.changed.emit()

    def _on_uncertainty(self, on: bool) -> None:
        if on:
            self.ensemble.setChecked(True)
        self.changed.emit()

    def value(self) -> dict[str, bool]:
        """Keyword arguments of the engine."""
        return {
            "self_ensemble": self.ensemble.isChecked(),
            "uncertainty": self.uncertainty.isChecked(),
        }

    def set_value(self, values: Mapping[str, bool]) -> None:
        """Restore what was remembered."""
        self.ensemble.setChecked(values["self_ensemble"])
        self.uncertainty.setChecked(values["uncertainty"])

    def summary(self) -> str:
        """In a few words."""
        if self.uncertainty.isChecked():
            return "self-ensemble, uncertainty"
        return "self-ensemble" if self.ensemble.isChecked() else "one pass"


class RegionOptions(QWidget):
    """The part of the layer: all, what the view shows, or a rectangle; which planes."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.part = Segments(
            [
                ("Whole", "layer", "Upscale all rows and columns."),
                ("View", "view", "Upscale only what the canvas shows now."),
                (
                    "Rectangle",
                    "rectangle",
                    "Upscale only what lies inside the selected shape of a Shapes layer, or "
                    "its last one.",
                ),
            ]
        )
        self.all_planes = QCheckBox("All planes, the whole stac&k")
        self.all_planes.setToolTip(
            "Upscale every plane of the stack; without it, only the one the sliders are at."
        )
        self.all_planes.setChecked(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.part)
        column.addWidget(self.all_planes)
        self.setFocusProxy(self.part)
        self.part.chosen.connect(self.changed)
        self.all_planes.toggled.connect(self.changed)

    def set_stack(self, is_stack: bool) -> None:
        """Offer the choice of planes only where there are several."""
        self.all_planes.setVisible(is_stack)

    def value(self) -> tuple[str, bool]:
        """Which part, and whether of all planes."""
        return str(self.part.value()), self.all_planes.isChecked()

    def set_value(self, part: str, all_planes: bool) -> None:
        """Restore what was remembered."""
        self.part.set_value(part)
        self.all_planes.setChecked(all_planes)
