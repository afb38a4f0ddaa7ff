"""What a napari layer holds, and where a result of it lies in the world."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Shapes
from napari.utils.transforms import Affine

from napari_edsr.errors import ImageError
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.files.common import PROVENANCE
from napari_edsr.images import (
    ImageSpec,
    Region,
    leading_axes,
    read_plane,
    understand,
)

if TYPE_CHECKING:
    from napari.components import Dims, ViewerModel
    from napari.layers import Layer
    from numpy.typing import NDArray
    from pint import Unit

METADATA_KEY = PROVENANCE  # where the writer looks for it
#: Of a layer's settings, those that do not fit an enlarged, single-scale copy of it.
_DROPPED = (
    "locked_data_level",
    "multiscale",
    "experimental_clipping_planes",
    "plane",
    "name",
    "visible",
    "auto_contrast",
)
_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_MAPS = ("map", "uncertainty", "consistency")  # what the metadata of maps say
_ROUNDING = 1e-6  # pixels by which a way through the world may be off


def image_layers(layers: Sequence[Layer]) -> list[Image]:
    """Image layers in the order of the layer list, without our own previews."""
    return [
        layer for layer in layers if isinstance(layer, Image) and not is_preview(layer)
    ]


def is_made_here(layer: Layer) -> bool:
    """Whether a layer is one of our results."""
    return METADATA_KEY in layer.metadata


def record_of(layer: Layer) -> Mapping[str, Any]:
    """What a result of ours says of itself; empty for all other layers."""
    about = layer.metadata.get(METADATA_KEY)
    return about if isinstance(about, dict) else {}


def recorded_place(about: Mapping[str, Any]) -> tuple[int, Region]:
    """By which factor a result was upscaled, and from which part of its source.

    Returns
    -------
    int
    Region
        In pixels of the source; empty for all of it.

    Raises
    ------
    ImageError
        If what its metadata say cannot be understood.
    """
    try:
        region = {
            axis: (int(start), int(stop))
            for axis, (start, stop) in (about.get("region") or {}).items()
            if axis != "S"
        }
        return int(about["scale"]), region
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ImageError(
            "What the result says of its making cannot be read; upscale it again."
        ) from error


def is_preview(layer: Layer) -> bool:
    """Whether a layer is of ours and only there to be looked at."""
    return bool(record_of(layer).get("preview"))


def is_map(layer: Layer) -> bool:
    """Whether a layer is of ours and says something about an image, not what it shows."""
    about = record_of(layer)
    return any(about.get(key) for key in _MAPS)


def layer_array(layer: Image) -> Any:
    """Full-resolution array of a layer, possibly lazy; its pixels are not copied."""
    return layer.data[0] if layer.multiscale else layer.data


def layer_axes(layer: Image) -> str:
    """One letter for each axis of `layer_array`.

    The last two of the layer are Y and X, an RGB layer's samples S. Those before are
    called what the layer's axis labels say if these are different single letters,
    else Z, then T. An axis labelled ``c`` holds channels, each an image of its own.
    """
    letters = leading_axes(layer.ndim - 2, layer.axis_labels)
    return letters + ("YXS" if layer.rgb else "YX")


def layer_spec(layer: Image) -> ImageSpec:
    """What a layer holds; `ImageError` says why it cannot be upscaled."""
    return understand(layer_array(layer), layer_axes(layer))


def pixel_size(layer: Image) -> str:
    """Size of a pixel in words, e.g. ``"0.108 µm/px"``; empty while nothing is set."""
    height, width = (float(size) for size in layer.scale[-2:])
    unit = layer.units[-1]
    if (height, width) == (1, 1) and not has_unit(unit):
        return ""
    size = f"{width:.4g}"
    if not np.isclose(height, width, rtol=1e-6):
        size += f" × {height:.4g}"
    return f"{size} {unit:~P}/px" if has_unit(unit) else f"pixel size {size}"


def has_unit(unit: Unit) -> bool:
    """Whether an axis is measured in something; napari's default counts pixels."""
    return f"{unit:~P}" not in ("px", "pixel", "")


def unit_factors(source: Layer, target: Layer) -> NDArray:
    """One unit of `source` in those of `target`, of rows and columns; 1 where unknown."""
    pairs = zip(source.units[-2:], target.units[-2:], strict=True)
    return np.array([unit_factor(*pair) or 1.0 for pair in pairs])


