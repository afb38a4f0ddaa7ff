"""The jobs of the Evaluate dock: measuring, registering, and maps."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_edsr._qt.evaluate.requests import (
    ERROR,
    FROM_TYPE,
    Candidate,
    Evaluation,
    MeasureRequest,
    Row,
    Rules,
)
from napari_edsr.errors import ImageError
from napari_edsr.evaluation import PlaneScore, mean_score
from napari_edsr.events import ImageDone
from napari_edsr.images import read_plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_edsr.metrics import Score

_STILL = 0.05  # pixels; less than this is not worth an interpolation
_FARTHEST = 32  # pixels by which a registered image may be moved


def iter_measure(request: MeasureRequest) -> Generator[ImageDone, None, Evaluation]:
    """Measure all candidates plane by plane; the job of a worker.

    Raises
    ------
    ImageError
        If the rules do not suit the images, or an image cannot be registered.
    """
    if request.rules.registers:
        request = yield from _iter_register(request)
    data_range = yield from _iter_range(request)
    rules = replace(request.rules, data_range=data_range)
    request = replace(request, rules=rules)
    found: dict[Hashable, list[PlaneScore]] = {c.key: [] for c in request.candidates}
    total, done = request.spec.n_planes * len(request.candidates), 0
    for place in request.places():
        truth = request.read_truth(place)
        for candidate in request.candidates:
            measured = _score(request.read(candidate, place), truth, rules)
            found[candidate.key].append(PlaneScore(place, measured))
            done += 1
            yield ImageDone(done, total)
    rows = [
        Row(
            c.key,
            c.name,
            planes,
            mean_score([plane.score for plane in planes]),
            c.alignment.shift,
        )
        for c in request.candidates
        for planes in [found[c.key]]
    ]
    return Evaluation(request, rows)


def _score(prediction: NDArray, truth: NDArray, rules: Rules) -> Score:
    from napari_edsr.metrics import score

    assert isinstance(rules.data_range, float)
    return score(
        _flat(prediction),
        _flat(truth),
        protocol=rules.protocol,
        scale=rules.scale,
        border=rules.border,
        data_range=rules.data_range,
        colour=rules.colour,
    )


def _flat(plane: NDArray) -> NDArray:
    return plane[..., 0] if plane.shape[-1] == 1 else plane


def _iter_range(request: MeasureRequest) -> Generator[ImageDone, None, float]:
    """White minus black of the whole stack, as a number."""
    given, dtype = request.rules.data_range, request.spec.dtype
    if not isinstance(given, str):
        return float(given)
    if given == FROM_TYPE and dtype.kind in "iu":
        return float(np.iinfo(dtype).max)
    if given == FROM_TYPE and dtype.kind == "b":
        return 1.0
    low, high = math.inf, -math.inf
    for number, place in enumerate(request.places()):
        plane = request.read_truth(place)
        known = plane[np.isfinite(plane)]
        low = min(low, float(known.min(initial=math.inf)))
        high = max(high, float(known.max(initial=-math.inf)))
        yield ImageDone(number + 1, request.spec.n_planes)
    return high - low if high > low else 1.0


def _iter_register(
    request: MeasureRequest,
) -> Generator[ImageDone, None, MeasureRequest]:
    """Find by how much the middle planes are shifted, and leave out what moves in."""
    middle = tuple(length // 2 for length in request.spec.leading_shape)
    truth, candidates = request.read_truth(middle), []
    for number, candidate in enumerate(request.candidates):
        moved = _registered(candidate, request.read(candidate, middle), truth)
        candidates.append(moved)
        yield ImageDone(number + 1, len(request.candidates))
    margin = max(
        (math.ceil(abs(x)) for c in candidates for x in c.alignment.shift), default=0
    )
    region = {
        axis: (first + margin, stop - margin)
        for axis, (first, stop) in request.region.items()
    }
    if any(stop <= first for first, stop in region.values()):
        raise ImageError("Too little is left to measure; do not register the layers.")
    return replace(request, candidates=candidates, region=region)


def _registered(candidate: Candidate, image: NDArray, truth: NDArray) -> Candidate:
    from napari_edsr.registration import find_shift

    found = find_shift(image, truth)
    if max(map(abs, found)) > _FARTHEST:
        raise ImageError(
            f"{candidate.name} seems to lie {found[0]:.0f} rows and {found[1]:.0f} "
            "columns off; correct its position, or do not register it."
        )
    if max(map(abs, found)) < _STILL:
        return candidate
    y, x = candidate.alignment.shift
    shift = _settled(y + found[0]), _settled(x + found[1])
    alignment = replace(candidate.alignment, shift=shift)
    return replace(candidate, alignment=alignment)


def _settled(shift: float) -> float:
    """Whole pixels where there is next to nothing between: those need no guessing."""
    return float(round(shift)) if abs(shift - round(shift)) < _STILL else shift


def iter_map(
    request: MeasureRequest, candidate: Candidate, kind: str
) -> Generator[ImageDone, None, NDArray[np.float32]]:
    """Map of where a candidate is wrong, plane by plane; the job of a worker.

    Parameters
    ----------
    request : MeasureRequest
        As an `Evaluation` has it.
    candidate : Candidate
    kind : {"error", "SSIM"}

    Returns
    -------
    ndarray of float32
        Leading axes of the truth, then rows and columns of the region.
    """
    from napari_edsr.metrics import error_map, ssim_map

    (y0, y1), (x0, x1) = request.region["Y"], request.region["X"]
    shape = (*request.spec.leading_shape, y1 - y0, x1 - x0)
    result = np.empty(shape, np.float32)
    for number, place in enumerate(request.places()):
        pair = (
            _flat(request.read(candidate, place)),
            _flat(request.read_truth(place)),
        )
        if kind == ERROR:
            result[place] = error_map(*pair)
        else:
            data_range = float(request.rules.data_range)
            result[place] = ssim_map(*pair, data_range=data_range)
        yield ImageDone(number + 1, request.spec.n_planes)
    return result


def iter_enlarged(
    candidate: Candidate,
) -> Generator[ImageDone, None, NDArray]:
    """Baseline as an image of its own, plane by plane; the job of a worker.

    Returns
    -------
    ndarray
        Of the low-resolution layer's axes and type, with more rows and columns.
    """
    spec = candidate.spec
    result = np.empty(spec.output_shape(candidate.enlarged), spec.dtype)
    for number, place in enumerate(np.ndindex(spec.leading_shape)):
        plane = read_plane(candidate.part.data, spec.axes, place)
        read_plane(result, spec.axes, place)[:] = candidate.enlarge(plane)
        yield ImageDone(number + 1, spec.n_planes)
    return result
