"""The dock "Upscale": puts its controls together and connects them with the viewer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_edsr import images
from napari_edsr._qt import planning, settings
from napari_edsr._qt.background import DevicesFound, SpeedFound, TorchScout
from napari_edsr._qt.controls import Section, Segments
from napari_edsr._qt.layer_chooser import SELECTED, LayerChooser
from napari_edsr._qt.layers import image_layers, layer_spec, pixel_size
from napari_edsr._qt.model_source import ModelSource
from napari_edsr._qt.models import ModelChooser
from napari_edsr._qt.options import (
    IntensityOptions,
    QualityOptions,
    RegionOptions,
    SpeedOptions,
)
from napari_edsr._qt.planning import Choices
from napari_edsr._qt.requests import UpscaleRequest
from napari_edsr._qt.run_panel import RunPanel
from napari_edsr._qt.saving import ResultSaver
from napari_edsr._qt.session import Failure, UpscaleSession, is_preview
from napari_edsr._qt.viewer_link import ViewerLink
from napari_edsr._qt.wording import device_name, times
from napari_edsr.config import SCALES
from napari_edsr.errors import EDSRError

if TYPE_CHECKING:
    import napari

_WIDTH = 360
#: Seconds of a run from which its speed says something.
_TELLING = 0.5
#: Milliseconds between a move of the view and the estimate that follows it.
_VIEW_SETTLES = 150


class UpscaleWidget(QWidget):
    """Choose a layer, press Upscale, and get an aligned layer of a finer grid.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Also a `napari.components.ViewerModel`, without a window.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self._restoring = True
        self._speeds: dict[str, float] = {}
        self._make_controls()
        self._make_workers()
        self._lay_out()
        self._connect()
        self._restore()
        self._link.connect()
        self._on_layers()

    # construction

    def _make_controls(self) -> None:
        self.layer_chooser = LayerChooser()
        self.scale = Segments(
            [
                (f"×{scale}", scale, f"{scale} times as wide and high.")
                for scale in SCALES
            ]
        )
        self.models = ModelChooser()
        self.speed, self.intensities = SpeedOptions(), IntensityOptions()
        self.quality, self.region = QualityOptions(), RegionOptions()
        self.sections = {
            "speed": Section("Speed and memory", self.speed),
            "intensities": Section("Intensities", self.intensities),
            "quality": Section("Quality", self.quality),
        }
        self.panel = RunPanel()

    def _make_workers(self) -> None:
        self.session = UpscaleSession(self._viewer, self)
        self.scout = TorchScout(self)
        self.model_source = ModelSource(self.models, self)
        self.saver = ResultSaver(self)
        self._link = ViewerLink(
            self._viewer, self._on_layers, self._on_view, self.session.layer_removed
        )
        self._view_timer = QTimer(self)
        self._view_timer.setSingleShot(True)
        self._view_timer.timeout.connect(self._update)

    def _lay_out(self) -> None:
        self.controls = QWidget()
        form = QFormLayout(self.controls)
        form.setContentsMargins(0, 0, 6, 0)
        form.setVerticalSpacing(8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, control in (
            ("L&ayer", self.layer_chooser),
            ("&Scale", self.scale),
            ("&Model", self.models),
        ):
            form.addRow(text, control)
        for section in self.sections.values():
            form.addRow(section)
        form.addRow("&Region", self.region)
        scroll = QScrollArea()
        scroll.setWidget(self.controls)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.addWidget(scroll, 1)
        column.addWidget(self.panel)
        self.setMinimumWidth(320)

    def _connect(self) -> None:
        self.layer_chooser.chosen.connect(self._update)
        self.scale.chosen.connect(self.models.set_scale)
        for options in (
            self.models,
            self.speed,
            self.intensities,
            self.quality,
            self.region,
        ):
            options.changed.connect(self._on_options)
        for section in self.sections.values():
            section.toggled.connect(self._remember_sections)
        self.panel.upscale_asked.connect(self.upscale)
        self.panel.preview_asked.connect(self.preview)
        self.panel.cancel_asked.connect(self.cancel)
        self.panel.save_asked.connect(self._save)
        self.session.began.connect(self.panel.begin)
        self.session.progressed.connect(self.panel.progress.move_to)
        self.session.failed.connect(self._on_failure)
        self.session.measured.connect(self._on_measured)
        self.session.ended.connect(self._on_ended)
        self.session.runner.began.connect(self._update)
        self.scout.devices_found.connect(self._on_devices)
        self.scout.speed_found.connect(self._on_speed)
        for worker in (self.model_source, self.saver):
            worker.failed.connect(self._on_failure)
        self.saver.saved.connect(self._on_saved)
        self.destroyed.connect(self._link.disconnect)

    # what the controls say

    def choices(self) -> Choices:
        """The controls as plain values."""
        part, all_planes = self.region.value()
        return Choices(
            scale=int(str(self.scale.value())),
            model=self.models.value(),
            engine={**self.speed.value(), **self.quality.value()},
            normalize=self.intensities.value(),
            part=part,
            all_planes=all_planes,
        )

    def layers(self) -> list[Image]:
        """The layers to be upscaled: the one chosen, or all that are selected."""
        key = self.layer_chooser.value()
        if key == SELECTED:
            return [layer for layer in self._offered() if self._is_selected(layer)]
        return [layer for layer in self._offered() if id(layer) == key]

    def _offered(self) -> list[Image]:
        return [
            layer
            for layer in image_layers(self._viewer.layers)
            if not is_preview(layer)
        ]

    def _is_selected(self, layer: Image) -> bool:
        return layer in self._viewer.layers.selection

    # what is asked for

    def upscale(self) -> None:
        """Upscale the chosen layers, one after the other."""
        self._start(lambda: planning.plan(self._viewer, self.layers(), self.choices()))

    def preview(self) -> None:
        """Upscale what the view or the rectangle shows of the chosen layer."""
        self._start(
            lambda: [planning.plan_preview(self._viewer, self.layers(), self.choices())]
        )

    def cancel(self) -> None:
        """End the run after the tile at work; what is done is kept."""
        self.session.stop()
        self.panel.progress.show_stopping("Stopping after this tile…")

    def _start(self, make_requests: Callable[[], list[UpscaleRequest]]) -> None:
        if self.session.is_running:
            return
        try:
            requests = make_requests()
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Upscaling"))
            return
        self.session.start(requests)

    def _save(self) -> None:
        results = self.session.results
        if results:
            self.saver.ask_and_save(self, results[-1])

    # what the viewer and the user change

    def _on_layers(self) -> None:
        offered = self._offered()
        selected = [id(layer) for layer in offered if self._is_selected(layer)]
        before = self.layer_chooser.value()
        self.layer_chooser.set_layers(
            [(layer.name, id(layer)) for layer in offered], selected
        )
        if len(selected) > 1:
            self.layer_chooser.choose(SELECTED)
        elif selected:
            self.layer_chooser.choose(selected[0])
        elif offered and before not in [id(layer) for layer in offered]:
            self.layer_chooser.choose(id(offered[-1]))
        self._update()

    def _on_view(self) -> None:
        self._view_timer.start(_VIEW_SETTLES)

    def _on_options(self) -> None:
        self._remember()
        self._update()

    def _update(self) -> None:
        """Bring every text up to date with the controls and the viewer."""
        running = self.session.is_running
        self.controls.setEnabled(not running)
        layers = self.layers()
        self._link.watch(layers[0] if len(layers) == 1 else None)
        self._describe(layers)
        for key, part in (
            ("speed", self.speed),
            ("intensities", self.intensities),
            ("quality", self.quality),
        ):
            self.sections[key].set_summary(part.summary())
        if running:
            self.panel.set_ready("A run is under way; cancel it to start another.", "")
            self.panel.preview.setEnabled(False)
        else:
            self._show_plan(layers)

    def _describe(self, layers: list[Image]) -> None:
        texts, method, is_stack = [], "", False
        for layer in layers:
            try:
                spec = layer_spec(layer)
            except EDSRError:
                continue
            parts = (times(spec.describe()), pixel_size(layer))
            texts.append(", ".join(part for part in parts if part))
            method = images.normalization_method(spec, "auto")
            is_stack = is_stack or spec.n_planes > 1
        self.layer_chooser.describe("\n".join(texts[:4]))
        self.intensities.set_automatic(method if len(layers) == 1 else "")
        self.region.set_stack(is_stack)

    def _show_plan(self, layers: list[Image]) -> None:
        choices, device = self.choices(), self.speed.actual_device
        reason = preview_reason = text = ""
        try:
            requests = planning.plan(self._viewer, layers, choices)
            model = choices.checked_model()
            foreseen = [
                planning.foresee(r, model, device, self._speeds) for r in requests
            ]
            text = planning.estimate_text(requests, foreseen, device_name(device))
        except EDSRError as error:
            reason = str(error)
        try:
            planning.plan_preview(self._viewer, layers, choices)
        except EDSRError as error:
            preview_reason = str(error)
        self.panel.estimate.show_text(f"Result: {text}" if text else "")
        self.panel.set_ready(reason, preview_reason)

    # what the workers report

    def _on_failure(self, failure: Failure) -> None:
        self.panel.error.show_error(failure.message, failure.details)
        show_error(failure.message)

    def _on_measured(self, request: UpscaleRequest, metadata: dict[str, Any]) -> None:
        """Learn the true speed from a run, once it was long enough to tell."""
        model, device = self.models.value(), metadata["device"]
        if (
            model is None
            or model.key != request.model
            or metadata["seconds"] < _TELLING
        ):
            return
        foreseen = planning.foresee(request, model, device, {})
        self._learn_speed(device, foreseen.flop / metadata["seconds"])

    def _on_ended(self, outcome: str) -> None:
        self.panel.end()
        self.panel.show_outcome(outcome, can_save=bool(self.session.results))
        self._update()

    def _on_saved(self, path: str) -> None:
        self.panel.show_outcome(f"Saved {Path(path).name}.", can_save=True)

    def _on_devices(self, found: DevicesFound) -> None:
        self.speed.set_devices(found.names, found.auto)
        self.speed.set_value(**_speed_settings(settings.load()))
        remembered = settings.load()["model"]
        if str(self.models.list.value()) != remembered and Path(remembered).is_file():
            self.model_source.recognise(remembered)
        self._update()

    def _on_speed(self, found: SpeedFound) -> None:
        self._learn_speed(found.device, found.flops_per_second)

    def _learn_speed(self, device: str, flops_per_second: float) -> None:
        self._speeds[device] = flops_per_second
        settings.save("remembered", speeds=json.dumps(self._speeds))
        self._update()

    # memory

    def _restore(self) -> None:
        values, remembered = settings.load(), settings.load("remembered")
        self.scale.set_value(values["scale"])
        self.models.set_value(values["model"])
        self.speed.set_value(**_speed_settings(values))
        self.intensities.set_value(
            values["normalize"], values["range_low"], values["range_high"]
        )
        self.quality.set_value(values)
        self.region.set_value(values["region"], values["all_planes"])
        for key in remembered["open_sections"].split():
            if key in self.sections:
                self.sections[key].set_open(True)
        self._speeds = _read_speeds(remembered["speeds"])
        self.scout.known = tuple(self._speeds)
        self._restoring = False

    def _remember(self) -> None:
        if self._restoring:
            return
        choices = self.choices()
        settings.save(
            scale=choices.scale,
            model=choices.model.key if choices.model else "",
            tile=self.speed.tile.value(),
            device=choices.engine["device"],
            precision=choices.engine["precision"],
            normalize=self.intensities.method.value(),
            range_low=self.intensities.low.value(),
            range_high=self.intensities.high.value(),
            region=choices.part,
            all_planes=choices.all_planes,
            self_ensemble=choices.engine["self_ensemble"],
            uncertainty=choices.engine["uncertainty"],
        )

    def _remember_sections(self) -> None:
        if not self._restoring:
            names = [
                key for key, section in self.sections.items() if section.isExpanded()
            ]
            settings.save("remembered", open_sections=" ".join(names))

    # coming and going

    def sizeHint(self) -> QSize:  # noqa: N802
        """Wide enough for the texts, and within a small screen."""
        return QSize(_WIDTH, 560)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Ask for torch, which takes seconds, only after the dock is there."""
        super().showEvent(event)
        self.scout.start_when_idle()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Stop all work when the dock is closed: napari then only takes the widget out."""
        super().changeEvent(event)
        if event is None or event.type() != QEvent.Type.ParentChange:
            return
        if self.parent() is None:
            self.stop_all()
            self._link.disconnect()
        else:
            self._link.connect()

    def stop_all(self) -> None:
        """End whatever runs, each after the step at work."""
        for worker in (self.session, self.scout, self.model_source):
            worker.stop()


def _speed_settings(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in ("tile", "device", "precision")}


def _read_speeds(text: str) -> dict[str, float]:
    """Speeds as they were remembered; none if someone edited them beyond recognition."""
    try:
        found = json.loads(text or "{}")
        return {
            str(device): float(speed) for device, speed in found.items() if speed > 0
        }
    except (ValueError, AttributeError, TypeError):
        return {}
