"""The dock "Evaluate": puts its parts together and connects them with the viewer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QWidget

from napari_edsr._qt import settings
from napari_edsr._qt.dock import Dock
from napari_edsr._qt.evaluate import planning
from napari_edsr._qt.evaluate.alignment import find_low
from napari_edsr._qt.evaluate.controls import AUTOMATIC, EvaluateControls
from napari_edsr._qt.evaluate.jobs import iter_measure
from napari_edsr._qt.evaluate.layer_maker import LayerMaker
from napari_edsr._qt.evaluate.maps import is_baseline
from napari_edsr._qt.evaluate.origin import Origin, chosen_result
from napari_edsr._qt.evaluate.panel import EvaluatePanel
from napari_edsr._qt.evaluate.requests import ERROR, SSIM, Candidate, Evaluation
from napari_edsr._qt.evaluate.session import EvaluateSession
from napari_edsr._qt.evaluate.table import as_text, write_csv
from napari_edsr._qt.evaluate.wording import guessed_truth, summary_text, worst_plane
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.layers import image_layers, is_map, show_plane
from napari_edsr._qt.saving import ask_path, file_name
from napari_edsr._qt.wording import times
from napari_edsr.errors import EDSRError, ImageError

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

_CATEGORY, _SECTIONS = "evaluate", "open_sections_evaluate"
_SETTLES = 300  # milliseconds between a change of a layer and a new measurement


class EvaluateWidget(Dock):
    """Choose the truth, press Measure, and see which candidate comes nearest to it.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Also a `napari.components.ViewerModel`, without a window.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        controls, panel = EvaluateControls(), EvaluatePanel()
        super().__init__(napari_viewer, controls, panel, parent)
        self.controls, self.panel = controls, panel
        self.session = EvaluateSession(self)
        self.maker = LayerMaker(napari_viewer, self._begin, self)
        self.evaluation: Evaluation | None = None
        self._has_chosen_truth = False
        self._measured: tuple[object, ...] = ()
        self._is_measuring = self._is_asked = False
        self._anew = QTimer(self)
        self._anew.setSingleShot(True)
        self._anew.setInterval(_SETTLES)
        controls.restore(settings.load(_CATEGORY))
        controls.restore_sections(settings.load("remembered")[_SECTIONS])
        self._connect()
        self.follow_layers()

    def _connect(self) -> None:
        controls, panel, session = self.controls, self.panel, self.session
        controls.changed.connect(self._on_choices)
        controls.truth.chosen.connect(self._on_truth)
        controls.sections_changed.connect(self._on_sections)
        panel.measure_asked.connect(self.measure)
        panel.cancel_asked.connect(self.cancel)
        panel.live.toggled.connect(self._update)
        panel.table.plane_chosen.connect(self.show_plane)
        panel.copy.clicked.connect(self.copy)
        panel.csv.clicked.connect(self.save_csv)
        panel.error_map.clicked.connect(partial(self.add_map, ERROR))
        panel.ssim_map.clicked.connect(partial(self.add_map, SSIM))
        panel.compare.clicked.connect(self.compare)
        panel.uncertainty.clicked.connect(self.add_uncertainty)
        panel.consistency.clicked.connect(self.add_consistency)
        self.maker.said.connect(panel.said.show_text)
        session.progressed.connect(panel.progress.move_to)
        session.changed.connect(self._update)
        session.stopped.connect(self._on_stopped)
        session.failed.connect(self._on_job_failure)
        self._anew.timeout.connect(self._measure_anew)

    # what is asked for

    def measure(self) -> None:
        """Measure what is ticked; a measurement under way is begun anew."""
        self._measure(is_asked=True)

    def _measure(self, *, is_asked: bool) -> None:
        self._is_asked = is_asked
        self._anew.stop()
        try:
            plan = planning.plan(self.choices())
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Measuring"))
            return
        self.session.run_instead(lambda: self._start(plan))

    def _measure_anew(self) -> None:
        """Measure what changed, after a map that is being made: it may take minutes."""
        if self.session.is_running and not self._is_measuring:
            self._anew.start()
        elif self.panel.measure.isEnabled():
            self._measure(is_asked=False)

    def _start(self, plan: planning.Plan) -> None:
        self._measured, self._is_measuring = plan.request.key, True
        self.panel.begin("Measuring…")
        self.session.run(iter_measure(plan.request), "Measuring", self._on_measured)

    def cancel(self) -> None:
        """End the job after the plane at work."""
        self.session.stop_all()
        step = "this plane" if self._is_measuring else "this step"
        self.panel.progress.show_stopping(f"Stopping after {step}…")

    def add_map(self, kind: str) -> None:
        """Add a map of the chosen candidate, or of the first, as a layer."""
        evaluation, candidate = self.evaluation, self._chosen()
        if evaluation is not None and candidate is not None:
            self.maker.add_map(evaluation.request, candidate, kind)

    def add_consistency(self) -> None:
        """Add a map of where a result contradicts the layer it was made from."""
        self.maker.add_consistency(*self._result())

    def add_uncertainty(self) -> None:
        """Run the model eight times, and map where it disagrees with itself."""
        try:
            self.maker.add_uncertainty(*self._result())
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Mapping the uncertainty"))

    def compare(self) -> None:
        """Open the Compare dock with the chosen candidate and the truth."""
        evaluation, candidate, truth = self.evaluation, self._chosen(), self._truth()
        if evaluation is None or candidate is None:
            return
        row = evaluation.row(candidate.key)
        place = worst_plane(row) if row else None
        try:
            if truth is None:
                raise ImageError("Choose the layer that holds the truth.")
            self.maker.compare(truth, candidate, place)
        except ImageError as error:
            self.panel.said.show_text(times(str(error)))

    def _begin(
        self, doing: str, job: Generator[Any, Any, Any], show: Callable[[Any], object]
    ) -> None:
        if not self.session.is_running:
            self._is_measuring, self._is_asked = False, True
            self.panel.begin(f"{doing}…")
            self.session.run(job, doing, show)
        else:
            self.panel.said.show_text(
                "Wait for what is being done, or cancel it first."
            )

    def _result(self) -> tuple[Image, Origin]:
        """The layer that is looked at without a truth, and where it comes from.

        Raises
        ------
        ImageError
            If none is there.
        """
        layers, truth = self._layers(), self._truth()
        selected = [x for x in layers if self._is_selected(x) and x is not truth]
        return chosen_result(layers, selected)

    def _chosen(self) -> Candidate | None:
        """The candidate whose line is chosen, else the first that is no baseline."""
        if self.evaluation is None:
            return None
        return self.evaluation.request.candidate(self.panel.table.chosen())

    def show_plane(self, place: tuple[int, ...]) -> None:
        """Move the viewer's sliders to a plane of the truth."""
        truth = self._truth()
        if truth is not None:
            show_plane(self._viewer.dims, truth, place)

    def copy(self) -> None:
        """Put the table on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if self.evaluation is not None and clipboard is not None:
            clipboard.setText(as_text(self.evaluation))
            self.panel.said.show_text("Copied the table.")

    def save_csv(self) -> None:
        """Ask where to write all figures, and write them."""
        if self.evaluation is None:
            return
        name = Path(file_name(self.evaluation.request.truth.name)).stem
        path = ask_path(self, "Save figures", f"{name}.csv", "CSV (*.csv)")
        if path:
            self._write(Path(path), self.evaluation)

    def _write(self, path: Path, evaluation: Evaluation) -> None:
        try:
            write_csv(path, evaluation)
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Saving"))
        else:
            self.panel.said.show_text(f"Saved {path.name}.")

    def stop_all(self) -> None:
        """End whatever runs, each after the step at work."""
        self._anew.stop()
        self.session.stop_all()

    # what is there

    def choices(self) -> planning.Choices:
        """What the controls say, as layers and plain values."""
        truth, ticked = self._truth(), self.controls.candidates.ticked(int)
        available = self._layers()
        layers = [layer for layer in available if id(layer) in ticked]
        return planning.Choices(
            truth=truth,
            candidates=[layer for layer in layers if layer is not truth],
            low=self._low(truth),
            baselines=self.controls.baselines(),
            rules=self.controls.rules.value(str(self.controls.protocol.value())),
            available=len(available),
        )

    def _layers(self) -> list[Image]:
        layers = image_layers(self._viewer.layers)
        return [layer for layer in layers if not (is_map(layer) or is_baseline(layer))]

    def _by_key(self, key: object) -> Image | None:
        return next((layer for layer in self._layers() if id(layer) == key), None)

    def _truth(self) -> Image | None:
        return self._by_key(self.controls.truth.value())

    def _low(self, truth: Image | None) -> Image | None:
        key = self.controls.low.value()
        if key == AUTOMATIC:
            return find_low(truth, self._layers()) if truth is not None else None
        return self._by_key(key)

    def follow_layers(self) -> None:
        """Follow the viewer's list."""
        layers = self._layers()
        names = [(layer.name, id(layer)) for layer in layers]
        self.controls.set_truths(names)
        if not self._has_chosen_truth or self._truth() is None:
            guess = guessed_truth(layers)
            self.controls.truth.blockSignals(True)
            self.controls.truth.set_value(id(guess) if guess is not None else None)
            self.controls.truth.blockSignals(False)
        self._offer(layers)
        self._rename(layers)
        self._update()

    def _offer(self, layers: list[Image]) -> None:
        truth = self._truth()
        others = [layer for layer in layers if layer is not truth]
        names = [(layer.name, id(layer)) for layer in others]
        low = find_low(truth, others) if truth is not None else None
        fitting = [id(layer) for layer in planning.fitting(truth, others, low)]
        self.controls.set_candidates(names, fitting)
        self.controls.set_low(names, low.name if low is not None else "")

    def _rename(self, layers: list[Image]) -> None:
        """Call the candidates in the table what their layers are called now."""
        names: dict[Hashable, str] = {id(layer): layer.name for layer in layers}
        if self.evaluation is not None and self.evaluation.differs(names):
            self._show(self.evaluation.renamed(names))

    def _on_data(self, layer: Layer) -> None:
        choices = self.choices()
        self.maker.forget_baselines()
        used = (choices.truth, choices.low, *choices.candidates)
        if self._measured and self.panel.live.isChecked() and layer in used:
            self._anew.start()

    def _on_view(self) -> None:
        """What is measured doesn't depend on the view."""

    def _on_truth(self, key: object) -> None:
        self._has_chosen_truth = key is not None
        self.follow_layers()

    def _on_choices(self) -> None:
        self.panel.error.hide()
        settings.save(_CATEGORY, **self.controls.settings())
        self._update()

    def _on_sections(self) -> None:
        settings.save("remembered", **{_SECTIONS: self.controls.open_sections()})

    def _update(self) -> None:
        """Bring every text up to date with the controls and the viewer."""
        choices = self.choices()
        self._watch(self._layers())
        reason = described = ""
        try:
            plan = planning.plan(choices)
        except EDSRError as error:
            kept = self.evaluation is not None
            reason = f"{error} The figures are those of before." if kept else str(error)
        else:
            described = "\n".join([plan.aligned, *plan.left_out])
            if self._measured and self.panel.live.isChecked():
                self._follow(plan)
        self.controls.described.show_text(times(described))
        self.panel.set_ready(times(reason))
        self._show_trust()
        self.panel.set_busy(self.session.is_running, self._is_measuring)
        if not self.session.is_running:
            self.panel.progress.hide()

    def _follow(self, plan: planning.Plan) -> None:
        """Measure anew by itself if something else was measured last."""
        if plan.request.key != self._measured:
            self._anew.start()

    def _show_trust(self) -> None:
        """Say of which layer the maps without a truth would be, or why of none."""
        try:
            result, _ = self._result()
        except EDSRError as error:
            self.panel.set_trust(times(str(error)), "")
        else:
            self.panel.set_trust("", f"Maps of {result.name}.")

    # what the jobs report

    def _on_measured(self, evaluation: Evaluation) -> None:
        self._show(evaluation)
        self._rename(self._layers())

    def _show(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.panel.table.show_evaluation(evaluation)
        self.panel.summary.show_text(summary_text(evaluation))
        self.panel.set_measured(True)

    def _on_stopped(self) -> None:
        kept = "; the figures are those of before" if self._is_measuring else ""
        self.panel.said.show_text(f"Stopped{kept}.")

    def _on_job_failure(self, failure: Failure) -> None:
        """Notify of what was asked for alone: each change of a layer may fail again."""
        if self._is_asked:
            show_error(failure.message)
        self._show_failure(failure)

    def _on_failure(self, failure: Failure) -> None:
        show_error(failure.message)
        self._show_failure(failure)

    def _show_failure(self, failure: Failure) -> None:
        self.panel.error.show_error(times(failure.message), failure.details)
