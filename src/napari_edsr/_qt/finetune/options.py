"""The options of a fine-tuning run: the low-resolution side, what is kept aside, how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.controls import Choice, Segments
from napari_edsr._qt.options import option_form
from napari_edsr._qt.wording import device_name
from napari_edsr.train_config import Degradation

MADE, REAL = "made", "real"
SHARE, RECTANGLE = "share", "rectangle"
BY_POSITION = "by position"
_UNITS = (("px", "px"), ("nm", "nm"), ("µm", "um"), ("mm", "mm"))
_RATE_UNIT = 1e-4
_MOST = 10**7
_LARGEST_SEED = 2**31 - 1
_NARROWEST = 56  # pixels; a spin box would reserve room for its largest number


class DegradationOptions(QWidget):
    """How the low-resolution side is made from the sharp images."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shrink = Choice(
            [("bicubic, as published", "bicubic"), ("area, as a camera bins", "area")]
        )
        self.shrink.setToolTip(
            "How the sharp image is made smaller. 'bicubic' is MATLAB's, with "
            "antialiasing, which the published networks were trained for."
        )
        self.blur = _amount(
            999, 2, "Standard deviation of the microscope's or lens's Gaussian blur."
        )
        self.unit = Choice(_UNITS)
        self.unit.setMinimumContentsLength(3)
        self.unit.setToolTip(
            "Unit of the blur: pixels of the sharp image, or a length, for layers whose "
            "pixel size is known."
        )
        self.photons = _amount(
            _MOST, 0, "Photons that white stands for: fewer of them mean more noise."
        )
        self.read_noise = _amount(
            _MOST, 1, "Standard deviation of the camera's own noise, in photons."
        )
        self.jpeg = QCheckBox()
        self.jpeg.setToolTip("Compress as a JPEG file does. For 8-bit images.")
        self.worst, self.best = _quality(60), _quality(95)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = option_form(self)
        form.addRow("Shri&nk", self.shrink)
        form.addRow("&Blur, sigma", _row(self.blur, self.unit))
        form.addRow("Ph&otons", self.photons)
        form.addRow("Read noise", self.read_noise)
        form.addRow(
            "&JPEG quality", _row(self.jpeg, self.worst, QLabel("to"), self.best)
        )

    def _connect(self) -> None:
        for choice in (self.shrink, self.unit):
            choice.chosen.connect(self.changed)
        for box in (self.blur, self.photons, self.read_noise, self.worst, self.best):
            box.valueChanged.connect(self.changed)
        self.jpeg.toggled.connect(self._on_jpeg)
        self._on_jpeg()

    def _on_jpeg(self) -> None:
        for box in (self.worst, self.best):
            box.setEnabled(self.jpeg.isChecked())
        self.changed.emit()

    def value(self) -> Degradation:
        """What the controls say; a `TrainingError` says what makes no sense."""
        qualities = (self.worst.value(), self.best.value())
        return Degradation(
            shrink=str(self.shrink.value()),
            blur=self.blur.value(),
            blur_unit=str(self.unit.value()),
            photons=self.photons.value(),
            read_noise=self.read_noise.value(),
            jpeg=qualities if self.jpeg.isChecked() else (),
        )

    def settings(self) -> dict[str, Any]:
        """What is remembered."""
        return {
            "shrink": self.shrink.value(),
            "blur": self.blur.value(),
            "blur_unit": self.unit.value(),
            "photons": self.photons.value(),
            "read_noise": self.read_noise.value(),
            "jpeg": self.jpeg.isChecked(),
            "jpeg_from": self.worst.value(),
            "jpeg_to": self.best.value(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set what was remembered."""
        self.shrink.set_value(values["shrink"])
        self.blur.setValue(values["blur"])
        self.unit.set_value(values["blur_unit"])
        self.photons.setValue(values["photons"])
        self.read_noise.setValue(values["read_noise"])
        self.worst.setValue(values["jpeg_from"])
        self.best.setValue(values["jpeg_to"])
        self.jpeg.setChecked(values["jpeg"])

    def summary(self) -> str:
        """In a few words."""
        words = [str(self.shrink.value())]
        if self.blur.value():
            words.append(f"blur {self.blur.value():g} {self.unit.currentText()}")
        if self.photons.value():
            words.append(f"{self.photons.value():g} photons")
        if self.read_noise.value():
            words.append("read noise")
        if self.jpeg.isChecked():
            words.append("JPEG")
        return ", ".join(words)


class SideOptions(QWidget):
    """Whether the low-resolution side is made, or real images show it."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = Segments(
            [
                ("Made smaller", MADE, "Make them from the sharp images."),
                (
                    "Real images",
                    REAL,
                    "Use images of the same field that were taken at low resolution.",
                ),
            ]
        )
        self.partner = Choice([("found by position", BY_POSITION)])
        self.partner.setToolTip(
            "The layer with the low-resolution image. The two are matched by their "
            "position in the world, and cropped to what both show."
        )
        self.folder = QPushButton()
        self.folder.setToolTip(
            "The low-resolution images of the folder, of the same names or as many."
        )
        self._path = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.kind)
        column.addWidget(self.partner)
        column.addWidget(self.folder)
        self.setFocusProxy(self.kind)
        self.kind.chosen.connect(self._on_kind)
        self.partner.chosen.connect(self.changed)
        self.folder.clicked.connect(self._ask_for_folder)
        self._asks_folder = False
        self._show()

    def _on_kind(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        name = Path(self._path).name
        self.folder.setText(f"Folder: {name}" if name else "Choose their folder…")
        self.partner.setVisible(self.is_real)
        self.folder.setVisible(self.is_real and self._asks_folder)

    def ask_folder(self, needed: bool) -> None:
        """Offer to choose the folder that belongs to the one with the sharp images."""
        self._asks_folder = needed
        self._show()

    def _ask_for_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of low-resolution images")
        if path:
            self.set_lr_folder(path)

    def set_lr_folder(self, path: str) -> None:
        """Take the low-resolution images from a folder."""
        self._path = path
        self._show()
        self.changed.emit()

    @property
    def lr_folder(self) -> str:
        """Folder of the low-resolution images; empty if none was chosen."""
        return self._path

    @property
    def is_real(self) -> bool:
        """Whether there are real low-resolution images."""
        return self.kind.value() == REAL

    def set_layers(self, names: Sequence[tuple[str, int]]) -> None:
        """Offer these layers as the low-resolution side."""
        options: list[tuple[str, object]] = [("found by position", BY_POSITION)]
        self.partner.set_options([*options, *names])


class KeptAside(QWidget):
    """What is not trained on, but measured."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.part = Segments(
            [
                (
                    "Share",
                    SHARE,
                    "Keep aside the end of the longer side of each image.",
                ),
                (
                    "Rectangle",
                    RECTANGLE,
                    "Keep aside what lies inside the selected shape of a Shapes layer, "
                    "or its last one.",
                ),
            ]
        )
        self.share = QSpinBox()
        self.share.setMinimumWidth(_NARROWEST)
        self.share.setRange(0, 50)
        self.share.setValue(10)
        self.share.setSuffix(" %")
        self.share.setToolTip(
            "Never trained on: the network is measured on it, so that it is seen whether "
            "it learns. With 0 % nothing is measured."
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.part, 1)
        row.addWidget(self.share)
        self.setFocusProxy(self.part)
        self.part.chosen.connect(self._on_part)
        self.share.valueChanged.connect(self.changed)

    def _on_part(self) -> None:
        self.share.setEnabled(not self.is_rectangle)
        self.changed.emit()

    @property
    def is_rectangle(self) -> bool:
        """Whether a rectangle is kept aside, and no share."""
        return self.part.value() == RECTANGLE


class TrainingOptions(QWidget):
    """Steps, learning rate and the like."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._auto_device = "cpu"
        self.steps = _count(1, _MOST, "Optimiser steps in all. More learn more.")
        self.steps.setSingleStep(100)
        self.rate = QDoubleSpinBox()
        self.rate.setRange(0.01, 100)
        self.rate.setDecimals(2)
        self.rate.setMinimumWidth(_NARROWEST)
        self.rate.setSuffix(" × 10⁻⁴")
        self.rate.setToolTip(
            "Peak learning rate. Lower it if the curve falls; 1 × 10⁻⁴ is the paper's."
        )
        self.patch = _count(
            8, 1024, "Side of the squares it learns from, in low-resolution pixels."
        )
        self.patch.setSuffix(" px")
        self.batch = _count(1, 1024, "Squares in a step.")
        self.every = _count(
            1, _MOST, "Steps after which it is measured and the picture redrawn."
        )
        self.seed = _count(0, _LARGEST_SEED, "The same seed gives the same run.")
        self.grey = QCheckBox("One cha&nnel instead of three")
        self.grey.setToolTip(
            "Turns a network for colour into one for grey images, which it then fits "
            "better and computes faster. Only offered where all images are grey."
        )
        self.grey.setChecked(True)
        self.device = Choice([("auto", "auto"), ("CPU", "cpu")])
        self.device.setToolTip(
            "Where it is trained; a GPU is many times faster. The list is complete a "
            "moment after the dock was opened."
        )
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = option_form(self)
        form.addRow("&Steps", self.steps)
        form.addRow("Learnin&g rate", self.rate)
        form.addRow("Patch, batch", _row(self.patch, self.batch))
        form.addRow("Measure e&very", self.every)
        form.addRow("Seed", self.seed)
        form.addRow("&Device", self.device)
        form.addRow(self.grey)

    def _connect(self) -> None:
        boxes = (self.steps, self.patch, self.batch, self.every, self.seed)
        for box in (*boxes, self.rate):
            box.valueChanged.connect(self.changed)
        self.device.chosen.connect(self.changed)
        self.grey.toggled.connect(self.changed)

    def set_devices(self, devices: Sequence[str], auto: str) -> None:
        """Complete the list with what torch sees; `auto` is what it would take."""
        self._auto_device = auto
        named = [(device_name(device), device) for device in devices]
        self.device.set_options([(f"auto: {device_name(auto)}", "auto"), *named])

    @property
    def actual_device(self) -> str:
        """The device that will be used, as far as is known."""
        chosen = str(self.device.value())
        return self._auto_device if chosen == "auto" else chosen

    def value(self) -> dict[str, Any]:
        """Keyword arguments of `napari_edsr.train_config.TrainConfig`."""
        return {
            "steps": self.steps.value(),
            "rate": self.rate.value() * _RATE_UNIT,
            "patch": self.patch.value(),
            "batch": self.batch.value(),
            "validate_every": self.every.value(),
            "seed": self.seed.value(),
            "device": str(self.device.value()),
        }

    def settings(self) -> dict[str, Any]:
        """What is remembered."""
        return {
            "steps": self.steps.value(),
            "rate": self.rate.value(),
            "patch": self.patch.value(),
            "batch": self.batch.value(),
            "every": self.every.value(),
            "seed": self.seed.value(),
            "grey": self.grey.isChecked(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set what was remembered."""
        for key in ("steps", "rate", "patch", "batch", "every", "seed"):
            getattr(self, key).setValue(values[key])
        self.grey.setChecked(values["grey"])

    def summary(self) -> str:
        """In a few words."""
        return f"{self.steps.value()} steps, {self.device.currentText()}"


def _row(*widgets: QWidget) -> QWidget:
    """Widgets beside one another."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel | QCheckBox) else 1)
    holder.setFocusProxy(widgets[0])
    return holder


def _amount(most: float, decimals: int, tip: str) -> QDoubleSpinBox:
    """Of something that can be left out."""
    box = QDoubleSpinBox()
    box.setRange(0, most)
    box.setDecimals(decimals)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    box.setSpecialValueText("none")
    box.setKeyboardTracking(False)
    box.setMinimumWidth(_NARROWEST)
    box.setToolTip(tip)
    return box


def _count(least: int, most: int, tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(least, most)
    box.setKeyboardTracking(False)
    box.setMinimumWidth(_NARROWEST)
    box.setToolTip(tip)
    return box


def _quality(value: int) -> QSpinBox:
    box = _count(1, 100, "JPEG quality, drawn anew between the two for each square.")
    box.setValue(value)
    box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
    return box
