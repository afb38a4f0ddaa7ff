"""The controls of the Fine-tune dock as one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QPushButton, QWidget

from napari_edsr._qt.controls import Section, Segments
from napari_edsr._qt.finetune.degradation import DegradationOptions, SideOptions
from napari_edsr._qt.finetune.options import KeptAside, TrainingOptions
from napari_edsr._qt.finetune.teach_list import TeachList
from napari_edsr._qt.form import Form
from napari_edsr._qt.models import ModelChooser
from napari_edsr.config import SCALES


class FinetuneControls(Form):
    """The form of the Fine-tune dock; it knows no viewer.

    Signals
    -------
    changed
        One of the choices is another one now.
    see_asked
        The low-resolution side is to be shown.
    """

    changed = Signal()
    see_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.teach = TeachList()
        self.scale = Segments(
            [
                (f"×&{scale}", scale, f"Learn to enlarge {scale} times.")
                for scale in SCALES
            ]
        )
        self.models = ModelChooser()
        self.side = SideOptions()
        self.degradation, self.training = DegradationOptions(), TrainingOptions()
        self.see = QPushButton("Sho&w what the network will see")
        self.see.setToolTip(
            "Add the low-resolution images, blur and noise included, as layers: they "
            "should look like the images that you want to upscale."
        )
        self.kept = KeptAside()
        self.name = QLineEdit()
        self.name.setToolTip("What the new model will be called.")
        self.name.setMaxLength(100)
        self._suggested = ""
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.rows.addRow("&Teach", self.teach)
        self.rows.addRow("Scale", self.scale)
        self.rows.addRow("Start fro&m", self.models)
        self.rows.addRow("&Low res.", self.side)
        self.add_sections(
            {
                "degradation": Section(
                    "How it is made",
                    self.degradation,
                    "What the camera and the optics do to the images that you want to "
                    "upscale; the network learns to undo it.",
                )
            }
        )
        self.rows.addRow(self.see)
        self.rows.addRow("&Keep aside", self.kept)
        self.add_sections(
            {
                "training": Section(
                    "Training", self.training, "How long and how fast it learns."
                )
            }
        )
        self.rows.addRow("Na&me", self.name)

    def _connect(self) -> None:
        self.scale.chosen.connect(self.models.set_scale)
        self.models.scale_asked.connect(self.scale.set_value)
        parts = (self.teach, self.models, self.side, self.degradation)
        for options in (*parts, self.kept, self.training):
            options.changed.connect(self._on_change)
        self.see.clicked.connect(self.see_asked)
        self.name.textEdited.connect(self._on_change)
        self.name.editingFinished.connect(self._on_name)
        self._summarise()

    def _on_change(self) -> None:
        self._summarise()
        self.changed.emit()

    def _summarise(self) -> None:
        self.sections["degradation"].setVisible(not self.side.is_real)
        self.sections["degradation"].set_summary(self.degradation.summary())
        self.sections["training"].set_summary(self.training.summary())

    def suggest_name(self, name: str) -> None:
        """Put in a name, unless the user has written one."""
        if self.name.text() == self._suggested:
            self.name.setText(name)
        self._suggested = name

    def renew_name(self, name: str) -> None:
        """Put in another name, as the one that stands there is taken now."""
        self._suggested = name
        self.name.setText(name)

    def _on_name(self) -> None:
        """Put the suggestion back where nothing was written."""
        if not self.name.text().strip():
            self.name.setText(self._suggested)
            self._on_change()

    def set_devices(self, devices: Sequence[str], auto: str) -> None:
        """Complete the list of devices."""
        self.training.set_devices(devices, auto)
        self._summarise()

    def settings(self) -> dict[str, Any]:
        """What is remembered, under the names of the manifest's configuration."""
        return {
            "scale": self.scale.value(),
            "model": self.models.remembered,
            "held_out": self.kept.share.value(),
            **self.degradation.settings(),
            **self.training.settings(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set what was remembered; what is not there any more stays as it is."""
        self.scale.set_value(values["scale"])
        self.models.set_value(values["model"])
        self.kept.share.setValue(values["held_out"])
        self.degradation.restore(values)
        self.training.restore(values)
