"""The controls of the Upscale dock as one form: what they say, and what they remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.controls import Section, Segments
from napari_edsr._qt.layer_chooser import LayerChooser
from napari_edsr._qt.models import ModelChooser
from napari_edsr._qt.options import (
    IntensityOptions,
    QualityOptions,
    RegionOptions,
    SpeedOptions,
)
from napari_edsr._qt.planning import Choices
from napari_edsr.config import SCALES

_FRAME = QSize(4, 4)
_RESIZING = (QEvent.Type.LayoutRequest, QEvent.Type.Resize)
#: Of the text of locked controls; the theme's own is too faint to be read.
_LOCKED_OPACITY = 0.7
_CHOSEN_OPACITY = 0.25  # of the same colour behind the choice made
_LOCKED_STYLE = """
*:disabled {{ color: {color}; }}
QPushButton:checked:disabled {{ background-color: {shade}; }}
"""


class UpscaleControls(QScrollArea):
    """A form that scrolls when the dock is low; it knows no viewer.

    Signals
    -------
    changed
        One of the choices is another one now; `layer_chosen` tells about the layer.
    """

    changed = Signal()
    layer_chosen = Signal()
    sections_changed = Signal()

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
        self.sections = {
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
        self.form = QWidget()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        form = QFormLayout(self.form)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("L&ayer", self.layer)
        form.addRow("Scale", self.scale)
        form.addRow("&Model", self.models)
        folding = QVBoxLayout()
        folding.setSpacing(2)
        for section in self.sections.values():
            folding.addWidget(section)
        form.addRow(folding)
        form.addRow("&Region", self.region)
        self.setWidget(self.form)
        self.form.installEventFilter(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

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
        ):
            options.changed.connect(self._on_change)
        for section in self.sections.values():
            section.toggled.connect(self.sections_changed)
        self._summarise()

    def sizeHint(self) -> QSize:  # noqa: N802
        """All of the form, if the dock is high enough."""
        layout, viewport = self.form.layout(), self.viewport()
        size = self.form.sizeHint()
        if layout is not None and viewport is not None and layout.hasHeightForWidth():
            wrapped = layout.totalHeightForWidth(viewport.width())
            size.setHeight(max(self.form.minimumSizeHint().height(), wrapped))
        return size + _FRAME

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Grow and shrink with the form as its sections fold."""
        if event is not None and event.type() in _RESIZING:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def _on_change(self) -> None:
        self._summarise()
        self.changed.emit()

    def _summarise(self) -> None:
        self.sections["speed"].set_summary(self.speed.summary())
        self.sections["intensities"].set_summary(self.intensities.summary())
        self.sections["quality"].set_summary(self.quality.summary())

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
        )

    def lock(self, locked: bool) -> None:
        """Keep the choices as they are while a run goes on; they stay readable."""
        self.form.setEnabled(not locked)
        self._keep_locked_texts_readable()

    def _keep_locked_texts_readable(self) -> None:
        """Style them beforehand: a style set with the lock would move the form."""
        red, green, blue, _ = self.palette().windowText().color().getRgb()
        text = f"rgba({red}, {green}, {blue}, "
        style = _LOCKED_STYLE.format(
            color=f"{text}{_LOCKED_OPACITY:.0%})", shade=f"{text}{_CHOSEN_OPACITY:.0%})"
        )
        if self.form.styleSheet() != style:
            self.form.setStyleSheet(style)

    def set_devices(self, devices: Sequence[str], auto: str) -> None:
        """Complete the list of devices, and choose the one that was remembered."""
        self.speed.set_devices(devices, auto)
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

    def open_sections(self) -> str:
        """Names of the sections that are folded out, with spaces between them."""
        return " ".join(key for key, part in self.sections.items() if part.isExpanded())

    def restore_sections(self, names: str) -> None:
        """Fold out the sections that were."""
        for key in names.split():
            if key in self.sections:
                self.sections[key].set_open(True)
