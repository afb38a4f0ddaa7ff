"""Layers made of figures and results: maps and baselines, each by a job."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_edsr._qt import handover
from napari_edsr._qt.evaluate import trust
from napari_edsr._qt.evaluate.jobs import iter_enlarged, iter_map
from napari_edsr._qt.evaluate.maps import baseline_layer, map_layer
from napari_edsr._qt.evaluate.requests import Candidate, MeasureRequest
from napari_edsr._qt.layers import add_unselected
from napari_edsr.errors import ImageError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_edsr._qt.evaluate.origin import Origin
    from napari_edsr.trust import Consistency, Uncertainty

#: What is done in words, the job, and what to do with its result.
Begin = Callable[[str, Generator[Any, Any, Any], Callable[[Any], object]], object]


class LayerMaker(QObject):
    """Adds layers to a viewer once their jobs are done.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    begin : callable
        Begins a job, unless another is at work.

    Signals
    -------
    said(str)
        What a map shows, in a number.
    """

    said = Signal(str)

    def __init__(
        self, viewer: ViewerModel, begin: Begin, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._begin = viewer, begin
        self._baselines: WeakValueDictionary[Hashable, Image] = WeakValueDictionary()

    def add_map(self, request: MeasureRequest, candidate: Candidate, kind: str) -> None:
        """Add a map of where a candidate is wrong."""

        def show(values: NDArray) -> None:
            layer = map_layer(request, candidate, kind, values)
            add_unselected(self._viewer, layer)

        job = iter_map(request, candidate, kind)
        self._begin(f"Mapping {candidate.name}", job, show)

    def add_consistency(self, result: Image, origin: Origin) -> None:
        """Add a map of where a result contradicts the layer it was made from."""
        request = trust.consistency_request(result, origin)

        def show(found: Consistency) -> None:
            trust.add_consistency(self._viewer, request, found)
            self.said.emit(trust.consistency_text(request, found))

        job = trust.iter_layer_consistency(request)
        self._begin(f"Checking the consistency of {result.name}", job, show)

    def add_uncertainty(self, result: Image, origin: Origin) -> None:
        """Run the model eight times, and map where it disagrees with itself.

        Raises
        ------
        EDSRError
            If nothing tells which model that was, or it is gone.
        """
        request = trust.uncertainty_request(result, origin)

        def show(found: Uncertainty) -> None:
            trust.add_result_uncertainty(self._viewer, result, origin, found)
            self.said.emit(trust.uncertainty_text(result, found))

        job = trust.iter_uncertainty(request)
        self._begin(f"Mapping the uncertainty of {result.name}", job, show)

    def compare(
        self, truth: Image, candidate: Candidate, place: Sequence[int] | None
    ) -> None:
        """Open the Compare dock with a candidate, and make it a layer if it is none.

        Raises
        ------
        ImageError
            If its layer is gone, or the truth itself now.
        """
        layer = self._layer_of(candidate)
        if layer is truth:
            raise ImageError(f"{candidate.name} is the truth now; choose another line.")
        if layer is None and candidate.enlarged == 1:
            raise ImageError(f"{candidate.name} is no longer open; measure again.")
        if layer is not None:
            handover.compare(self._viewer, [truth, layer], place)
        else:
            self._make_baseline(
                candidate, lambda: self.compare(truth, candidate, place)
            )

    def _layer_of(self, candidate: Candidate) -> Image | None:
        """The candidate's layer, if it is still there."""
        made = self._baselines.get(candidate.key)
        layers = (x for x in self._viewer.layers if isinstance(x, Image))
        return next((x for x in layers if x is made or id(x) == candidate.key), None)

    def _make_baseline(self, candidate: Candidate, then: Callable[[], None]) -> None:
        def show(image: NDArray) -> None:
            layer = self._baselines[candidate.key] = baseline_layer(candidate, image)
            add_unselected(self._viewer, layer)
            then()

        self._begin(f"Making {candidate.name}", iter_enlarged(candidate), show)

    def forget_baselines(self) -> None:
        """Make them anew the next time, as pixels have changed."""
        self._baselines.clear()
