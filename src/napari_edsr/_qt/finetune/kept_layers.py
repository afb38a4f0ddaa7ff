"""What is kept aside, as layers: how the network saw it before, and sees it now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_edsr._qt.finetune.requests import Lesson, Shown
from napari_edsr._qt.layer_part import LayerPart
from napari_edsr._qt.layers import METADATA_KEY, add_unselected
from napari_edsr.events import ImageMeasured

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

_BEFORE, _NOW, _TRUTH = "before", "now", "truth"


class KeptLayers:
    """Makes and redraws the layers; those of an earlier run go when others come.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._parts: dict[str, LayerPart] = {}
        self._layers: dict[tuple[str, int, str], Image] = {}
        self._outdated: list[Image] = []
        self._stage = _BEFORE

    @property
    def layers(self) -> list[Image]:
        """Those that are in the viewer, in the order they were made."""
        return [
            layer for layer in self._layers.values() if layer in self._viewer.layers
        ]

    def begin(self, lessons: Sequence[Lesson], *, resumes: bool = False) -> None:
        """Get ready for a run; one that goes on keeps its layers."""
        if not resumes:
            self._outdated += self.layers
            self._layers.clear()
            self._stage = _BEFORE
        self._parts = {lesson.hr.name: lesson.hr for lesson in lessons}

    def trained(self) -> None:
        """What is measured from now on is of the network in training."""
        self._stage = _NOW

    def _remove_outdated(self) -> None:
        """Take the layers of an earlier run out of the viewer, now that others come.

        Not earlier: OpenGL drivers were seen to crash where several layers had gone and
        none was added until the next drawing but one.
        """
        for layer in self._outdated:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._outdated.clear()

    def show(self, event: ImageMeasured) -> None:
        """Show what was measured; where there are no layers, of the first image only."""
        if not self._parts:
            self._show_first(event)
        elif event.name in self._parts:
            self._put(event, self._stage, event.upscaled)

    def _show_first(self, event: ImageMeasured) -> None:
        names = {name for name, _, _ in self._layers}
        if any(event.place) or (names and event.name not in names):
            return
        if self._stage == _BEFORE:
            height, width = event.upscaled.shape[1:]
            self._put(event, _TRUTH, event.truth[:, :height, :width])
        self._put(event, self._stage, event.upscaled)

    def _put(self, event: ImageMeasured, stage: str, plane: NDArray) -> None:
        layer = self._layers.get((event.name, event.scale, stage))
        if layer is None:
            layer = self._add(event, stage, plane)
        elif layer not in self._viewer.layers:
            return  # someone did not want to see it
        pixels = np.moveaxis(plane, 0, -1)
        place = event.place if self._parts else ()
        layer.data[place] = pixels if layer.rgb else pixels[..., 0]
        layer.refresh(extent=False, highlight=False)

    def _add(self, event: ImageMeasured, stage: str, plane: NDArray) -> Image:
        part = self._parts.get(event.name)
        colours, height, width = plane.shape
        settings = part.settings(event.corner) if part else {}
        samples = (colours,) if colours == 3 else ()
        leading = part.leading_shape if part else ()
        data = np.zeros((*leading, height, width, *samples), plane.dtype)
        settings |= {"name": f"{event.name} kept aside, {stage}", "rgb": colours == 3}
        if "contrast_limits" not in settings and colours != 3:
            settings["contrast_limits"] = _limits(event.truth)
        layer = Image(data, **settings)
        layer.metadata[METADATA_KEY] = {"preview": True, "kept_aside": stage}
        self._remove_outdated()
        add_unselected(self._viewer, layer)
        self._layers[event.name, event.scale, stage] = layer
        return layer


def _limits(truth: NDArray) -> tuple[float, float]:
    low, high = float(truth.min()), float(truth.max())
    return low, high if high > low else low + 1


def shown_layer(shown: Shown) -> Image:
    """What the network will see, over the layer it was made from."""
    settings = shown.part.settings((0, 0), 1 / shown.scale) if shown.part else {}
    settings["rgb"] = shown.is_rgb
    settings["metadata"] = {METADATA_KEY: {"low_resolution_of": shown.name}}
    return Image(shown.image, **settings, name=f"{shown.name} as the network sees it")
