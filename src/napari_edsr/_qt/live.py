"""The layer of a result while it sharpens, and what its redraws may cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QTimer

from napari_edsr._qt.layers import METADATA_KEY, add_unselected, map_settings
from napari_edsr._qt.news import layer_news
from napari_edsr._qt.painting import painting_put_off
from napari_edsr._qt.requests import UpscaleRequest, partial_metadata
from napari_edsr.images import understand

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_edsr.images import Region

#: What made each layer: the metadata, which is saved with it, holds no folders.
_models: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()
_files: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()
_sources: WeakKeyDictionary[Layer, ReferenceType[Image]] = WeakKeyDictionary()
#: Seconds between two looks into a file that is being written.
_FILE_PAUSE = 0.3
_BETWEEN_STEPS = 50  # milliseconds
_ABOVE_ZERO = 1e-4  # of white: what is below is not drawn


class RedrawBudget:
    """Redraws that together take at most a share of the time since the first question.

    Parameters
    ----------
    share : float
        Of the elapsed time; the next redraw is foreseen to cost what the last one did.
    clock : callable
        Seconds, rising.
    pause : float
        Seconds from one redraw to the next, at least.

    Attributes
    ----------
    count : int
        Redraws so far.
    spent : float
        Seconds they took.
    """

    def __init__(
        self,
        share: float = 0.05,
        clock: Callable[[], float] = time.perf_counter,
        pause: float = 0.0,
    ) -> None:
        self.share, self.pause = share, pause
        self.count = 0
        self.spent = 0.0
        self._clock = clock
        self._began = self._last_begin = clock()
        self._last_cost = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the budget was made."""
        return self._clock() - self._began

    def allows_another(self) -> bool:
        """Whether one more redraw stays within the share, and comes after the pause."""
        if self._clock() - self._last_begin < self.pause:
            return False
        return self.spent + self._last_cost <= self.share * self.elapsed

    def start(self) -> Callable[[], None]:
        """Count a redraw that begins now; call what is returned when it is over."""
        began = self._last_begin = self._clock()
        self.count += 1

        def finish() -> None:
            self._last_cost = self._clock() - began
            self.spent += self._last_cost

        return finish


class LiveResult:
    """A result's layer: shown at once, redrawn now and then, completed at the end.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    request : UpscaleRequest
    image : ndarray or list of array
        Array that the engine writes into, which napari shows without a copy; or the
        resolutions of a file, which are read again with each redraw.
    budget : RedrawBudget, optional
    """

    def __init__(
        self,
        viewer: ViewerModel,
        request: UpscaleRequest,
        image: NDArray | list[Any],
        budget: RedrawBudget | None = None,
    ) -> None:
        self.request = request
        in_file = isinstance(image, list)
        self.budget = budget or RedrawBudget(pause=_FILE_PAUSE if in_file else 0.0)
        self._redrawing = False
        self._coarsest: tuple[Any, NDArray] | None = None
        if isinstance(image, list):
            image = self._with_coarsest_at_hand(image)
        self.layer = Image(
            image,
            name=request.name,
            multiscale=in_file,
            visible=not in_file,
            **request.settings,
        )
        self._look = None
        if in_file:
            note_file(self.layer, request.out)
            self._look = _see_through(self.layer)
        _models[self.layer] = request.model
        for layer in viewer.layers:
            if isinstance(layer, Image) and id(layer) == request.source_key:
                _sources[self.layer] = ref(layer)
        if request.contrast_range is not None:
            self.layer.contrast_limits_range = request.contrast_range
        self.describe(partial_metadata(request, None, 0))  # a preview is known by it
        (_add_in_steps if in_file else add_unselected)(viewer, self.layer)

    def _with_coarsest_at_hand(self, levels: list[Any]) -> list[Any]:
        """With an array as the coarsest level, which redraws bring up to date.

        Of an image without a stack napari would read it once, and keep it.
        """
        if understand(levels[0], self.request.axes).n_planes > 1:
            return levels
        shown = np.zeros(levels[-1].shape, levels[-1].dtype)
        self._coarsest = levels[-1], shown
        if self.request.done_before:
            self._read_coarsest()
        return [*levels[:-1], shown]

    def _read_coarsest(self) -> None:
        if self._coarsest is not None:
            source, shown = self._coarsest
            shown[...] = source[...]

    def describe(self, metadata: Mapping[str, Any]) -> None:
        """Put the provenance of the result into the layer's metadata."""
        kind = {"preview": True} if self.request.preview else {}
        self.layer.metadata[METADATA_KEY] = {**metadata, **kind}

    def redraw_if_affordable(self) -> None:
        """Show the tiles done since the last redraw, unless that would cost too much."""
        if not self._redrawing and self.layer.visible and self.budget.allows_another():
            self._redraw()

    def finish(self, *, is_complete: bool = True) -> None:
        """Show everything, thumbnail included, and let others know of the new pixels."""
        if is_complete and self._look is not None:
            self._look.restore(self.layer)
        self._redraw(thumbnail=True)
        self.layer.events.data(value=self.layer.data)

    def _redraw(self, *, thumbnail: bool = False) -> None:
        """Refresh the layer; it is over when the event loop has painted it."""
        self._redrawing = True
        finish = self.budget.start()
        self._read_coarsest()
        self.layer.refresh(thumbnail=thumbnail, extent=False, highlight=False)
        layer_news().redrawn.emit(self.layer)

        def painted() -> None:
            finish()
            self._redrawing = False

        QTimer.singleShot(0, painted)


