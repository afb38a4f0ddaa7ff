"""From what the controls say to requests, or to the one sentence why not; and estimates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from napari_edsr import images
from napari_edsr._qt import layers as geometry
from napari_edsr._qt import to_file
from napari_edsr._qt.models import ModelChoice, checked_choice
from napari_edsr._qt.requests import UpscaleRequest
from napari_edsr._qt.wording import about, in_bytes, result_name, sides
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import EDSRError, ImageError
from napari_edsr.estimate import Estimate, estimate
from napari_edsr.plan import free_memory
from napari_edsr.stores.plan import Wanted

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_edsr.images import ImageSpec, Region


@dataclass(frozen=True)
class Choices:
    """What the controls say.

    Attributes
    ----------
    scale : int
    model : ModelChoice or None
    engine : mapping
        ``tile``, ``device``, ``precision``, ``self_ensemble`` and ``uncertainty`` as the
        engine takes them.
    normalize : str or (float, float)
    part : str
        ``"layer"``, ``"view"`` or ``"rectangle"``.
    all_planes : bool
    pending : str
        Path of a weights file that is wanted, but not read yet.
    output : str
        Path of the file, or of the folder for those of several layers, that the result
        goes to; empty for one in memory.
    scheduler : str
        Address of dask's scheduler whose workers write that; empty for this process.
    """

    scale: int
    model: ModelChoice | None
    engine: Mapping[str, Any] = field(default_factory=dict)
    normalize: str | tuple[float, float] = "auto"
    part: str = "layer"
    all_planes: bool = True
    pending: str = ""
    output: str = ""
    scheduler: str = ""

    def checked_model(self) -> ModelChoice:
        """The model, or a `ModelError` saying what to do about it."""
        return checked_choice(self.model, self.scale, self.pending)


def plan(
    viewer: ViewerModel, layers: Sequence[Image], choices: Choices
) -> list[UpscaleRequest]:
    """Requests for these layers; an `EDSRError` says in a sentence why there are none."""
    _check_layers(viewer, layers)
    requests = [
        _request(viewer, layer, choices, choices.all_planes) for layer in layers
    ]
    if not choices.output:
        _check_memory(requests)
        return requests
    requests = [
        _to_file(request, layer, choices)
        for request, layer in zip(requests, layers, strict=True)
    ]
    if len({request.out for request in requests}) < len(requests):
        raise ImageError("Give the layers different names, or choose a folder.")
    return requests


def _check_memory(requests: Sequence[UpscaleRequest]) -> None:
    if lack := _lack_of_memory(requests):
        raise ImageError(
            f"The result takes {lack}; let it go to a file under Result, or choose a "
            "smaller region."
        )


def _lack_of_memory(requests: Sequence[UpscaleRequest]) -> str:
    """How much the results take, and what is free; empty if they fit."""
    needed, free = sum(_result_bytes(request) for request in requests), free_memory()
    if needed <= free:
        return ""
    return f"{in_bytes(needed)}, and {in_bytes(free)} of memory are free"


def _result_bytes(request: UpscaleRequest) -> int:
    return request.values * request.scale**2 * request.data.dtype.itemsize


def _to_file(request: UpscaleRequest, layer: Image, choices: Choices) -> UpscaleRequest:
    path = to_file.checked_path(choices.output, layer, request.scale)
    to_file.check_storable(request.axes, request.options)
    options = {k: v for k, v in request.options.items() if k != "uncertainty"}
    limits = options.pop("contrast_limits", None)
    wanted = Wanted(
        scale=request.scale, region=request.region, contrast_limits=limits, **options
    )
    found = to_file.found_at(path, request.model, request.axes, wanted)
    return replace(
        request,
        options={**request.options, "scheduler": choices.scheduler or None},
        out=path,
        like=to_file.likeness(layer),
        found=found,
    )


def obstacle(requests: Sequence[UpscaleRequest]) -> str:
    """Why results cannot go on in their files; empty if they can."""
    for request in requests:
        if request.found is not None and request.found.made_with:
            return (
                f"{Path(request.out).name} was made with {request.found.made_with}; name "
                "another file, or start anew."
            )
    return ""


def button_label(requests: Sequence[UpscaleRequest]) -> str:
    """What the button does, with its mnemonic: ``"Res&ume (37 %)"``."""
    found = [request.found for request in requests if request.found is not None]
    if not found or len(found) < len(requests) or any(f.made_with for f in found):
        return "&Upscale"
    share = math.fsum(f.share for f in found) / len(found)
    if share == 1:
        return "Open res&ult"
    digits = 1 if 0 < share < 0.1 else 0
    return f"Res&ume ({100 * share:.{digits}f} %)"


def needs_file(viewer: ViewerModel, layers: Sequence[Image], choices: Choices) -> str:
    """Why the results do not fit into memory; empty if they do, or nothing is known."""
    try:
        requests = [
            _request(viewer, layer, choices, choices.all_planes) for layer in layers
        ]
    except EDSRError:
        return ""
    lack = _lack_of_memory(requests)
    return f"It takes {lack}; so it goes to a file." if lack else ""


def _check_layers(viewer: ViewerModel, layers: Sequence[Image]) -> None:
    if layers:
        return
    if any(isinstance(layer, Labels) for layer in viewer.layers):
        raise ImageError("Labels cannot be upscaled; open an image to begin.")
    raise ImageError("Open an image to begin.")


def plan_preview(
    viewer: ViewerModel, layers: Sequence[Image], choices: Choices
) -> UpscaleRequest:
    """Request for what the view or the rectangle shows of the first layer's plane."""
    _check_layers(viewer, layers)
    part = "rectangle" if choices.part == "rectangle" else "view"
    engine = {**choices.engine, "uncertainty": False}
    changed = replace(choices, engine=engine, part=part, all_planes=False)
    request = _request(viewer, layers[0], changed, False, preview=True)
    if _result_bytes(request) > free_memory():
        raise ImageError("A preview of all this does not fit into memory; zoom in.")
    return request


