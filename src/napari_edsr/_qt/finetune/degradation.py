"""The low-resolution side: how it is made, or which images show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.controls import Choice, Segments
from napari_edsr._qt.fields import amount, beside, quality
from napari_edsr._qt.options import option_form
from napari_edsr.train_config import Degradation

MADE, REAL = "made", "real"
BY_POSITION = "by position"
_UNITS = (("px", "px"), ("nm", "nm"), ("µm", "um"), ("mm", "mm"))
_MOST = 10**7


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
        self.blur = amount(
            999, 2, "Standard deviation of the microscope's or lens's Gaussian blur."
        )
        self.blur.setAccessibleName("Blur, sigma")
        self.unit = Choice(_UNITS)
        self.unit.setAccessibleName("Unit of the blur")
        self.unit.setMinimumContentsLength(3)
        self.unit.setToolTip(
            "Unit of the blur: pixels of the sharp image, or a length, for layers whose "
            "pixel size is known."
        )
        self.photons = amount(
            _MOST, 0, "Photons that white stands for: fewer of them mean more noise."
        )
        self.read_noise = amount(
            _MOST,
            1,
            "Standard deviation of the camera's own noise, if photons are given.",
        )
        self.jpeg = QCheckBox()
        self.jpeg.setAccessibleName("JPEG compression")
        self.jpeg.setToolTip("Compress as a JPEG file does. For 8-bit images.")
        self.worst, self.best = quality(60), quality(95)
        self.worst.setAccessibleName("Least JPEG quality")
        self.best.setAccessibleName("Best JPEG quality")
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = option_form(self)
        form.addRow("Shri&nk", self.shrink)
        form.addRow("&Blur, sigma", beside(self.blur, self.unit))
        form.addRow("Ph&otons", self.photons)
        form.addRow("Read noise", self.read_noise)
        form.addRow(
            "&JPEG quality", beside(self.jpeg, self.worst, QLabel("to"), self.best)
        )

    def _connect(self) -> None:
        for choice in (self.shrink, self.unit):
            choice.chosen.connect(self.changed)
        for box in (self.blur, self.photons, self.read_noise, self.worst, self.best):
            box.valueChanged.connect(self.changed)
        self.jpeg.toggled.connect(self._on_jpeg)
        self.worst.valueChanged.connect(self.best.setMinimum)
        self.photons.valueChanged.connect(self._on_photons)
        self._on_jpeg()
        self._on_photons()

    def _on_photons(self) -> None:
        """Read noise is counted in photons, so that these must be known."""
        self.read_noise.setEnabled(self.photons.value() > 0)

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
            read_noise=self.read_noise.value() if self.photons.value() else 0.0,
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
                (
                    "Made smaller",
                    MADE,
                    "Make the low-resolution images from the sharp ones.",
                ),
                (
                    "Real images",
                    REAL,
                    "Use images of the same field that were taken at low resolution.",
                ),
            ]
        )
        self.partner = Choice([("found by position", BY_POSITION)])
        self.partner.setAccessibleName("Layer with the low-resolution image")
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
