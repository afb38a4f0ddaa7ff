"""What to trust of a result's layer when there is no truth: jobs, maps and numbers."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_edsr import files, zoo
from napari_edsr._qt.evaluate.maps import DIVERGING, symmetric_limits
from napari_edsr._qt.evaluate.origin import Origin
from napari_edsr._qt.layers import (
    METADATA_KEY,
    add_unselected,
    cut,
    layer_array,
    layer_axes,
    layer_spec,
    map_settings,
)
from napari_edsr._qt.live import add_uncertainty, model_of
from napari_edsr._qt.requests import UpscaleRequest, iter_request
from napari_edsr.errors import ImageError, ModelError
from napari_edsr.estimate import region_slices
from napari_edsr.images import Region

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_edsr.events import PlaneDone
    from napari_edsr.trust import Consistency, Uncertainty
    from napari_edsr.units import PlanePixelSize


@dataclass(frozen=True)
class ConsistencyRequest:
    """A result and its input: a snapshot, so that the layers may change or go meanwhile.

    Attributes
    ----------
    name : str
        Of the result.
    result, lr : array
        Possibly lazy.
    result_axes, axes : str
        Theirs.
    scale : int
    region : Region
        Part of `lr` that `result` shows.
    about : mapping
        Provenance of the result.
    pixel_size : (float or None, float or None)
        Of `lr`, along Y and X.
    unit : str
        Of `pixel_size`.
    settings : mapping
        Arguments of the `Image` that shows the map.
    """

    name: str
    result: Any
    lr: Any
    result_axes: str
    axes: str
    scale: int
    region: Region
    about: Mapping[str, Any]
    pixel_size: PlanePixelSize
    unit: str
    settings: Mapping[str, Any]


def consistency_request(result: Image, origin: Origin) -> ConsistencyRequest:
    """Take the snapshot; on the main thread."""
    source = origin.source
    pixel_size, unit = _pixel_size(source)
    return ConsistencyRequest(
        name=result.name,
        result=_part(result, origin.result_region),
        lr=layer_array(source),
        result_axes=layer_axes(result),
        axes=layer_axes(source),
        scale=origin.scale,
        region=origin.region,
        about=origin.about,
        pixel_size=pixel_size,
        unit=unit,
        settings=map_settings(source, origin.region),
    )


def _part(layer: Image, region: Region) -> Any:
    parts = region_slices(layer_spec(layer), region)
    return cut(layer_array(layer), list(parts.values()))


def _pixel_size(layer: Image) -> tuple[PlanePixelSize, str]:
    """Height and width of a pixel and their unit, as a file of the layer would say it."""
    spec = layer_spec(layer)
    attributes = {**layer.as_layer_data_tuple()[1], "multiscale": False}
    nothing = np.broadcast_to(np.zeros((), spec.dtype), spec.shape)
    like = files.layer_file(nothing, attributes)
    return like.plane_pixel_size, like.unit


def iter_layer_consistency(
    request: ConsistencyRequest,
) -> Generator[PlaneDone, None, Consistency]:
    """Make the result small again and compare it with its input; the job of a worker.

    By the degradation recorded with the model, else by MATLAB's bicubic.

    Raises
    ------
    EDSRError
        As `napari_edsr.iter_consistency`, and if the record cannot be understood.
    """
    from napari_edsr.trust import iter_consistency, recorded_degradation

    model = request.about.get("model")
    extra = model.get("extra", {}) if isinstance(model, Mapping) else {}
    return (
        yield from iter_consistency(
            request.result,
            request.lr,
            scale=request.scale,
            axes=request.axes,
            result_axes=request.result_axes,
            region=request.region,
            degradation=recorded_degradation(extra),
            pixel_size=request.pixel_size,
            unit=request.unit,
        )
    )


def add_consistency(
    viewer: ViewerModel, request: ConsistencyRequest, found: Consistency
) -> Image:
    """Add the map as a layer over the input, its colours symmetric about 0."""
    layer = Image(
        found.map,
        name=f"{request.name} consistency",
        colormap=DIVERGING,
        contrast_limits=symmetric_limits(found.map),
        metadata={METADATA_KEY: {**request.about, "consistency": True}},
        **request.settings,
    )
    add_unselected(viewer, layer)
    return layer


def consistency_text(request: ConsistencyRequest, found: Consistency) -> str:
    """The number in a sentence."""
    from napari_edsr.trust import shrinking

    how = f"the input and the result made small again ({shrinking(found.degradation)})"
    if math.isnan(found.psnr):
        return f"Consistency of {request.name}: no pixel has a value in both {how}."
    if found.psnr == math.inf:
        return f"Consistency of {request.name}: no difference between {how}."
    return (
        f"Consistency of {request.name}: {found.psnr:.1f} dB, {found.rmse:.3g} grey "
        f"levels RMS between {how}."
    )


def uncertainty_request(result: Image, origin: Origin, **engine: Any) -> UpscaleRequest:
    """What is to be run to learn the uncertainty of a result; on the main thread.

    Parameters
    ----------
    result : Image
    origin : Origin
        Of `source_of`.
    **engine
        ``device``, ``precision`` and ``tile``, where not ``"auto"``; the precision is
        by default that of the result.

    Raises
    ------
    ImageError
        If nothing tells how the result was made.
    ModelError
        If its model is not on this computer.
    """
    source, about = origin.source, origin.about
    recorded = {"precision": about.get("precision", "auto"), "uncertainty": True}
    return UpscaleRequest(
        data=layer_array(source),
        axes=layer_axes(source),
        scale=origin.scale,
        model=_model(result, about),
        options={**recorded, **_intensities(about), **engine},
        region=origin.region,
        name=f"{result.name} uncertainty",
        source=source.name,
    )


def _model(result: Image, about: Mapping[str, Any]) -> str:
    """Name or path of what made a result, if it is still the same here."""
    known = model_of(result)
    if zoo.find_card(known) or os.path.isfile(known):
        return known
    recorded = about.get("model")
    if not isinstance(recorded, Mapping):
        raise ImageError(
            f"Nothing tells which model made {result.name}; upscale its input here, and "
            "tick the uncertainty layer."
        )
    card = zoo.find_card(str(recorded.get("name")))
    if card is None or not str(recorded.get("sha256")).startswith(card.sha256):
        raise ModelError(
            f"The model {recorded.get('path') or recorded.get('name')} that made "
            f"{result.name} is not here any more; upscale the input again, and tick the "
            "uncertainty layer."
        )
    return card.name


def _intensities(about: Mapping[str, Any]) -> dict[str, Any]:
    """What the network saw as black and white."""
    normalize = about.get("normalize", "auto")
    if normalize in ("range", "contrast-limits"):
        return {"normalize": "contrast-limits", "contrast_limits": about["ranges"]}
    return {"normalize": normalize}


def iter_uncertainty(
    request: UpscaleRequest,
) -> Generator[Any, None, Uncertainty]:
    """Run the ensemble for its spread; the job of a worker.

    Yields
    ------
    Placeholder, UpscalePlanned, PassDone, TileDone or None
        As `iter_request`, which claims the devices.

    Raises
    ------
    EDSRError
        As `iter_request`.
    """
    result = yield from iter_request(request)
    from napari_edsr.trust import measured_uncertainty

    return measured_uncertainty(result)


def add_result_uncertainty(
    viewer: ViewerModel, result: Image, origin: Origin, found: Uncertainty
) -> Image:
    """Add the spread as a layer over the result."""
    region = origin.result_region
    return add_uncertainty(viewer, result, found.map, region, visible=True)


def uncertainty_text(result: Image, found: Uncertainty) -> str:
    """The number in a sentence."""
    known = math.isfinite(found.share)  # not where all pixels are one, or none is known
    share = f" ({found.share:.2%} of the data range)" if known else ""
    return (
        f"Uncertainty of {result.name}: {found.mean:.3g} grey levels on average{share} "
        "between eight flips and turns."
    )