def _request(
    viewer: ViewerModel,
    layer: Image,
    choices: Choices,
    all_planes: bool,
    *,
    preview: bool = False,
) -> UpscaleRequest:
    spec = geometry.layer_spec(layer)
    model = choices.checked_model()
    region = plan_region(viewer, layer, choices.part, all_planes)
    name = result_name(layer.name, choices.scale, model.key)
    return UpscaleRequest(
        data=geometry.layer_array(layer),
        axes=spec.axes,
        scale=choices.scale,
        model=model.key,
        options={**choices.engine, **_intensities(layer, choices.normalize)},
        region=region,
        settings=geometry.result_settings(layer, choices.scale, region),
        name=f"Preview of {name}" if preview else name,
        source=layer.name,
        preview=preview,
        contrast_range=_contrast_range(layer),
        source_key=id(layer),
    )


def _contrast_range(layer: Image) -> tuple[float, float] | None:
    if layer.rgb or layer.contrast_limits_range is None:
        return None
    low, high = layer.contrast_limits_range
    return float(low), float(high)


def _intensities(layer: Image, normalize: str | tuple[float, float]) -> dict[str, Any]:
    if normalize == "contrast-limits":
        low, high = layer.contrast_limits
        return {"normalize": normalize, "contrast_limits": (float(low), float(high))}
    if not isinstance(normalize, str) and normalize[0] >= normalize[1]:
        raise ImageError("The intensity for white must be above the one for black.")
    return {"normalize": normalize}


def plan_region(
    viewer: ViewerModel, layer: Image, part: str, all_planes: bool
) -> Region:
    """Part of the layer in its pixels; empty for all of it.

    Raises
    ------
    ImageError
        If there is no such part, saying what to do.
    """
    region: Region = {} if all_planes else geometry.current_plane(viewer.dims, layer)
    if part == "view":
        return region | _view(viewer, layer)
    if part == "rectangle":
        return region | _rectangle(viewer, layer)
    return region


