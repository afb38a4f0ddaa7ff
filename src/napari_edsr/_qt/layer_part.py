"""A layer's pixels and place as they once were, for a worker to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_edsr import files
from napari_edsr._qt.layers import (
    cut,
    layer_array,
    layer_axes,
    place_of,
    placed_settings,
)
from napari_edsr.files import ImageFile
from napari_edsr.images import Region

if TYPE_CHECKING:
    from napari.layers import Image


@dataclass(frozen=True)
class LayerPart:
    """The pixels of a layer, or a part of them: a snapshot, as the layer may go.

    Attributes
    ----------
    data : array
        Possibly lazy.
    attributes : mapping
        Of the layer, as for `napari_edsr.files.layer_file`.
    axes : str
        One letter for each axis of `data`.
    corner : (int, int)
        Row and column of the layer at which the part begins.
    """

    data: Any
    attributes: Mapping[str, Any]
    axes: str
    corner: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, layer: Image, region: Region | None = None) -> LayerPart:
        """A layer as it is now, or the part of it in these rows and columns."""
        axes, spans = layer_axes(layer), dict(region or {})
        parts = tuple(slice(*spans.get(axis, (None,))) for axis in axes)
        attributes = {**layer.as_layer_data_tuple()[1], "metadata": {}}
        attributes["multiscale"] = False
        corner = spans.get("Y", (0, 0))[0], spans.get("X", (0, 0))[0]
        return cls(cut(layer_array(layer), parts), attributes, axes, corner)

    @property
    def name(self) -> str:
        """Of the layer, as it was."""
        return str(self.attributes["name"])

    def read(self) -> ImageFile:
        """The image as its file would hold it."""
        return files.layer_file(self.data, self.attributes)

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Lengths of the axes before rows and columns."""
        return tuple(self.data.shape[: self.axes.index("Y")])

    def settings(self, corner: tuple[int, int], scale: float = 1.0) -> dict[str, Any]:
        """Arguments of an `Image` whose first pixel lies at `corner` of the part.

        Parameters
        ----------
        corner : (int, int)
        scale : float
            Rows and columns of that image in one of the layer.
        """
        (y, x), (y0, x0) = corner, self.corner
        start = {"Y": (y0 + y, y0 + y + 1), "X": (x0 + x, x0 + x + 1)}
        return placed_settings(self.attributes, self.axes, scale, start)

    def place(self, corner: tuple[int, int]) -> dict[str, Any]:
        """Of `settings`, those that say where it lies, and nothing of how it looks."""
        return place_of(self.settings(corner))
