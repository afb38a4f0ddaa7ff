"""The dock "Fine-tune": puts its parts together and connects them with the viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import QWidget

from napari_edsr import zoo
from napari_edsr._qt import settings
from napari_edsr._qt.dock import ModelDock
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.finetune import planning
from napari_edsr._qt.finetune.blending import Blender
from napari_edsr._qt.finetune.controls import FinetuneControls
from napari_edsr._qt.finetune.degradation import BY_POSITION, MADE
from napari_edsr._qt.finetune.panel import FinetunePanel
from napari_edsr._qt.finetune.requests import FinetuneOutcome, FinetuneRequest
from napari_edsr._qt.finetune.session import FinetuneSession
from napari_edsr._qt.finetune.side_jobs import SideJobs
from napari_edsr._qt.finetune.wording import outcome_text
from napari_edsr._qt.handover import open_dock
from napari_edsr._qt.layers import image_layers
from napari_edsr._qt.news import model_news
from napari_edsr._qt.saving import ask_path
from napari_edsr._qt.wording import device_name, times
from napari_edsr.errors import EDSRError
from napari_edsr.events import ImageMeasured, StepDone, TrainPlanned, Validated
from napari_edsr.train_config import Degradation

if TYPE_CHECKING:
    import napari

_CATEGORY, _SECTIONS = "finetune", "open_sections_finetune"


class FinetuneWidget(ModelDock):
    """Tick sharp layers, press Start, and get a model that suits them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Also a `napari.components.ViewerModel`, without a window.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        controls, panel = FinetuneControls(), FinetunePanel()
        super().__init__(napari_viewer, controls, panel, parent, measures=False)
        self.controls, self.panel = controls, panel
        self.session = FinetuneSession(napari_viewer, self)
        self.blender = Blender(self)
        self.side_jobs = SideJobs(napari_viewer, self)
        self._waiting: FinetuneRequest | None = None
        self._has_failed = False
        self.controls.restore(settings.load(_CATEGORY))
        self.controls.restore_sections(settings.load("remembered")[_SECTIONS])
        self._connect()
        self.follow_layers()

    def _connect(self) -> None:
        controls, panel = self.controls, self.panel
        controls.changed.connect(self._on_choices)
        controls.sections_changed.connect(self._on_sections)
        controls.see_asked.connect(self.see)
        panel.start_asked.connect(self.start)
        panel.adapt_asked.connect(self.adapt)
        panel.pause_asked.connect(self.pause)
        panel.finish_asked.connect(self.finish)
        panel.use_asked.connect(self.use)
        panel.save_asked.connect(self.save_model)
        panel.yaml_asked.connect(self.save_yaml)
        panel.blend.asked.connect(self.blender.mix)
        panel.blend.kept.connect(self.blender.keep)
        self._connect_workers()

    def _connect_workers(self) -> None:
        session, blender = self.session, self.blender
        session.began.connect(self._on_began)
        session.progressed.connect(self.panel.progress.move_to)
        session.planned.connect(self._on_planned)
        session.stepped.connect(self._on_step)
        session.validated.connect(self._on_validated)
        session.warned.connect(show_warning)
        session.ended.connect(self._on_ended)
        blender.measured.connect(self._on_blend_measured)
        blender.said.connect(self._on_blend_said)
        blender.idle.connect(self._on_blender_idle)
        self.side_jobs.saved.connect(self._on_saved)
        blender.failed.connect(self._on_blend_failed)
        for worker in (session, self.model_source, self.side_jobs):
            worker.failed.connect(self._on_failure)
        self.side_jobs.changed.connect(self._update)

    # what is asked for

    def start(self) -> None:
        """Fine-tune on what is ticked."""
        self._start(self.request)

    def adapt(self) -> None:
        """Fine-tune on the layer that is selected in the viewer, and on nothing else."""
        layer = self._active()
        if layer is not None:
            self.controls.teach.tick_only(id(layer))
            self.controls.side.kind.set_value(MADE)
            self._start(self.request)

    def request(self) -> FinetuneRequest:
        """The run that the controls describe; an `EDSRError` says why there is none."""
        layers = self.layers()
        planning.check_ticked(layers, self.controls.teach.folders())
        return planning.plan(self._viewer, layers, self.choices())

    def choices(self) -> planning.Choices:
        """What the controls say, as plain values; an `EDSRError` if that makes no sense."""
        controls = self.controls
        scale = int(str(controls.scale.value()))
        return planning.Choices(
            name=controls.name.text().strip(),
            model=controls.models.checked(scale),
            scale=scale,
            folders=controls.teach.folders(),
            degradation=(
                Degradation() if controls.side.is_real else controls.degradation.value()
            ),
            is_real=controls.side.is_real,
            partner=self._partner(),
            lr_folder=controls.side.lr_folder,
            rectangle=controls.kept.is_rectangle,
            share=controls.kept.share.value() / 100,
            grey=controls.training.grey.isChecked(),
            training=controls.training.value(),
        )

    def _partner(self) -> Image | str:
        key = self.controls.side.partner.value()
        found = [
            layer for layer in image_layers(self._viewer.layers) if id(layer) == key
        ]
        return found[0] if found else BY_POSITION

    def _start(self, make_request: Callable[[], FinetuneRequest]) -> None:
        if self.session.is_running:
            return
        try:
            request = make_request()
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Fine-tuning"))
            return
        self.panel.blend.stop()
        self.blender.begin(None)
        if self.blender.is_running:
            self._waiting = request
        else:
            self.session.start(request)

    def _on_blender_idle(self) -> None:
        """Begin the run that waited for a blend to end."""
        request, self._waiting = self._waiting, None
        if request is not None:
            self.session.start(request)

    def pause(self) -> None:
        """Wait, go on, or take up the run that was stopped."""
        request = self.session.continued
        if not self.session.is_running and request is not None:
            self._start(lambda: request)
            return
        paused = not self.session.is_paused
        self.session.pause(paused)
        self.panel.show_paused(paused)

    def finish(self) -> None:
        """End the run, and keep the best weights."""
        self.panel.show_paused(False)
        self.session.finish()
        self.panel.progress.show_stopping("Measuring and keeping the best…")

    def see(self) -> None:
        """Add the low-resolution images as layers."""
        try:
            self.side_jobs.show(self.request())
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Making the low-resolution side"))

    def use(self) -> None:
        """Let the Upscale dock take the new model, and open it if there is a window."""
        outcome = self.session.outcome
        if outcome is None:
            return
        name, scale = outcome.request.config.name, outcome.request.scale
        settings.save(model=name, scale=scale)
        open_dock(self._viewer, "Upscale")
        model_news().chosen.emit(name, scale)

    def save_model(self) -> None:
        """Ask where to write the new model, and write it."""
        outcome = self.session.outcome
        if outcome is None:
            return
        name, types = outcome.request.config.name, "Weights (*.safetensors)"
        if path := ask_path(self, "Save model", f"{name}.safetensors", types):
            self.side_jobs.save_model(outcome, path)

    def save_yaml(self) -> None:
        """Ask where to write the configuration of the run, and write it."""
        request = self._run_to_save()
        if request is None:
            return
        name, types = request.config.name, "YAML (*.yaml *.yml)"
        if path := ask_path(self, "Save run", f"{name}.yaml", types):
            self.side_jobs.save_yaml(request, path)

    def _run_to_save(self) -> FinetuneRequest | None:
        """The run that is described; under its name the last one, if that was the same."""
        last = self.session.request
        try:
            described = self.request()
        except EDSRError:
            return last
        return last if last and last.is_like(described) else described

    def stop_all(self) -> None:
        """End whatever runs; of a training the best weights are kept."""
        self.session.finish()
        self.panel.blend.stop()
        self.blender.stop()
        for worker in (self.scout, self.model_source, self.side_jobs):
            worker.stop()

    # what is there

    def layers(self) -> list[Image]:
        """The layers that are ticked."""
        ticked = self.controls.teach.layers()
        return [
            layer for layer in image_layers(self._viewer.layers) if id(layer) in ticked
        ]

    def _active(self) -> Image | None:
        """The layer that is selected, or the only one there is."""
        offered = image_layers(self._viewer.layers)
        selected = [layer for layer in offered if self._is_selected(layer)]
        candidates = selected or offered
        return candidates[0] if len(candidates) == 1 else None

    def follow_layers(self) -> None:
        """Follow the viewer's list and selection."""
        offered = image_layers(self._viewer.layers)
        names = [(layer.name, id(layer)) for layer in offered]
        chosen = [id(layer) for layer in offered if self._is_selected(layer)]
        if not chosen and len(offered) == 1:
            chosen = [id(offered[0])]
        self.controls.teach.set_layers(names, chosen)
        self.controls.side.set_layers(names)
        self._update()

    def _on_view(self) -> None:
        if self.controls.kept.is_rectangle:
            super()._on_view()

    def _on_choices(self) -> None:
        self.panel.error.hide()
        settings.save(_CATEGORY, **self.controls.settings())
        self._update()

    def _on_sections(self) -> None:
        settings.save("remembered", **{_SECTIONS: self.controls.open_sections()})

    def _update(self) -> None:
        """Bring every text up to date with the controls and the viewer."""
        layers, folders = self.layers(), self.controls.teach.folders()
        is_real = self.controls.side.is_real
        self._watch(image_layers(self._viewer.layers) if is_real else layers)
        scale = int(str(self.controls.scale.value()))
        self.controls.side.ask_folder(bool(folders))
        self.controls.training.grey.setEnabled(planning.all_grey(layers, folders))
        self.controls.suggest_name(planning.suggested_name(layers, folders, scale))
        running = self.session.is_running
        self.controls.lock(running)
        if not running:
            self._show_plan(layers, folders)

    def _show_plan(self, layers: list[Image], folders: dict[str, int]) -> None:
        """Say what will happen, or why it can't."""
        reason = described = text = ""
        try:
            described = planning.describe(layers, folders)
            request = self.request()
            text = planning.estimate_text(
                request, device_name(self.controls.training.actual_device)
            )
        except EDSRError as error:
            reason = times(str(error))
        self.controls.teach.describe(described)
        self.panel.estimate.show_text(text)
        self.panel.set_ready(reason, can_adapt=self._active() is not None)
        is_free = not self.side_jobs.is_running
        has_run = not reason or self.session.request is not None
        self.panel.set_saving(has_run=has_run, is_free=is_free)
        self.controls.see.setEnabled(is_free and not reason)
        self.panel.show_ready(self.session.resumable)

    # what the workers report

    def _on_began(self, status: str) -> None:
        if self.panel.progress.isHidden():
            self._has_failed = False
            self.panel.begin(status)
            self._update()
        self.panel.progress.status.setText(status)

    def _on_planned(self, event: TrainPlanned) -> None:
        curve = self.panel.make_curve()
        request = self.session.request
        if not (request and request.resumes):
            curve.begin(event.steps, event.bicubic, event.before)
            curve.add_psnr(0, event.before)
        if event.notes:
            self.panel.estimate.show_text(" ".join(event.notes))

    def _on_step(self, event: StepDone) -> None:
        if self.panel.curve is not None:
            self.panel.curve.add_loss(event.done, event.loss)

    def _on_validated(self, event: Validated) -> None:
        if self.panel.curve is not None:
            self.panel.curve.add_psnr(event.step, event.psnr)

    def _on_ended(self, outcome: FinetuneOutcome | None) -> None:
        registered = outcome is not None and outcome.registered
        self.panel.show_outcome(self._outcome_text(outcome), has_model=registered)
        self.panel.blend.begin()
        if outcome is not None and registered:
            self.controls.renew_name(zoo.free_name(outcome.request.config.name))
            self.blender.begin(outcome)
            if outcome.result.best_step != outcome.result.step:
                self.blender.mix(1.0)  # the layers show the last weights, not the best
        self._update()

    def _outcome_text(self, outcome: FinetuneOutcome | None) -> str:
        if outcome is not None:
            return outcome_text(outcome)
        return "" if self._has_failed else "Stopped; nothing was learned yet."

    def _on_failure(self, failure: Failure) -> None:
        self._has_failed = True
        self.panel.error.show_error(times(failure.message), failure.details)
        show_error(failure.message)

    def _on_blend_measured(self, event: object) -> None:
        if isinstance(event, ImageMeasured):
            self.session.kept.show(event)

    def _on_blend_failed(self, failure: Failure) -> None:
        self.panel.blend.show_text("", can_keep=False)
        self._on_failure(failure)

    def _on_blend_said(self, text: str, can_keep: bool) -> None:
        self.panel.error.hide()
        self.panel.blend.show_text(text, can_keep=can_keep)

    def _on_saved(self, path: str) -> None:
        self.panel.saved.show_text(f"Saved {Path(path).name}.")
