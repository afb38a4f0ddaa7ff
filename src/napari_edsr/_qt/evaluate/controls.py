"""The controls of the Evaluate dock as one form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_edsr._qt.controls import Caption, Choice, Section
from napari_edsr._qt.evaluate.options import RuleOptions
from napari_edsr._qt.evaluate.requests import BICUBIC, NEAREST
from napari_edsr._qt.fields import beside
from napari_edsr._qt.form import Form
from napari_edsr._qt.tick_list import TickList

#: Of the low-resolution layer: found by its position.
AUTOMATIC = "automatic"
_PROTOCOLS = (
    ("Microscopy: values as they are", "microscopy"),
    ("mmagic: RGB, 8 bits", "mmagic"),
    ("EDSR on Set5, Set14 …: Y, 8 bits", "edsr-y"),
    ("EDSR on DIV2K: RGB, 8 bits", "edsr-div2k"),
)


class EvaluateControls(Form):
    """The form of the Evaluate dock; it knows no viewer.

    Signals
    -------
    changed
        One of the choices is another one now.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.truth = Choice()
        self.truth.setToolTip(
            "The image that is right: all others are compared with it."
        )
        self.described = Caption()
        self.candidates = TickList(
            "The layers to be measured: those that show the same as the truth, in pixels "
            "of the same size."
        )
        self.low = Choice([("automatic", AUTOMATIC)])
        self.low.setToolTip(
            "The image that was upscaled. From it come the baselines, what simple "
            "interpolation would have given."
        )
        self.bicubic = QCheckBox("&Bicubic")
        self.bicubic.setToolTip("Measure bicubic interpolation as well.")
        self.bicubic.setChecked(True)
        self.nearest = QCheckBox("Ne&arest")
        self.nearest.setToolTip("Measure repeated pixels as well.")
        self.protocol = Choice(_PROTOCOLS)
        self.protocol.setToolTip(
            "What is done to the images first. Figures of different protocols must not "
            "be compared: choose the one of the table you want to compare with."
        )
        self.rules = RuleOptions()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.rows.addRow("&Truth", self.truth)
        self.rows.addRow("", self.described)
        self.rows.addRow("Candi&dates", self.candidates)
        self.rows.addRow("L&ow res.", self.low)
        self.rows.addRow("Add", beside(self.bicubic, self.nearest))
        self.rows.addRow("P&rotocol", self.protocol)
        self.add_sections(
            {
                "rules": Section(
                    "How to measure",
                    self.rules,
                    "What is shaved off along the edges, which colours count, what white is, "
                    "and whether shifts are undone.",
                )
            }
        )

    def _connect(self) -> None:
        for choice in (self.truth, self.low, self.protocol):
            choice.chosen.connect(self._on_change)
        for box in (self.bicubic, self.nearest):
            box.toggled.connect(self._on_change)
        self.candidates.changed.connect(self._on_change)
        self.rules.changed.connect(self._on_change)
        self._summarise()

    def _on_change(self) -> None:
        self._summarise()
        self.changed.emit()

    def _summarise(self) -> None:
        self.rules.follow_protocol(str(self.protocol.value()))
        self.sections["rules"].set_summary(self.rules.summary())

    def set_truths(self, names: Sequence[tuple[str, int]]) -> None:
        """Offer these layers as the truth."""
        self.truth.set_options([("choose…", None), *names])

    def set_candidates(
        self, names: Sequence[tuple[str, int]], fitting: Collection[int]
    ) -> None:
        """Offer these layers; those that fit are ticked until someone else ticks."""
        self.candidates.set_layers(names, fitting)

    def set_low(self, names: Sequence[tuple[str, int]], found: str) -> None:
        """Offer these layers to make baselines from; `found` is what automatic takes."""
        automatic = f"automatic: {found}" if found else "automatic: none is open"
        options: list[tuple[str, object]] = [(automatic, AUTOMATIC), ("none", None)]
        self.low.set_options([*options, *names])

    def baselines(self) -> list[str]:
        """Which are ticked."""
        boxes = ((BICUBIC, self.bicubic), (NEAREST, self.nearest))
        return [method for method, box in boxes if box.isChecked()]

    def settings(self) -> dict[str, Any]:
        """What is remembered, under the names of the manifest's configuration."""
        return {
            "protocol": self.protocol.value(),
            "bicubic": self.bicubic.isChecked(),
            "nearest": self.nearest.isChecked(),
            **self.rules.settings(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Set what was remembered."""
        self.protocol.set_value(values["protocol"])
        self.bicubic.setChecked(values["bicubic"])
        self.nearest.setChecked(values["nearest"])
        self.rules.restore(values)
