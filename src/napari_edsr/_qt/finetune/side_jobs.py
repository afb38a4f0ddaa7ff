"""What the dock does beside training: show the low-resolution side, and save things."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.finetune.export import iter_export
from napari_edsr._qt.finetune.kept_layers import shown_layer
from napari_edsr._qt.finetune.requests import (
    FinetuneOutcome,
    FinetuneRequest,
    Shown,
    iter_save,
    iter_show,
)
from napari_edsr._qt.job_slot import JobSlot
from napari_edsr._qt.layers import add_unselected

if TYPE_CHECKING:
    from napari.components import ViewerModel


class SideJobs(JobSlot):
    """One small job at a time, in the background.

    Signals
    -------
    saved(str)
        Path of what was written.
    """

    saved = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._shown: dict[str, Image] = {}

    def show(self, request: FinetuneRequest) -> None:
        """Add the low-resolution images of a run as layers."""
        job = self.make(iter_show(request), "Making the low-resolution side")
        if job is not None:
            job.returned.connect(self._on_shown)
            job.start()

    def save_model(self, outcome: FinetuneOutcome, path: str) -> None:
        """Write the model of a run to a file."""
        self._save(iter_save(outcome, path), "Saving the model")

    def save_yaml(self, request: FinetuneRequest, path: str) -> None:
        """Write a run to a file, from which it can be repeated."""
        self._save(iter_export(request, path), "Saving the run")

    def _save(self, generator: Generator[Any, Any, str], doing: str) -> None:
        job = self.make(generator, doing)
        if job is not None:
            job.returned.connect(self.saved)
            job.start()

    def _on_shown(self, shown: list[Shown]) -> None:
        """Add the layers, in the place of those of the last time."""
        for item in shown:
            old = self._shown.pop(item.name, None)
            if old is not None and old in self._viewer.layers:
                self._viewer.layers.remove(old)
            layer = self._shown[item.name] = shown_layer(item)
            add_unselected(self._viewer, layer)
