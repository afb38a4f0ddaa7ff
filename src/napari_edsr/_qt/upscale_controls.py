"""The controls of the Upscale dock as one form: what they say, and what they remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_edsr._qt.controls import Section, Segments
from napari_edsr._qt.folder.options import FolderOptions
from napari_edsr._qt.form import Form
from napari_edsr._qt.layer_chooser import LayerChooser
from napari_edsr._qt.models import ModelChooser
from napari_edsr._qt.options import (
    IntensityOptions,
    QualityOptions,
    RegionOptions,
    SpeedOptions,
)
from napari_edsr._qt.output_options import OutputOptions
from napari_edsr._qt.planning import Choices
from napari_edsr.config import SCALES


class UpscaleControls(Form):
    """The form of the Upscale dock; it knows no viewer.

    Signals
    -------
    changed
        One of the choices is another one now; `layer_chosen` tells about the layer.
    """

    changed = Signal()
    layer_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layer = LayerChooser()
        self.scale = Segments(
            [
                (f"×&{scale}", scale, f"{scale} times as wide and high.")
                for scale in SCALES
            ]
        )
        self.models = ModelChooser()
        self.speed, self.intensities = SpeedOptions(), IntensityOptions()
        self.quality, self.region = QualityOptions(), RegionOptions()
        self.output, self.folder = OutputOptions(), FolderOptions()
        self._lay_out()
        self._connect()

    def _make_sections(self) -> dict[str, Section]:
        return {
            "speed": Section(
                "Speed and memory",
                self.speed,
                "Where the network runs and how much of the image at a time. The result "
                "is the same.",
            ),
            "intensities": Section(
                "Intensities",
                self.intensities,
                "Which intensities the network sees as black and as white. It is undone "
                "in the result.",
            ),
            "quality": Section(
                "Quality",
                self.quality,
                "Spend more time for a little more quality, or to see what is uncertain.",
            ),
        }

    def _lay_out(self) -> None:
        self.rows.addRow("L&ayer", self.layer)
        self.rows.addRow("Scale", self.scale)
        self.rows.addRow("&Model", self.models)
        self.add_sections(self._make_sections())
        self.rows.addRow("&Region", self.region)
        self.rows.addRow("Result", self.output)
        self.add_sections({"folder": self._folder_section()})

    def _folder_section(self) -> Section:
        return Section(
            "A folder of images",
            self.folder,
            "Upscale image files without opening them, each into a file in another "
            "folder.",
        )

    def _connect(self) -> None:
        self.layer.chosen.connect(self.layer_chosen)
        self.scale.chosen.connect(self.models.set_scale)
        self.models.scale_asked.connect(self.scale.set_value)
        for options in (
            self.models,
            self.speed,
            self.intensities,
            self.quality,
            self.region,
            self.output,
        ):
            options.changed.connect(self._on_change)
        self.folder.changed.connect(self._summarise)
        self._summarise()

    def _on_change(self) -> None:
        self._summarise()
        self.changed.emit()

    def _summarise(self) -> None:
        self.sections["speed"].set_summary(self.speed.summary())
        self.sections["intensities"].set_summary(self.intensities.summary())
        self.sections["quality"].set_summary(self.quality.summary())
        self.sections["folder"].set_summary(self.folder.summary())

    def choices(self) -> Choices:
        """What the controls say, as plain values."""
        part, all_planes = self.region.value()
        return Choices(
            scale=int(str(self.scale.value())),
            model=self.models.value(),
            engine={**self.speed.value(), **self.quality.value()},
            normalize=self.intensities.value(),
            part=part,
            all_planes=all_planes,
            pending=self.models.pending,
            output=self.output.value(),
            scheduler=self.output.cluster(),
        )

    def set_devices(
        self, devices: Sequence[str], auto: str, fast_error: float | None = None
    ) -> None:
        """Complete the list of devices, and choose the one that was remembered."""
        self.speed.set_devices(devices, auto, fast_error)
        self._summarise()

    def settings(self) -> dict[str, Any]:
        """What is remembered, under the names of the manifest's configuration."""
        choices = self.choices()
        return {
            "scale": choices.scale,
            "model": self.models.remembered,
            "tile": self.speed.tile.value(),
            "device": self.speed.remembered_device,
            "precision": choices.engine["precision"],
            "normalize": self.intensities.method.value(),
            "range_low": self.intensities.low.value(),
            "range_high": self.intensities.high.value(),
            **self.quality.value(),
            "region": choices.part,
            "all_planes": choices.all_planes,
            "output": self.output.remembered,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set what was remembered; what is not there any more stays as it is."""
        self.scale.set_value(values["scale"])
        self.models.set_value(values["model"])
        self.speed.set_value(values["tile"], values["device"], values["precision"])
        self.intensities.set_value(
            values["normalize"], values["range_low"], values["range_high"]
        )
        self.quality.set_value(values)
        self.region.set_value(values["region"], values["all_planes"])
        self.output.set_value(values["output"])