@dataclass(frozen=True)
class _Look:
    """How a layer looks once nothing is missing in it, and while something is."""

    final: tuple[Colormap, tuple[float, float]]
    meanwhile: tuple[Colormap, tuple[float, float]]

    def restore(self, layer: Image) -> None:
        """Take back what was changed, unless the user has changed it since."""
        colormap, limits = self.meanwhile
        if layer.colormap.name == colormap.name:
            layer.colormap = self.final[0]
        if tuple(layer.contrast_limits) == limits:
            layer.contrast_limits = self.final[1]


def _see_through(layer: Image) -> _Look | None:
    """Let what lies below be seen where nothing is done: there the file holds zeros.

    None where zeros are not the darkest there is, or a pixel has colours of its own.
    """
    low, high = layer.contrast_limits
    if layer.rgb or low < 0:
        return None
    final = layer.colormap, (low, high)
    clear = Colormap(
        layer.colormap.colors,
        name=f"{layer.colormap.name}, unfinished",  # napari keeps them by their names
        controls=layer.colormap.controls,
        interpolation=layer.colormap.interpolation,
        low_color=(0.0, 0.0, 0.0, 0.0),
    )
    layer.colormap = clear
    layer.contrast_limits = low or _ABOVE_ZERO * high, high
    return _Look(final, (clear, tuple(layer.contrast_limits)))


def _add_in_steps(viewer: ViewerModel, layer: Image) -> None:
    """Add a hidden layer, paint that it is there, and draw it, each in a turn of its own.

    In one turn of the event loop the window would stand still twice as long.
    """

    def show() -> None:
        if layer in viewer.layers:
            layer.visible = True

    with painting_put_off(_BETWEEN_STEPS):
        add_unselected(viewer, layer)
    QTimer.singleShot(2 * _BETWEEN_STEPS, show)


def file_of(layer: Layer) -> str:
    """Path of the file that a result of this session is read from; else empty."""
    return _files.get(layer, "")


def note_file(layer: Layer, path: str) -> None:
    """Remember what `file_of` tells."""
    _files[layer] = path


def model_of(layer: Image) -> str:
    """Name or path of the model that made a layer in this session; else empty."""
    return _models.get(layer, "")


def source_of(layer: Layer) -> Image | None:
    """The layer that a result of this session was made from, whatever its name is now."""
    reference = _sources.get(layer)
    return reference() if reference is not None else None


def add_uncertainty(
    viewer: ViewerModel,
    result: Image,
    spread: NDArray[np.float32],
    region: Region | None = None,
    *,
    visible: bool = False,
) -> Image:
    """Add the uncertainty of a result, or of a part of it, as a layer over it."""
    layer = Image(
        spread,
        name=f"{result.name} uncertainty",
        colormap="inferno",
        visible=visible,
        contrast_limits=(0.0, float(np.nanmax(spread, initial=0.0)) or 1.0),
        **map_settings(result, region),
        metadata={
            METADATA_KEY: dict(result.metadata.get(METADATA_KEY, {}), uncertainty=True)
        },
    )
    add_unselected(viewer, layer)
    return layer
