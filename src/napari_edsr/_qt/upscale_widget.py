"""The dock "Upscale": puts its parts together and connects them with the viewer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import QWidget

from napari_edsr import intensities, zoo
from napari_edsr._qt import handover, planning, settings, to_file
from napari_edsr._qt.background import DevicesFound, IdleModel, SpeedFound
from napari_edsr._qt.dock import ModelDock
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.folder.part import FolderPart
from napari_edsr._qt.layer_chooser import SELECTED
from napari_edsr._qt.layers import image_layers, layer_spec, pixel_size
from napari_edsr._qt.news import model_news
from napari_edsr._qt.requests import UpscaleRequest
from napari_edsr._qt.run_panel import RunPanel
from napari_edsr._qt.saving import ResultSaver
from napari_edsr._qt.session import UpscaleSession
from napari_edsr._qt.upscale_controls import UpscaleControls
from napari_edsr._qt.wording import device_name, times
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import EDSRError

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

    from napari_edsr.images import ImageSpec

_DESCRIBED = 4
#: Seconds of a run from which its speed says something.
_TELLING = 0.5
_NO_SOURCE = "The layer it was made from is gone; tick others in the Compare dock."
_MICROSCOPY = (
    "Noisy, blurred fluorescence? A model trained on such images takes both away. On "
    "clean ones this model is better."
)


class UpscaleWidget(ModelDock):
    """Choose a layer, press Upscale, and get an aligned layer of a finer grid.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Also a `napari.components.ViewerModel`, without a window.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        controls, panel = UpscaleControls(), RunPanel()
        super().__init__(napari_viewer, controls, panel, parent)
        self.controls, self.panel = controls, panel
        self.session = UpscaleSession(napari_viewer, self)
        self.saver = ResultSaver(self)
        self.folder = FolderPart(
            napari_viewer,
            controls.folder,
            panel.files,
            controls.choices,
            self._foresee_files,
            self,
        )
        self.idle_model = IdleModel(self)
        self._handed_over: tuple[str, int] | None = None
        self._last_selected: list[int] = []  # of images, while other layers are
        self._restore()
        self._connect()
        self.follow_layers()

    def _connect(self) -> None:
        self.controls.layer_chosen.connect(self._update)
        self.controls.changed.connect(self._on_choices)
        self.controls.sections_changed.connect(self._on_sections)
        self.panel.upscale_asked.connect(self.upscale)
        self.panel.preview_asked.connect(self.preview)
        self.panel.anew_asked.connect(self.start_anew)
        self.panel.cancel_asked.connect(self.cancel)
        self.panel.save_asked.connect(self.save)
        self.panel.compare_asked.connect(self.compare)
        self.session.began.connect(self._on_began)
        self.session.progressed.connect(self.panel.progress.move_to)
        self.session.measured.connect(self._on_measured)
        self.session.ended.connect(self._on_ended)
        self.session.warned.connect(show_warning)
        self.folder.session.began.connect(self._on_began)
        self.folder.session.progressed.connect(self.panel.progress.move_to)
        self.folder.session.ended.connect(self._on_ended)
        for worker in (self.session, self.model_source, self.saver, self.folder):
            worker.failed.connect(self._on_failure)
        self.saver.saved.connect(self._on_saved)
        self.scout.speed_found.connect(self._on_speed)
        model_news().chosen.connect(self._on_model_chosen)

    # what is asked for

    def upscale(self) -> None:
        """Upscale the chosen layers, one after the other."""
        self._start(self._plan)

    def start_anew(self) -> None:
        """Upscale them to files that are there already, replacing these."""
        self._start(lambda: [replace(r, overwrite=True) for r in self._plan()])

    def _plan(self) -> list[UpscaleRequest]:
        return planning.plan(self._viewer, self.layers(), self.controls.choices())

    def preview(self) -> None:
        """Upscale what the view or the rectangle shows of the chosen layer."""
        choices = self.controls.choices()
        self._start(
            lambda: [planning.plan_preview(self._viewer, self.layers(), choices)]
        )

    def _start(self, make_requests: Callable[[], list[UpscaleRequest]]) -> None:
        if self.is_running:
            return
        try:
            requests = make_requests()
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Upscaling"))
            return
        self.session.start(requests)

    def cancel(self) -> None:
        """End the run after the tile at work; what is done is kept."""
        for runner in (self.session, self.folder):
            runner.stop()
        self.panel.progress.show_stopping("Stopping after this part…")

    def save(self) -> None:
        """Ask where to write a result: the one selected in the viewer, or the last."""
        if result := self._result():
            self.saver.ask_and_save(self, result)

    def compare(self) -> None:
        """Hand a result and its source to the Compare dock."""
        result = self._result()
        source = self.session.source_of(result) if result else None
        if result and source:
            handover.compare(self._viewer, [source, result])
        elif result:
            self.panel.show_outcome(_NO_SOURCE, can_save=True)

    def _result(self) -> Image | None:
        results = self.session.results
        selected = [result for result in results if self._is_selected(result)]
        return next(reversed(selected or results), None)

    def stop_all(self) -> None:
        """End whatever runs, each after the step at work."""
        for worker in (self.session, self.scout, self.model_source):
            worker.stop()
        self.folder.stop_all()
        self.idle_model.release()

    # what is there

    @property
    def is_running(self) -> bool:
        """Whether layers or a folder are being upscaled."""
        return self.session.is_running or self.folder.is_running

    def layers(self) -> list[Image]:
        """The layers to be upscaled: the one chosen, or all that are selected."""
        key = self.controls.layer.value()
        if key == SELECTED:
            return [
                layer
                for layer in image_layers(self._viewer.layers)
                if self._is_selected(layer)
            ]
        return [
            layer for layer in image_layers(self._viewer.layers) if id(layer) == key
        ]

    def follow_layers(self) -> None:
        """Follow the viewer's list and selection."""
        offered, chooser = image_layers(self._viewer.layers), self.controls.layer
        keys = [id(layer) for layer in offered]
        selected = [id(layer) for layer in offered if self._is_selected(layer)]
        before = chooser.value()
        chooser.set_layers([(layer.name, id(layer)) for layer in offered], selected)
        if len(selected) > 1:
            chooser.choose(SELECTED)
        elif selected:
            chooser.choose(selected[0])
        elif keys and before not in keys:
            chosen = [key for key in keys if key in self._last_selected]
            chooser.choose((chosen or keys)[-1])
        self._last_selected = selected or self._last_selected
        self._update()

    def _on_removed(self, layer: Layer) -> None:
        self.session.layer_removed(layer)
        if not self.session.results:
            self.panel.offer_result(False)

    def _on_choices(self) -> None:
        self.panel.error.hide()
        self.controls.folder.set_scale(self.controls.choices().scale)
        self.folder.refresh()
        settings.save(**self.controls.settings())
        self._update()

    def _on_sections(self) -> None:
        settings.save("remembered", open_sections=self.controls.open_sections())

    def _update(self) -> None:
        """Bring every text up to date with the controls and the viewer."""
        layers = self.layers()
        self._watch(layers)
        self._describe(layers)
        self.controls.lock(self.is_running)
        self.folder.set_busy(self.is_running)
        if self.is_running:
            self.panel.set_busy("A run is under way; cancel it to start another.")
        else:
            self._show_plan(layers)

    def _describe(self, layers: list[Image]) -> None:
        """Say what was understood of the layers."""
        texts, method, is_stack = [], "", False
        for layer in layers:
            try:
                spec = layer_spec(layer)
            except EDSRError:
                continue
            parts = (times(spec.describe()), pixel_size(layer))
            texts.append(", ".join(part for part in parts if part))
            method = intensities.normalization_method(spec, "auto")
            is_stack = is_stack or spec.n_planes > 1
        self.controls.layer.describe("\n".join(texts[:_DESCRIBED]))
        self.controls.intensities.set_automatic(method if len(layers) == 1 else "")
        self.controls.region.set_stack(is_stack)
        self._suggest(layers)

    def _suggest(self, layers: list[Image]) -> None:
        """Point to the model for microscopy where all layers are of one channel."""
        is_grey = bool(layers) and not any(layer.rgb for layer in layers)
        scale = int(str(self.controls.scale.value()))
        name = zoo.microscopy_model(scale) if is_grey else ""
        self.controls.models.suggest(name, _MICROSCOPY)

    def _show_plan(self, layers: list[Image]) -> None:
        """Say what will happen, or why it can't."""
        self._offer_file(layers)
        choices, device = self.controls.choices(), self.controls.speed.actual_device
        reason = preview_reason = text = ""
        requests: list[UpscaleRequest] = []
        try:
            requests = planning.plan(self._viewer, layers, choices)
            reason = planning.obstacle(requests)
            model = choices.checked_model()
            foreseen = [
                planning.foresee(r, model, device, self._speeds) for r in requests
            ]
            place = choices.scheduler or device_name(device)
            text = planning.estimate_text(requests, foreseen, place)
        except EDSRError as error:
            reason = str(error)
        try:
            planning.plan_preview(self._viewer, layers, choices)
        except EDSRError as error:
            preview_reason = str(error)
        self.panel.estimate.show_text(text)
        self.panel.offer(
            planning.button_label(requests), anew=any(r.found for r in requests)
        )
        self.panel.set_ready(reason, preview_reason)

    def _offer_file(self, layers: list[Image]) -> None:
        """Name a file for the result, and insist on one where memory does not suffice."""
        choices, output = self.controls.choices(), self.controls.output
        output.suggest(to_file.suggested_path(layers, choices.scale))
        output.require_file(planning.needs_file(self._viewer, layers, choices))

    def _foresee_files(self, specs: Sequence[ImageSpec]) -> float | None:
        choices, device = self.controls.choices(), self.controls.speed.actual_device
        return planning.foresee_files(specs, choices, device, self._speeds)

    # what the workers report

    def _offer(self, found: DevicesFound) -> None:
        self.controls.set_devices(found.names, found.auto, found.fast_error)

    def _on_began(self, status: str) -> None:
        self.idle_model.stop()
        self.panel.begin(status)
        self._update()

    def _on_failure(self, failure: Failure) -> None:
        self.panel.show_failure(failure.message, failure.details)
        show_error(failure.message)

    def _on_measured(self, request: UpscaleRequest, metadata: dict[str, Any]) -> None:
        """Learn this computer's true speed from a run that was long enough to tell."""
        if metadata["seconds"] >= _TELLING and not request.options.get("scheduler"):
            config = EDSRConfig.from_dict(metadata["model"]["config"])
            key = planning.speed_key(metadata["device"], config)
            self._learn_speed(key, metadata["flop"] / metadata["seconds"])

    def _on_ended(self, outcome: str) -> None:
        self.idle_model.start()
        self.panel.end()
        self.panel.show_outcome(outcome, can_save=bool(self.session.results))
        if self._handed_over is not None:
            handed_over, self._handed_over = self._handed_over, None
            self._on_model_chosen(*handed_over)
        self._update()

    def _on_saved(self, path: str) -> None:
        self.panel.error.hide()
        self.panel.show_outcome(f"Saved {Path(path).name}.", can_save=True)

    def _on_model_chosen(self, name: str, scale: int) -> None:
        """Take a model that another dock hands over, after a run that is under way."""
        if self.is_running:
            self._handed_over = (name, scale)
            return
        self.controls.models.refresh()
        self.controls.scale.set_value(scale)
        self.controls.models.set_value(name)

    def _on_speed(self, found: SpeedFound) -> None:
        self._learn_speed(found.device, found.flops_per_second)

    def _learn_speed(self, key: str, flops_per_second: float) -> None:
        self._speeds[key] = flops_per_second
        settings.save("remembered", speeds=json.dumps(self._speeds))
        self._update()

    def _restore(self) -> None:
        values, remembered = settings.load(), settings.load("remembered")
        self._speeds = _read_speeds(remembered["speeds"])
        self.scout.known = tuple(self._speeds)
        self.controls.restore(values)
        self.controls.restore_sections(remembered["open_sections"])


def _read_speeds(text: str) -> dict[str, float]:
    """Speeds as they were remembered; none if someone edited them beyond recognition."""
    try:
        found = json.loads(text or "{}")
        return {
            str(device): float(speed) for device, speed in found.items() if speed > 0
        }
    except (ValueError, AttributeError, TypeError):
        return {}