def unit_factor(unit: Unit, wanted: Unit) -> float | None:
    """One `unit` in `wanted`; None where they measure different things."""
    return (1 * unit).m_as(wanted) if unit.is_compatible_with(wanted) else None


def cut(array: Any, parts: Sequence[slice]) -> Any:
    """Part of an array; all of it as it is, as those on disk are read where they are cut.

    Parameters
    ----------
    array : array
        Possibly on disk.
    parts : sequence of slice
        One for each axis.
    """
    spans = zip(parts, array.shape, strict=True)
    whole = all(part.indices(size) == (0, size, 1) for part, size in spans)
    return array if whole else array[tuple(parts)]


def iter_enlarge(
    data: Any, axes: str, scale: int, region: Mapping | None = None
) -> Generator[None, None, NDArray]:
    """Repeat each pixel `scale` times along Y and X: what stands in for the result.

    Parameters
    ----------
    data : array
        Of any size, possibly on disk; only the region is read, plane by plane.
    axes : str
        One letter for each of its axes.
    scale : int
    region : mapping of str to (int, int), optional
        Start and stop along some axes.

    Yields
    ------
    None
        After each plane: a moment to cancel.

    Returns
    -------
    ndarray
        New, in native byte order, with the type of `data`.
    """
    spec = understand(data, axes)
    slices = region_slices(spec, dict(region or {}))
    result = np.empty(region_shape(slices, scale), spec.dtype.newbyteorder("="))
    leading = [slices[axis] for axis in spec.leading]
    for place in np.ndindex(*(part.stop - part.start for part in leading)):
        lead = [part.start + i for part, i in zip(leading, place, strict=True)]
        plane = read_plane(data, axes, lead, (slices["Y"], slices["X"]))
        target = read_plane(result, axes, place)
        for dy, dx in np.ndindex(scale, scale):
            target[dy::scale, dx::scale] = plane
        yield
    return result


def result_settings(
    layer: Image, scale: float, region: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Any]:
    """Arguments of the `Image` that shows a layer's result exactly over it.

    Pixel centres decide: the first of `scale` output pixels lies half an input pixel
    less half an output pixel before its source, under scale, rotation and shear. What
    the layer's `affine` does comes after and stays as it is.

    Parameters
    ----------
    layer : Image
        The source.
    scale : float
        Rows and columns of the result in one of the source.
    region : mapping of str to (int, int), optional
        Part of the source the result shows, in its pixels.
    """
    attributes = layer.as_layer_data_tuple()[1]
    return placed_settings(attributes, layer_axes(layer), scale, region)


def map_settings(layer: Image, region: Region | None = None) -> dict[str, Any]:
    """Arguments of an `Image` that lies over a layer pixel by pixel and looks its own way.

    Parameters
    ----------
    layer : Image
    region : mapping of str to (int, int), optional
        Part of the layer that is covered, in its pixels.
    """
    return place_of(result_settings(layer, 1, region))


def place_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a layer's settings, those that say where it lies."""
    return {key: settings[key] for key in _PLACE}


