"""The folder's share of the Upscale dock: its controls, its list, and what runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.folder.jobs import DONE, FileOutcome, FolderRequest, Survey
from napari_edsr._qt.folder.opening import ResultOpener
from napari_edsr._qt.folder.options import FolderOptions
from napari_edsr._qt.folder.results import FolderResults
from napari_edsr._qt.folder.session import FolderScout, FolderSession
from napari_edsr._qt.planning import Choices
from napari_edsr._qt.wording import about, in_bytes
from napari_edsr.errors import EDSRError

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_edsr.images import ImageSpec

_NO_FOLDER = "Choose a folder of images."
_NO_OUTPUT = "Choose a folder for the results."


class FolderPart(QObject):
    """Connects what stands in the form and in the panel with what runs.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    options : FolderOptions
    results : FolderResults
    choices : callable
        What the other controls say.
    foresee : callable
        Seconds that images take, or None where that is unknown.

    Signals
    -------
    failed(Failure)
        An image cannot be upscaled, or a result not be opened.
    """

    failed = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        options: FolderOptions,
        results: FolderResults,
        choices: Callable[[], Choices],
        foresee: Callable[[Sequence[ImageSpec]], float | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.options, self.results = options, results
        self._choices, self._foresee = choices, foresee
        self.session, self.scout = FolderSession(self), FolderScout(self)
        self.opener = ResultOpener(viewer, self)
        self._is_busy = False
        self._survey: Survey | None = None
        self._found, self._obstacle = "", _NO_FOLDER
        self._connect()

    def _connect(self) -> None:
        self.options.changed.connect(self.look)
        self.options.run_asked.connect(self.run)
        self.scout.found.connect(self._on_found)
        self.scout.failed.connect(self._on_obstacle)
        self.session.began.connect(self.results.begin)
        self.session.file_ended.connect(self._on_file)
        self.session.failed.connect(self.failed)
        self.session.ended.connect(self.look)
        self.results.opened.connect(self.opener.open)
        self.opener.failed.connect(self.failed)

    @property
    def is_running(self) -> bool:
        """Whether a folder is being upscaled."""
        return self.session.is_running

    def run(self) -> None:
        """Upscale the folder with what the controls say now."""
        try:
            request = self._request()
        except EDSRError as error:
            self._on_obstacle(str(error))
            return
        if self._choices().engine.get("uncertainty"):
            show_warning("The uncertainty is left out: files hold the results alone.")
        self.session.start(request)

    def stop(self) -> None:
        """End the run after the part at work; the images that are done are kept."""
        self.session.stop()

    def stop_all(self) -> None:
        """End whatever runs."""
        for worker in (self.session, self.scout, self.opener):
            worker.stop()

    def set_busy(self, busy: bool) -> None:
        """Keep the button from being pressed while something else runs."""
        self._is_busy = busy
        self._show()

    def look(self) -> None:
        """See what the folder holds, with the scale of now."""
        folder = self.options
        if not folder.source.path():
            self._on_obstacle(_NO_FOLDER)
        elif not folder.output.path():
            self._on_obstacle(_NO_OUTPUT)
        else:
            self.scout.look(self._files())

    def _files(self) -> FolderRequest:
        options = self.options
        return FolderRequest(
            source=options.source.path(),
            output=options.output.path(),
            pattern=options.pattern.text().strip(),
            skip_existing=options.skip.isChecked(),
            scale=self._choices().scale,
        )

    def _request(self) -> FolderRequest:
        choices = self._choices()
        engine = {k: v for k, v in choices.engine.items() if k != "uncertainty"}
        return replace(
            self._files(),
            model=choices.checked_model().key,
            options={**engine, "normalize": choices.normalize},
        )

    def _on_file(self, outcome: FileOutcome) -> None:
        if outcome.status == DONE:
            self.opener.forget(str(outcome.job.target))
        self.results.add(outcome)

    def _on_obstacle(self, reason: str) -> None:
        self._survey, self._found, self._obstacle = None, "", reason
        self._show()

    def _on_found(self, survey: Survey) -> None:
        self._survey = survey
        self.refresh()

    def refresh(self) -> None:
        """Say what the run will take with the model and the device of now."""
        survey = self._survey
        if survey is None:
            return
        try:
            self._found = _described(survey, self._foresee(survey.specs))
            self._obstacle = "" if survey.specs else _nothing_left(survey)
        except EDSRError as error:  # there is no model
            self._obstacle = str(error)
        self._show()

    def _show(self) -> None:
        busy = "A run is under way; cancel it to start another."
        obstacle = busy if self._is_busy else self._obstacle
        self.options.show_plan(self._found, obstacle)


def _described(survey: Survey, seconds: float | None) -> str:
    """E.g. ``"12 images, 48 MP – up to 600 MB, about 6 min"``."""
    count = len(survey.specs)
    pixels = sum(math.prod(spec.plane) * spec.n_planes for spec in survey.specs)
    cost = [f"up to {in_bytes(survey.output_bytes)}"]
    cost += [about(seconds)] if seconds is not None else []
    text = f"{count} image{'s' * (count != 1)}, {pixels / 1e6:.2g} MP"
    others = [f"{survey.n_skipped} are there already"] * bool(survey.n_skipped)
    others += [f"{survey.n_unfit} cannot be upscaled"] * bool(survey.n_unfit)
    lines = [f"{text} – {', '.join(cost)}", ", ".join(others), survey.note]
    return "\n".join(line for line in lines if line)


def _nothing_left(survey: Survey) -> str:
    if survey.n_unfit:
        return "None of these images can be upscaled."
    return f"All {survey.n_skipped} results are there already."
