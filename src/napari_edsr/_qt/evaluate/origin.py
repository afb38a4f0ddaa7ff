"""Which layer a result was made from: by its metadata, or else by its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_edsr._qt.layers import (
    image_layers,
    is_map,
    layer_spec,
    map_settings,
    record_of,
    recorded_place,
)
from napari_edsr._qt.live import source_of as made_from
from napari_edsr._qt.pairing import Match, Misfit, find_partner
from napari_edsr.config import SCALES
from napari_edsr.errors import ImageError
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.images import Region

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True)
class Origin:
    """Where a result comes from.

    Attributes
    ----------
    source : Image
        The low-resolution layer.
    scale : int
    region : Region
        Part of `source` that is looked at, in its pixels.
    result_region : Region
        Rows and columns of the result over it.
    about : mapping
        Provenance of the result; empty for one of another program.
    """

    source: Image
    scale: int
    region: Region
    result_region: Region
    about: Mapping[str, Any]


def chosen_result(
    layers: Sequence[Image], selected: Sequence[Image]
) -> tuple[Image, Origin]:
    """Find the result that is to be looked at, and where it comes from.

    The last of the selected layers, if it is a result; else, as that of an upscaling
    leaves its source selected, the last result that was made here.

    Raises
    ------
    ImageError
        If there is none, saying what to do.
    """
    made = [x for x in layers if "scale" in record_of(x) and not is_map(x)]
    if not (selected or made):
        raise ImageError("Upscale a layer, or select one that was upscaled.")
    first = (selected or made)[-1]
    try:
        return first, source_of(first, layers)
    except ImageError:
        if first in made or not made:
            raise
    return made[-1], source_of(made[-1], layers)


def source_of(result: Image, layers: Sequence[Layer]) -> Origin:
    """Find the layer that a result was made from.

    Parameters
    ----------
    result : Image
        Of ours, which its metadata tell, or of another program.
    layers : sequence of Layer
        Those of the viewer.

    Returns
    -------
    Origin
        Of our results, of the layer they name, where it lies under them. Of others, of
        the layer under them with a half, a third or a quarter of their rows and columns.

    Raises
    ------
    ImageError
        If there is none, saying what to do.
    """
    about = record_of(result)
    if is_map(result):
        raise ImageError(f"{result.name} is a map; choose the upscaled image itself.")
    others = [x for x in image_layers(layers) if x is not result and _is_source(x)]
    if "scale" in about:
        return _recorded_origin(result, others, about)
    return _likely_origin(result, others)


def _is_source(layer: Image) -> bool:
    """Whether it may have been upscaled: no map, nor the low side of a fine-tuning."""
    return not is_map(layer) and "low_resolution_of" not in record_of(layer)


def _recorded_origin(
    result: Image, others: Sequence[Image], about: Mapping[str, Any]
) -> Origin:
    """By the name and the region that the metadata tell; a known layer has any name."""
    if about.get("partial"):
        raise ImageError(f"{result.name} is not finished; upscale its input again.")
    (scale, region), name = recorded_place(about), about.get("source")
    known = [layer for layer in others if layer is made_from(result)]
    named = [layer for layer in others if name in (None, layer.name)]
    problem = ImageError(_none_open(result, name))
    for fitting in ([x for x in group if _has(x, region)] for group in (known, named)):
        stand_ins = [_stand_in(layer, region) for layer in fitting]
        try:
            stand_in, match = find_partner(result, stand_ins, scale)
        except ImageError as error:
            problem = error if fitting else problem
        else:
            return _origin_in(fitting[stand_ins.index(stand_in)], match, about)
    raise problem


def _origin_in(source: Image, match: Match, about: Mapping[str, Any]) -> Origin:
    """What a match says of all the source, of which a part was upscaled."""
    scale, region = recorded_place(about)
    starts = {axis: region.get(axis, (0, 0))[0] for axis in "YX"}
    place = {
        axis: (starts[axis] + start, starts[axis] + stop)
        for axis, (start, stop) in match.lr.items()
    }
    return Origin(source, scale, {**region, **place}, match.hr, about)


def _has(layer: Image, region: Region) -> bool:
    """Whether a layer has such axes, and they are that long."""
    try:
        region_slices(layer_spec(layer), region)
    except ImageError:
        return False
    return True


def _stand_in(layer: Image, region: Region) -> Image:
    """The region of a layer, where it lies, without its pixels: they may be on disk."""
    spec = layer_spec(layer)
    shape = region_shape(region_slices(spec, region), 1)
    nothing = np.broadcast_to(np.zeros((), spec.dtype), shape)
    place = map_settings(layer, region)
    return Image(nothing, rgb=layer.rgb, name=layer.name, **place)


def _likely_origin(result: Image, others: Sequence[Image]) -> Origin:
    """By the place in the world; of several the one that covers most of the result."""
    found: list[tuple[int, Origin]] = []
    misfits = []
    for scale in SCALES if others else ():
        try:
            layer, match = find_partner(result, others, scale)
            origin = Origin(layer, scale, match.lr, match.hr, {})
            found.append((match.area * scale**2, origin))
        except Misfit as misfit:
            misfits.append(misfit)
    if found:
        return max(found, key=lambda entry: entry[0])[1]
    wrong_kind = next((misfit for misfit in misfits if misfit.is_in_place), None)
    raise ImageError(str(wrong_kind or _none_open(result))) from wrong_kind


def _none_open(result: Image, source: str | None = None) -> str:
    called = f", {source}" if source else ""
    return (
        f"No low-resolution layer of {result.name} is open; open the image it was made "
        f"from{called}."
    )
