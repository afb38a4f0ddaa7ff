"""The options of a fine-tuning run: what is kept aside, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSpinBox,
    QWidget,
)

from napari_edsr._qt.controls import Choice, Segments
from napari_edsr._qt.fields import NARROWEST, beside, count
from napari_edsr._qt.options import option_form
from napari_edsr._qt.wording import device_name

SHARE, RECTANGLE = "share", "rectangle"
_RATE_UNIT = 1e-4
_MOST = 10**7
_LARGEST_SEED = 2**31 - 1


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
        self.share.setAccessibleName("Share kept aside")
        self.share.setMinimumWidth(NARROWEST)
        self.share.setRange(0, 50)
        self.share.setValue(10)
        self.share.setSuffix(" %")
        self.share.setToolTip(
            "Never trained on: the network is measured on it to see whether it learns. "
            "With 0 % nothing is measured."
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
        self.steps = count(1, _MOST, "Optimiser steps in all. More learn more.")
        self.steps.setSingleStep(100)
        self.rate = QDoubleSpinBox()
        self.rate.setRange(0.01, 100)
        self.rate.setDecimals(2)
        self.rate.setMinimumWidth(NARROWEST)
        self.rate.setSuffix(" × 10⁻⁴")
        self.rate.setToolTip(
            "Peak learning rate. Lower it if the curve falls; 1 × 10⁻⁴ is the paper's."
        )
        self.patch = count(
            8, 1024, "Side of the squares it learns from, in low-resolution pixels."
        )
        self.patch.setAccessibleName("Patch")
        self.patch.setSuffix(" px")
        self.batch = count(1, 1024, "Squares in a step.")
        self.batch.setAccessibleName("Batch")
        self.every = count(
            1, _MOST, "Steps after which it is measured and the picture redrawn."
        )
        self.seed = count(0, _LARGEST_SEED, "The same seed gives the same run.")
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
        form.addRow("Patch, batch", beside(self.patch, self.batch))
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