def _view(viewer: ViewerModel, layer: Image) -> Region:
    last = viewer.dims.ndim
    if viewer.dims.ndisplay != 2:
        raise ImageError(
            "The view shows no plane of the image; switch the viewer to 2D."
        )
    if tuple(viewer.dims.displayed) != (last - 2, last - 1):
        raise ImageError(
            "The view shows the image's axes in another order; roll or transpose them "
            "back."
        )
    region = geometry.view_region(layer)
    if region is None:
        raise ImageError(f"The view shows nothing of {layer.name}; move it there.")
    return region


def _rectangle(viewer: ViewerModel, layer: Image) -> Region:
    region = geometry.rectangle_region(geometry.drawn_shapes(viewer), layer)
    if region is None:
        raise ImageError(
            f"The rectangle holds no pixel of {layer.name}; move it there or enlarge it."
        )
    return region


def foresee(
    request: UpscaleRequest,
    model: ModelChoice,
    device: str,
    speeds: Mapping[str, float],
) -> Estimate:
    """Size, memory and time of a request; no time while nothing is known of the speed."""
    foreseen = _estimate(
        images.understand(request.data, request.axes),
        model.config,
        request.scale,
        request.options,
        device,
        speeds,
        request.region or None,
    )
    if not request.out:
        return foreseen
    left = 1 - request.done_before
    seconds = None if request.options["scheduler"] else foreseen.seconds
    return replace(
        foreseen,
        memory_bytes=foreseen.memory_bytes - foreseen.output_bytes,
        seconds=None if seconds is None else seconds * left,
    )


def foresee_files(
    specs: Sequence[ImageSpec],
    choices: Choices,
    device: str,
    speeds: Mapping[str, float],
) -> float | None:
    """Seconds that images take; None while the device's speed is unknown."""
    config, scale = choices.checked_model().config, choices.scale
    seconds = 0.0
    for spec, count in Counter(specs).items():
        each = _estimate(spec, config, scale, choices.engine, device, speeds).seconds
        if each is None:
            return None
        seconds += count * each
    return seconds


def _estimate(
    spec: ImageSpec,
    config: EDSRConfig,
    scale: int,
    options: Mapping[str, Any],
    device: str,
    speeds: Mapping[str, float],
    region: Region | None = None,
) -> Estimate:
    return estimate(
        spec,
        config,
        scale,
        tile=options.get("tile", "auto"),
        device=device,
        self_ensemble=bool(options.get("self_ensemble") or options.get("uncertainty")),
        region=region,
        flops_per_second=speeds.get(speed_key(device, config), speeds.get(device)),
    )


def speed_key(device: str, config: EDSRConfig) -> str:
    """Under which the speed of a run is remembered: narrow networks compute slower."""
    return f"{device}, {config.n_feats} features"


def estimate_text(
    requests: Sequence[UpscaleRequest], estimates: Sequence[Estimate], device: str
) -> str:
    """What will happen, e.g. ``"4096 × 4096 × 10, uint16, 320 MB – about 6 min, ..."``."""
    if len(requests) == 1:
        shape = sides(estimates[0].shape, requests[0].axes)
        result = f"{shape}, {requests[0].data.dtype.name}"
    else:
        result = f"{len(requests)} layers"
    size = in_bytes(math.fsum(e.output_bytes for e in estimates))
    in_memory = [e for e, r in zip(estimates, requests, strict=True) if not r.out]
    kept = math.fsum(e.output_bytes for e in in_memory[:-1])
    memory = in_bytes(kept + max(e.memory_bytes for e in estimates))
    known = [e.seconds for e in estimates if e.seconds is not None]
    spent = about(math.fsum(known)) if len(known) == len(estimates) else ""
    cost = ", ".join(
        part for part in (spent, f"{memory} of memory", f"on {device}") if part
    )
    return f"{result}, {size} – {cost}"
