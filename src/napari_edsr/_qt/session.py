"""A run as the viewer sees it: layers that appear and sharpen, progress, and the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.failure import Failure
from napari_edsr._qt.live import LiveResult, add_uncertainty, file_of, source_of
from napari_edsr._qt.requests import UpscaleRequest, partial_metadata
from napari_edsr._qt.runner import UpscaleRunner
from napari_edsr._qt.tally import Tally
from napari_edsr.events import PassDone, TileDone, UpscalePlanned

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_edsr.inference import UpscaleResult


class UpscaleSession(QObject):
    """Runs requests and shows their results in the viewer.

    Signals
    -------
    began(str), progressed(float, str)
        What is being done; share from 0 to 1 and the time left.
    failed(Failure)
        A request went wrong; the queue goes on.
    warned(str)
        The run goes on, but the user should know.
    measured(UpscaleRequest, dict)
        A request came to its end, with the provenance of its result.
    ended(str)
        All is over: what happened, in a line.
    """

    began = Signal(str)
    progressed = Signal(float, str)
    failed = Signal(object)
    warned = Signal(str)
    measured = Signal(object, object)
    ended = Signal(str)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.runner = UpscaleRunner(self)
        self.live: LiveResult | None = None
        self.results: list[Image] = []
        self.preview: Image | None = None
        self._planned: UpscalePlanned | None = None
        self._done = 0
        self._tally = Tally([])
        self._connect()

    def _connect(self) -> None:
        runner = self.runner
        runner.began.connect(self._on_began)
        runner.placeholder.connect(self._on_placeholder)
        runner.planned.connect(self._on_planned)
        runner.tile_done.connect(self._on_tile)
        runner.advanced.connect(self._on_advance)
        runner.finished.connect(self._on_finished)
        runner.failed.connect(self._on_failed)
        runner.stopped.connect(self._on_stopped)
        runner.idle.connect(self._on_idle)
        runner.warned.connect(self.warned)

    @property
    def is_running(self) -> bool:
        """Whether a request is being worked on."""
        return self.runner.is_running

    def start(self, requests: Sequence[UpscaleRequest]) -> None:
        """Begin; does nothing while another run goes on."""
        if self.is_running:
            return
        self.remove_preview()
        if not requests[0].preview:
            self.results = []
        self._tally = Tally(requests)
        self.runner.run(requests)

    def stop(self) -> None:
        """End after the tile at work, and keep what is done."""
        self.runner.stop()

    def remove_preview(self) -> None:
        """Take the last preview away, if it is still there."""
        preview, self.preview = self.preview, None
        if preview is not None and preview in self._viewer.layers:
            self._viewer.layers.remove(preview)

    def source_of(self, result: Image) -> Image | None:
        """The layer that a result was made from, if it is still there."""
        source = source_of(result)
        return source if source in self._viewer.layers else None

    def layer_removed(self, layer: Layer) -> None:
        """Go on to the next when the user deletes the layer that is being worked on."""
        if self.live is not None and layer is self.live.layer:
            self._tally.deleted = True
            self.runner.skip()
        self.results = [result for result in self.results if result is not layer]
        if layer is self.preview:
            self.preview = None

    def _on_began(self, request: UpscaleRequest) -> None:
        self._tally.number += 1
        self._planned, self._done, self.live = None, 0, None
        if request.overwrite:
            self._remove_layers_of(request.out)
        place = f" ({self._tally.place})" if self._tally.place else ""
        self.began.emit(f"Preparing {request.source}{place}…")

    def _remove_layers_of(self, path: str) -> None:
        """Of a file that is about to change under them."""
        for layer in [layer for layer in self._viewer.layers if file_of(layer) == path]:
            self._viewer.layers.remove(layer)

    def _on_placeholder(self, request: UpscaleRequest, image: Any) -> None:
        if request.out:
            self._remove_layers_of(request.out)
        self.live = LiveResult(self._viewer, request, image)
        if request.preview:
            self.preview = self.live.layer
        else:
            self.results.append(self.live.layer)

    def _on_planned(self, request: UpscaleRequest, plan: UpscalePlanned) -> None:
        self._planned = plan

    def _on_tile(self, request: UpscaleRequest, tile: TileDone) -> None:
        self._done = tile.done
        if self.live is not None:
            self.live.describe(partial_metadata(request, self._planned, tile.done))
            self.live.redraw_if_affordable()

    def _on_advance(self, request: UpscaleRequest, event: TileDone | PassDone) -> None:
        if not self.runner.is_stopping:
            share = event.done / event.total
            self.progressed.emit(*self._tally.progress(share, event.seconds))

    def _on_finished(self, request: UpscaleRequest, result: UpscaleResult) -> None:
        if self.live is None:
            return
        metadata = {**result.metadata, "partial": False, "source": request.source}
        self.live.describe(metadata)
        self.live.finish()
        if result.uncertainty is not None and self.live.layer in self._viewer.layers:
            add_uncertainty(self._viewer, self.live.layer, result.uncertainty)
        self._tally.finished[self._tally.number] = metadata
        if self._planned is None:
            self._tally.opened.add(self._tally.number)
        else:
            self.measured.emit(request, metadata)

    def _on_failed(self, request: UpscaleRequest, error: Exception) -> None:
        self._tally.failed += 1
        self._keep_what_is_done(request)
        failure = Failure.of(error, f"Upscaling {request.source}")
        message = failure.message.replace("use --overwrite", "press Start anew")
        self.failed.emit(replace(failure, message=message))

    def _on_stopped(self, request: UpscaleRequest) -> None:
        self._keep_what_is_done(request)

    def _keep_what_is_done(self, request: UpscaleRequest) -> None:
        """Mark the layer as partial, or remove it if it holds no finished tile."""
        live = self.live
        if live is None or live.layer not in self._viewer.layers:
            return
        if self._planned is None or not (self._done or request.done_before):
            self.live = None
            self._viewer.layers.remove(live.layer)
            return
        live.describe(partial_metadata(request, self._planned, self._done))
        live.finish(is_complete=False)
        self._tally.partial.append((self._done, self._planned.total))

    def _on_idle(self) -> None:
        self.live = None
        self.results = [layer for layer in self.results if layer in self._viewer.layers]
        words = self._tally.words()
        self._tally = Tally([])  # the old one holds the pixels of the sources
        self.ended.emit(words)
