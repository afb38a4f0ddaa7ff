"""What is to be measured, complete and independent of the widget, and what came of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_edsr._qt.evaluate.alignment import Alignment
from napari_edsr.evaluation import PlaneScore
from napari_edsr.images import ImageSpec, Region, read_plane, understand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_edsr._qt.layer_part import LayerPart
    from napari_edsr.metrics import Score

BICUBIC, NEAREST = "bicubic", "nearest"
#: Data ranges that are not a number.
FROM_TYPE, FROM_TRUTH = "type", "truth"
ERROR, SSIM = "error", "SSIM"


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
        images = [(c.key, id(c.part.data), c.alignment) for c in self.candidates]
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