def placed_settings(
    attributes: Mapping[str, Any],
    axes: str,
    scale: float,
    region: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """As `result_settings`, of a layer's attributes and axes as they once were."""
    settings = {k: v for k, v in attributes.items() if k not in _DROPPED}
    spatial = axes.replace("S", "")
    factors, origin = np.ones(len(spatial)), np.zeros(len(spatial))
    factors[-2:] = scale
    for i, axis in enumerate(spatial):
        origin[i] = (region or {}).get(axis, (0, 0))[0]
    shift = origin + (1 / factors - 1) / 2
    turns = {key: attributes[key] for key in ("scale", "rotate", "shear")}
    linear = Affine(**turns, ndim=len(spatial)).linear_matrix
    settings["scale"] = np.asarray(attributes["scale"]) / factors
    settings["translate"] = np.asarray(attributes["translate"]) + linear @ shift
    settings["metadata"] = {
        k: v for k, v in attributes["metadata"].items() if k != METADATA_KEY
    }
    return settings


def add_unselected(viewer: ViewerModel, layer: Image) -> None:
    """Add a layer, and leave selected what is; the first of a viewer is selected."""
    selection = viewer.layers.selection
    if not viewer.layers:
        viewer.add_layer(layer)
        return
    chosen = set(selection)
    # Docks would go over to what is selected, and napari build its controls twice.
    with selection.events.blocker_all():
        viewer.add_layer(layer)
        viewer.layers.selection = chosen


def view_region(layer: Image) -> Region | None:
    """Rows and columns of a layer that the canvas shows, None if it shows none."""
    if np.shape(layer.corner_pixels)[1] != layer.ndim:
        return None  # as long as new data of other axes were not drawn
    factors = layer.downsample_factors[layer.data_level]
    corners = np.asarray(layer.corner_pixels) * factors
    shape = layer_array(layer).shape
    region: Region = {}
    for axis, i in (("Y", layer.ndim - 2), ("X", layer.ndim - 1)):
        start, last = float(corners[0, i]), float(corners[1, i])
        if start == last and shape[i] > factors[i]:
            return None
        stop = min(shape[i], int(np.ceil(last + factors[i])))
        region[axis] = (max(0, int(start)), stop)
    return region


def drawn_shapes(viewer: ViewerModel) -> Shapes:
    """The Shapes layer whose rectangle counts: the last one, or the last selected.

    Raises
    ------
    ImageError
        If nothing is drawn in any.
    """
    drawn = [s for s in viewer.layers if isinstance(s, Shapes) and s.nshapes]
    if not drawn:
        raise ImageError("Draw a rectangle in a Shapes layer first.")
    selected = [shapes for shapes in drawn if shapes in viewer.layers.selection]
    return (selected or drawn)[-1]


def rectangle_region(shapes: Shapes, layer: Image) -> Region | None:
    """Pixels of a layer whose centres lie in a Shapes layer's selected or last shape.

    The corners go through the world, so that the two layers may differ in scale,
    position and number of axes; None if the shape lies beside the image.
    """
    if shapes.nshapes == 0:
        return None
    chosen = max(shapes.selected_data, default=shapes.nshapes - 1)
    world = [shapes.data_to_world(vertex) for vertex in shapes.data[chosen]]
    factors = unit_factors(shapes, layer)
    corners = np.array(
        [world_to_data(layer, [*point[:-2], *point[-2:] * factors]) for point in world]
    )[:, -2:]
    shape = layer_array(layer).shape[layer.ndim - 2 : layer.ndim]
    starts = np.clip(np.ceil(corners.min(axis=0) - _ROUNDING), 0, shape).astype(int)
    stops = np.clip(np.floor(corners.max(axis=0) + _ROUNDING) + 1, 0, shape).astype(int)
    if np.any(stops <= starts):
        return None
    (y0, x0), (y1, x1) = starts.tolist(), stops.tolist()
    return {"Y": (y0, y1), "X": (x0, x1)}


def current_plane(dims: Dims, layer: Image) -> Region:
    """The plane of a stack that the viewer's sliders are at."""
    axes = layer_axes(layer)
    point = np.asarray(dims.point)[-layer.ndim :]
    position = world_to_data(layer, point / _in_units_of(dims, layer)[-len(point) :])
    shape = layer_array(layer).shape
    region: Region = {}
    for i in range(layer.ndim - 2):
        index = int(np.clip(np.round(position[i]), 0, shape[i] - 1))
        region[axes[i]] = (index, index + 1)
    return region


def show_plane(dims: Dims, layer: Image, place: Sequence[int]) -> None:
    """Move the viewer's sliders to a plane of a stack.

    Parameters
    ----------
    dims : napari.components.Dims
    layer : Image
    place : sequence of int
        Index of the plane along each axis of the layer before rows and columns.
    """
    world = np.asarray(layer.data_to_world([*place, 0, 0])) * _in_units_of(dims, layer)
    for i in range(len(place)):
        dims.set_point(dims.ndim - layer.ndim + i, float(world[i]))


def _in_units_of(dims: Dims, layer: Image) -> NDArray:
    """One unit of each axis of a layer in those the sliders count in."""
    shared = min(dims.ndim, layer.ndim)
    pairs = zip(layer.units[-shared:], (dims.units or ())[-shared:], strict=False)
    factors = [unit_factor(*pair) or 1.0 for pair in pairs]
    return np.array([1.0] * (layer.ndim - len(factors)) + factors)


def world_to_data(layer: Image, point: Sequence[float]) -> NDArray:
    """Position in a layer's pixels of a point that may have fewer axes, or more."""
    missing = max(0, layer.ndim - len(point))
    return np.asarray(layer.world_to_data([0.0] * missing + [float(x) for x in point]))
