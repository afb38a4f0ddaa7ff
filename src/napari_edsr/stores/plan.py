"""What a run to a store was asked for and settled on, so that it can be taken up again."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from napari_edsr.errors import FileError
from napari_edsr.events import BytesDone
from napari_edsr.images import ImageSpec, Region, read_plane
from napari_edsr.intensities import Range
from napari_edsr.plan import Tiling
from napari_edsr.sampling import Part, sample_places
from napari_edsr.targets import Grid

#: Bytes up to which all of an image is hashed; of larger ones as many parts are.
_HASHED_WHOLE = 2**33
_PARTS = 256
_SLAB_BYTES = 2**26
_PROBED = 16
#: Pixels a side that a chunk of the result has at most.
_CHUNK = 512
#: Of the input, at most, that are lost when a run is killed; if chunks are as small.
UNIT_PIXELS = 2**18
#: Columns of a stripe: fewer than in memory, as a row of chunks is the least to be stored.
_WIDEST_STORED = 2048
#: What is asked for, in the order in which differences are told.
_WORDS = {
    "model_key": "model {}",
    "scale": "scale {}",
    "axes": "axes {}",
    "region": "region {}",
    "input": "another image",
    "self_ensemble": "self_ensemble={}",
    "normalize": "normalize={}",
    "contrast_limits": "contrast limits {}",
    "precision": "precision {}",
    "device": "device {}",
    "tile": "tile {}",
    "place": "another pixel size, place or other names of channels",
}


@dataclass(frozen=True)
class Wanted:
    """What is asked for, as by `napari_edsr.inference.iter_upscale`."""

    scale: int
    device: str
    precision: str
    self_ensemble: bool
    tile: int | str
    region: Region | None
    normalize: str | Range
    contrast_limits: Range | Sequence[Range] | None

    def plain(self) -> dict[str, Any]:
        """In values that JSON brings back as they were."""
        region = {axis: [*map(int, span)] for axis, span in (self.region or {}).items()}
        ranges = {
            key: value if value is None or isinstance(value, str) else _lists(value)
            for key, value in vars(self).items()
            if key in ("normalize", "contrast_limits")
        }
        tile = self.tile if isinstance(self.tile, str) else int(self.tile)
        return {**vars(self), "tile": tile, "region": region, **ranges}


def _lists(value: Any) -> list[Any]:
    return np.asarray(value, float).tolist()


@dataclass(frozen=True)
class Settled:
    """What was chosen before the first tile, and holds for all of them.

    Attributes
    ----------
    tiling : Tiling
    rows : int
        Rows of the input that a unit of a stripe has.
    precision : str
    computer : str
        What computes, see `napari_edsr.device.describe`: other machines may round
        otherwise.
    ranges : tuple of (float, float)
        Intensities that the network sees as 0 and 1.
    """

    tiling: Tiling
    rows: int
    precision: str
    computer: str
    ranges: tuple[tuple[float, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settled:
        """Inverse of `to_dict`."""
        tiling = dict(values["tiling"], size=tuple(values["tiling"]["size"]))
        ranges = tuple((float(low), float(high)) for low, high in values["ranges"])
        return cls(**{**values, "tiling": Tiling(**tiling), "ranges": ranges})

    def grid(self, spec: ImageSpec, slices: Mapping[str, slice], scale: int) -> Grid:
        """The units of a result."""
        box = slices["Y"], slices["X"]
        tiles = self.tiling.tiles(spec.plane, box)
        rows = sorted({tile.y0 for tile in tiles})
        if self.tiling.by_rows:
            rows = list(range(box[0].start, box[0].stop, self.rows))
        columns = sorted({tile.x0 for tile in tiles})
        return Grid(
            tuple(slices[a].stop - slices[a].start for a in spec.leading),
            _edges(rows, box[0]),
            _edges(columns, box[1]),
            scale,
        )


def _edges(starts: Iterable[int], part: slice) -> tuple[int, ...]:
    return tuple(start - part.start for start in (*starts, part.stop))


def check_same(asked: Mapping[str, Any], found: Mapping[str, Any], path: str) -> None:
    """Refuse to go on with a result that something else was asked for.

    Raises
    ------
    FileError
        Naming the first difference.
    """
    if other := difference(asked, found):
        raise FileError(
            f"{path} was made with {other}; name another output, or use --overwrite."
        )


def difference(asked: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The first thing that is otherwise in what was found, in words; empty if none is.

    What is not in `asked` is not compared.
    """
    for key, words in _WORDS.items():
        if key in asked and asked[key] != found.get(key):
            return words.format(found.get("model" if key == "model_key" else key))
    return ""


def probe(image: Any, spec: ImageSpec) -> str:
    """Hash of a few parts of an image, to see whether it is the same elsewhere."""
    digest = hashlib.blake2b(digest_size=16)
    for lead, box in sample_places(spec, _PROBED):
        digest.update(read_plane(image, spec.axes, lead, box).tobytes())
    return digest.hexdigest()


def iter_input_key(
    image: Any, spec: ImageSpec, slices: Mapping[str, slice]
) -> Generator[BytesDone, None, str]:
    """Hash that tells the wanted part of an image from others.

    Of a part of very many bytes only some blocks of the image are looked at.

    Yields
    ------
    BytesDone
        After each block but the first.
    """
    about = f"{spec.shape} {spec.dtype.str} {spec.axes}"
    digest = hashlib.blake2b(about.encode(), digest_size=16)
    wanted = math.prod(part.stop - part.start for part in slices.values())
    total = wanted * spec.dtype.itemsize
    whole, done = total <= _HASHED_WHOLE, 0
    for lead, box in _slabs(spec, slices) if whole else sample_places(spec, _PARTS):
        if done:
            yield BytesDone(done, total if whole else None)
        block = np.ascontiguousarray(read_plane(image, spec.axes, lead, box))
        digest.update(block.view(np.uint8).data)  # no copy, which holds others up
        done += block.nbytes
    return digest.hexdigest()


def _slabs(spec: ImageSpec, slices: Mapping[str, slice]) -> Iterator[Part]:
    """All of it, some rows at a time."""
    rows, columns = slices["Y"], slices["X"]
    width = (columns.stop - columns.start) * spec.samples * spec.dtype.itemsize
    height = max(1, _SLAB_BYTES // width)
    leading = [range(slices[a].start, slices[a].stop) for a in spec.leading]
    for lead in itertools.product(*leading):
        for top in range(rows.start, rows.stop, height):
            yield lead, (slice(top, min(top + height, rows.stop)), columns)


def chunk_step(tile: int | str, scale: int) -> int:
    """Input pixels a side of a chunk: some 500 of the result, a part of any tile size."""
    if not str(tile).isdecimal():
        return _CHUNK // scale // 64 * 64
    side = int(tile)
    fewest = math.ceil(side * scale / _CHUNK)
    parts = (n for n in range(fewest, 3 * fewest + 1) if side % n == 0)
    return side // next(parts, 1)  # or all of a tile, whatever its size


def for_store(tiling: Tiling, step: int) -> Tiling:
    """As planned for a result in memory, but cut at the chunks of a store."""
    rows, columns = tiling.size
    if tiling.by_rows:
        columns = min(columns, _WIDEST_STORED)
    return replace(tiling, size=(rows, columns), step=step, shrinks=False)


def unit_rows(tiling: Tiling, width: int) -> int:
    """Rows of a unit of a stripe, in whole chunks."""
    across = min(width, tiling.size[1])
    return tiling.step * max(1, round(UNIT_PIXELS / (tiling.step * across)))
