"""What is to be measured, complete and independent of the widget, and the jobs."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_edsr._qt.evaluate.alignment import Alignment
from napari_edsr.errors import ImageError
from napari_edsr.evaluation import PlaneScore, mean_score
from napari_edsr.events import ImageDone
from napari_edsr.images import ImageSpec, Region, read_plane, understand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_edsr._qt.layer_part import LayerPart
    from napari_edsr.metrics import Score

BICUBIC, NEAREST = "bicubic", "nearest"
#: Data ranges that are not a number.
FROM_TYPE, FROM_TRUTH = "type", "truth"
ERROR, SSIM = "error", "SSIM"
_STILL = 0.05  # pixels; less than this is not worth an interpolation
_FARTHEST = 32  # pixels by which a registered image may be moved


@dataclass(frozen=True)
class Rules:
    """How to measure, see `napari_edsr.score`.

    Attributes
    ----------
    protocol : str
    border : int or None
        Pixels shaved from each side; None for what the protocol says.
    scale : int or None
        Factor of upscaling, from which a protocol has its border.
    colour : {"as is", "Y"} or None
    data_range : float or {"type", "truth"}
        White minus black: a number, what the truth's type can hold, or its largest
        value minus its smallest.
    registers : bool
        Whether to find shifts and undo them first.
    """

    protocol: str = "microscopy"
    border: int | None = None
    scale: int | None = None
    colour: str | None = None
    data_range: float | str = FROM_TYPE
    registers: bool = False


@dataclass(frozen=True)
class Candidate:
    """An image to be measured.

    Attributes
    ----------
    key : hashable
        By which the dock knows it.
    name : str
    part : LayerPart
        The whole layer.
    alignment : Alignment
        Of the layer, enlarged if it is to be.
    enlarged : int
        By which factor; 1 where it is not.
    method : {"bicubic", "nearest"}
        How it is enlarged.
    """

    key: Hashable
    name: str
    part: LayerPart
    alignment: Alignment
    enlarged: int = 1
    method: str = BICUBIC

    @property
    def spec(self) -> ImageSpec:
        """What the layer holds."""
        return understand(self.part.data, self.part.axes)

    def read(self, place: Sequence[int], region: Region) -> NDArray:
        """The colours of one plane on a region of the truth, (H, W, S)."""
        box, shift = self.alignment.box(region), self.alignment.shift
        if self.enlarged > 1 or any(shift):
            whole = self._plane(place, None)
            return _unshifted(self.enlarge(whole), box, shift)
        return self._plane(place, box)

    def _plane(self, place: Sequence[int], box: tuple[slice, slice] | None) -> NDArray:
        lead = place_in(self.spec.leading_shape, place)
        plane = read_plane(self.part.data, self.part.axes, lead, box)
        return plane[..., list(self.spec.colors)]

    def enlarge(self, plane: NDArray) -> NDArray:
        """A plane, (H, W, S), with `enlarged` times as many rows and columns."""
        from napari_edsr.resampling import imresize

        if self.method == NEAREST:
            return plane.repeat(self.enlarged, axis=0).repeat(self.enlarged, axis=1)
        return imresize(plane, float(self.enlarged))


def _unshifted(
    plane: NDArray, box: tuple[slice, slice], shift: tuple[float, float]
) -> NDArray:
    from napari_edsr.registration import unshifted

    return unshifted(plane, box, shift) if any(shift) else plane[box]


def place_in(shape: Sequence[int], place: Sequence[int]) -> list[int]:
    """The place of a plane in a stack that has other axes of length 1."""
    counts = iter(place)
    return [next(counts) if length > 1 else 0 for length in shape]


@dataclass(frozen=True)
class MeasureRequest:
    """Candidates to be measured against a truth.

    Attributes
    ----------
    truth : LayerPart
        The whole layer.
    candidates : sequence of Candidate
    region : Region
        Rows and columns of the truth that all of them cover.
    rules : Rules
    """

    truth: LayerPart
    candidates: Sequence[Candidate]
    region: Region
    rules: Rules = field(default_factory=Rules)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for requests that measure the same, whatever the layers are called."""
        images = [(c.key, c.alignment) for c in self.candidates]
        spans = sorted(self.region.items())
        return (id(self.truth.data), self.truth.data.shape, spans, images, self.rules)

    @property
    def spec(self) -> ImageSpec:
        """What the truth holds."""
        return understand(self.truth.data, self.truth.axes)

    def candidate(self, key: Hashable) -> Candidate:
        """That of a key, else the first that is no baseline."""
        chosen = [each for each in self.candidates if each.key == key]
        layers = [each for each in self.candidates if each.enlarged == 1]
        return (chosen or layers or list(self.candidates))[0]

    def places(self) -> Iterator[tuple[int, ...]]:
        """Indices of all planes along the truth's leading axes."""
        return np.ndindex(self.spec.leading_shape)

    def read_truth(self, place: Sequence[int]) -> NDArray:
        """The colours of one plane of the region, (H, W, S)."""
        rows, columns = (slice(*self.region[axis]) for axis in "YX")
        plane = read_plane(self.truth.data, self.truth.axes, place, (rows, columns))
        return plane[..., list(self.spec.colors)]

    def read(self, candidate: Candidate, place: Sequence[int]) -> NDArray:
        """As `read_truth`, of a candidate."""
        counted = zip(place, self.spec.leading_shape, strict=True)
        return candidate.read([i for i, n in counted if n > 1], self.region)


@dataclass(frozen=True)
class Row:
    """What was measured of a candidate.

    Attributes
    ----------
    key : hashable
        Of the candidate.
    name : str
    planes : sequence of PlaneScore
    mean : Score
    shift : (float, float)
        Rows and columns in pixels that were undone.
    """

    key: Hashable
    name: str
    planes: Sequence[PlaneScore]
    mean: Score
    shift: tuple[float, float]


_Named = TypeVar("_Named", Candidate, Row)


@dataclass(frozen=True)
class Evaluation:
    """What came of a request.

    Attributes
    ----------
    request : MeasureRequest
        With the shifts that were found, and the region that was measured.
    rows : sequence of Row
        In the order of its candidates.
    """

    request: MeasureRequest
    rows: Sequence[Row]

    def differs(self, names: Mapping[Hashable, str]) -> bool:
        """Whether a layer of these keys is called something else now."""
        return any(names.get(row.key, row.name) != row.name for row in self.rows)

    def renamed(self, names: Mapping[Hashable, str]) -> Evaluation:
        """With the names that the layers of these keys have now."""

        def called(one: _Named) -> _Named:
            return replace(one, name=names.get(one.key, one.name))

        candidates = [called(candidate) for candidate in self.request.candidates]
        request = replace(self.request, candidates=candidates)
        return Evaluation(request, [called(row) for row in self.rows])

    def row(self, key: Hashable) -> Row | None:
        """Of a candidate; None if it was not measured."""
        return next((row for row in self.rows if row.key == key), None)


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
