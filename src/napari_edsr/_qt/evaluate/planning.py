"""From what is chosen in the dock to what is measured, and why something is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_edsr._qt.evaluate.alignment import (
    Alignment,
    align,
    align_enlarged,
    common_region,
)
from napari_edsr._qt.evaluate.requests import (
    BICUBIC,
    Candidate,
    MeasureRequest,
    Rules,
)
from napari_edsr._qt.layer_part import LayerPart
from napari_edsr._qt.layers import layer_spec, record_of
from napari_edsr._qt.pairing import plane_shape
from napari_edsr._qt.wording import sentence
from napari_edsr.config import SCALES
from napari_edsr.errors import EDSRError, ImageError
from napari_edsr.metrics import PROTOCOLS

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_edsr.images import Region


@dataclass(frozen=True)
class Choices:
    """What the dock says, as layers and plain values.

    Attributes
    ----------
    truth : Image or None
    candidates : sequence of Image
    low : Image or None
        The low-resolution layer that baselines are made from.
    baselines : sequence of {"bicubic", "nearest"}
    rules : Rules
        Without a scale.
    available : int
        Layers that there are to choose from.
    """

    truth: Image | None
    candidates: Sequence[Image]
    low: Image | None = None
    baselines: Sequence[str] = (BICUBIC,)
    rules: Rules = field(default_factory=Rules)
    available: int = 2


@dataclass(frozen=True)
class Plan:
    """A request, how its images were aligned, and which were left out and why."""

    request: MeasureRequest
    aligned: str
    left_out: Sequence[str]


def plan(choices: Choices) -> Plan:
    """Take a snapshot of what is to be measured.

    Raises
    ------
    ImageError
        If there is nothing to measure; the message says what to do.
    """
    truth = choices.truth
    if truth is None:
        raise ImageError(
            "Choose the layer that holds the truth."
            if choices.available
            else "Open the truth and the images to be compared with it."
        )
    layer_spec(truth)
    candidates, left_out = _candidates(truth, choices)
    if not candidates:
        raise ImageError(left_out[0] if left_out else _says_none(truth, choices))
    region = common_region(plane_shape(truth), (c.alignment for c in candidates))
    rules = replace(choices.rules, scale=scale_of(choices))
    _check_rules(rules, region)
    request = MeasureRequest(LayerPart.of(truth), candidates, region, rules)
    return Plan(request, _says_aligned(truth, request), left_out)


def _says_none(truth: Image, choices: Choices) -> str:
    if choices.available > 1:
        return "Tick the layers that are to be measured."
    return f"Open the images to be compared with {truth.name}."


def _check_rules(rules: Rules, region: Region) -> None:
    """Say before measuring what would be said after it."""
    if rules.data_range == 0:
        raise ImageError(
            "White minus black must be more than 0; give it another value."
        )
    protocol = PROTOCOLS[rules.protocol]
    if rules.border is None and rules.scale is None and protocol.margin is not None:
        raise ImageError(
            "The border of this protocol follows the scale, which no layer tells: choose "
            "the low-resolution layer, or set the border under 'How to measure'."
        )
    border = protocol.border(rules.scale) if rules.border is None else rules.border
    height, width = (stop - first for first, stop in (region["Y"], region["X"]))
    if 2 * border >= min(height, width):
        raise ImageError(
            f"Nothing of {width} x {height} px is left inside a border of {border} px; "
            "set a smaller one under 'How to measure'."
        )


def _candidates(truth: Image, choices: Choices) -> tuple[list[Candidate], list[str]]:
    found, left_out = [], []
    for layer in choices.candidates:
        try:
            alignment = _checked(truth, layer, choices.low)
        except EDSRError as error:
            left_out.append(sentence(str(error)))
        else:
            part = LayerPart.of(layer)
            found.append(Candidate(id(layer), layer.name, part, alignment))
    for method in choices.baselines if choices.low is not None else ():
        try:
            found.append(_baseline(truth, choices.low, method))
        except EDSRError as error:
            left_out.append(sentence(str(error)))
    return found, list(dict.fromkeys(left_out))


def _checked(truth: Image, layer: Image, low: Image | None) -> Alignment:
    if is_partial(layer):
        raise ImageError(
            f"{layer.name} is not complete; it can be measured when it is."
        )
    return align(truth, layer, low)


def is_partial(layer: Image) -> bool:
    """Whether a layer is a result of which tiles are missing."""
    return bool(record_of(layer).get("partial"))


def _baseline(truth: Image, low: Image, method: str) -> Candidate:
    if method == BICUBIC and layer_spec(low).dtype.kind == "b":
        raise ImageError(
            "Bicubic is left out: a mask has nothing between true and false."
        )
    scale, alignment = align_enlarged(truth, low)
    return Candidate(method, method, LayerPart.of(low), alignment, scale, method)


def scale_of(choices: Choices) -> int | None:
    """The factor of upscaling, from the low-resolution layer or a result's record."""
    if choices.truth is not None and choices.low is not None:
        try:
            return align_enlarged(choices.truth, choices.low)[0]
        except EDSRError:
            pass
    for layer in choices.candidates:
        scale = record_of(layer).get("scale")
        if scale in SCALES:
            return int(scale)
    return None


def fitting(
    truth: Image | None, layers: Sequence[Image], low: Image | None = None
) -> list[Image]:
    """Layers that can be measured against the truth, which `low` shows smaller."""
    if truth is None:
        return []
    return [x for x in layers if x is not truth and _fits(truth, x, low)]


def _fits(truth: Image, layer: Image, low: Image | None) -> bool:
    try:
        _checked(truth, layer, low)
    except EDSRError:
        return False
    return True


def _says_aligned(truth: Image, request: MeasureRequest) -> str:
    alignments = [candidate.alignment for candidate in request.candidates]
    (y0, y1), (x0, x1) = request.region["Y"], request.region["X"]
    text = f"{x1 - x0} × {y1 - y0} px, aligned by world coordinates"
    if any(alignment.by_size for alignment in alignments):
        text = (
            f"{x1 - x0} × {y1 - y0} px, aligned by size, as one of the layers has no "
            "position of its own"
        )
    if any(any(alignment.shift) for alignment in alignments):
        text += "; what lies between pixels is interpolated"
    return sentence(text)
