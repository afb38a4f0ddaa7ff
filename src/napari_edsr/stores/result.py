"""A result in OME-Zarr that is written unit by unit, and says how far it is."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr.atomic import remedy, take_lock, underlying
from napari_edsr.errors import FileError
from napari_edsr.files.common import PROVENANCE, native_dtype
from napari_edsr.images import as_dask
from napari_edsr.stores import ngff
from napari_edsr.stores.location import (
    is_remote,
    open_group,
    remove,
    sync_files,
    write_folder,
    write_whole,
)
from napari_edsr.stores.pyramid import Pyramid, level_factors
from napari_edsr.targets import Grid, Unit
from napari_edsr.tiling import Box

_DONE, _LOCK = ".napari-edsr-done", ".napari-edsr-lock"
#: Is there while coarser levels lack what the finest one has.
_BEHIND = ".napari-edsr-behind"
#: Seconds after which units that are written are recorded as done.
_RECORD_SECONDS = 2.0


def read_state(path: Path) -> dict[str, Any] | None:
    """What a result of ours says of itself; None where nothing stands.

    Raises
    ------
    FileError
        If something else stands there.
    """
    if not _exists(path):
        return None
    try:  # without the library, which takes a moment to load
        group = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        about = group["attributes"][PROVENANCE]
    except (OSError, ValueError, KeyError, TypeError):
        about = None
    if not isinstance(about, dict) or "asked" not in about:
        raise FileError(
            f"{path} is there, and not from here; name another output, or remove it."
        )
    return about


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # its name is too long, or its folder closed
        raise FileError(
            f"{path} cannot be looked at ({error.strerror or error}); {remedy(error)}."
        ) from error


def share_done(path: Path, about: Mapping[str, Any]) -> float:
    """How much of a result is there, from 0 to 1.

    Parameters
    ----------
    path : Path
    about : mapping
        From `read_state`.
    """
    if about["state"] == "complete":
        return 1.0
    try:
        bits = np.frombuffer((path / _DONE).read_bytes(), np.uint8)
    except OSError:  # nothing is recorded yet
        return 0.0
    return float(np.unpackbits(bits).sum() / about["units"])


def create(
    path: Path,
    axes: str,
    shape: Sequence[int],
    dtype: np.dtype,
    place: ngff.Place,
    about: Mapping[str, Any],
    *,
    chunk: int,
) -> None:
    """Make an empty result, whole or not at all.

    In an object store nothing can be renamed: there the attributes come last.

    Parameters
    ----------
    path : Path
    axes : str
        Of the result as the run gives it, with its `shape` and `dtype`.
    place : Place
        Of the result.
    about : mapping
        What is written into the group's attributes of the run.
    chunk : int
        Pixels a side of a chunk.
    """
    if read_state(path) is not None:
        unlock = _locked(path)
        remove(path)
        unlock()
    if not is_remote(path) and not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent}; make it first.")
    with _writing(path):
        if is_remote(path):
            _fill(path, axes, shape, dtype, place, about, chunk)
            return
        # zarr writes files by several threads, which go on after one of them failed.
        files: dict[str, Any] = {}
        _fill(files, axes, shape, dtype, place, about, chunk)
        write_folder(path, {name: files[name].to_bytes() for name in files})


def _fill(
    where: Path | dict[str, Any],
    axes: str,
    shape: Sequence[int],
    dtype: np.dtype,
    place: ngff.Place,
    about: Mapping[str, Any],
    chunk: int,
) -> None:
    """Levels without pixels, and then what is said of them; as `create`."""
    stored = ngff.stored_axes(axes)
    lengths = [shape[axes.index(axis)] for axis in stored]
    factors = level_factors(*lengths[-2:])
    begun = {PROVENANCE: {"state": "creating", "asked": {}}}
    group = open_group(where, mode="w", zarr_format=3, attributes=begun)
    for level, factor in enumerate(factors):
        _add_level(
            group, str(level), stored, _shrunk(stored, lengths, factor), dtype, chunk
        )
    group.attrs.update(
        {
            "ome": {
                "version": ngff.VERSION,
                "multiscales": [ngff.multiscales(stored, place, factors)],
                "omero": ngff.omero(stored, lengths, dtype, place),
            },
            PROVENANCE: dict(about),
        }
    )


def _shrunk(stored: str, lengths: Sequence[int], factor: int) -> list[int]:
    """Lengths of a coarser level."""
    pairs = zip(stored, lengths, strict=True)
    return [n // factor if axis in "YX" else n for axis, n in pairs]


def _add_level(
    group: Any,
    name: str,
    stored: str,
    size: Sequence[int],
    dtype: np.dtype,
    side: int,
) -> None:
    """With square chunks that hold all samples of a pixel."""
    most = {"Y": side, "X": side, "S": size[stored.find("S")]}
    group.create_array(
        name,
        shape=size,
        chunks=[min(n, most.get(a, 1)) for a, n in zip(stored, size, strict=True)],
        dtype=native_dtype(dtype),
        dimension_names=ngff.axis_names(stored),
    )


class Opened:
    """A result on disk, to be written unit by unit.

    Parameters
    ----------
    path : Path
        From `create`.
    axes : str
        Letters of the axes in which units come: leading ones, and whether there is S.
    """

    def __init__(self, path: Path, axes: str) -> None:
        self.path = path
        self._axes, self._stored = axes, ngff.stored_axes(axes)
        self.group = open_group(path, mode="r+")
        datasets = self.group.attrs["ome"]["multiscales"][0]["datasets"]
        self.pyramid = Pyramid([self.group[level["path"]] for level in datasets])

    def write(self, unit: Unit, values: NDArray) -> set[Path]:
        """Store a unit at all levels, and say in which files it lies."""
        lead = self.lead(unit.lead)
        with _writing(self.path):
            self.pyramid.write(lead, unit.box, self._planes(lead, values))
        return set(self.pyramid.chunk_files(self.path, lead, unit.box))

    def write_finest(self, unit: Unit, values: NDArray) -> None:
        """Store a unit at the finest level, and bring it to the disk."""
        lead = self.lead(unit.lead)
        with _writing(self.path):
            self.pyramid.write_finest(lead, unit.box, self._planes(lead, values))
            sync_files(self.pyramid.chunk_files(self.path, lead, unit.box), self.path)

    def coarsen(self, level: int, lead: tuple[int, ...], box: Box) -> None:
        """Make a box of a level from the finer one, and bring it to the disk."""
        index = self.lead(lead)
        with _writing(self.path):
            self.pyramid.coarsen(level, index, box)
            files = self.pyramid.files_of(level, self.path, (*index, *box))
            sync_files(files, self.path)

    def lead(self, lead: tuple[int, ...]) -> tuple[int | slice, ...]:
        """Index along the stored axes before Y and X."""
        leading = [axis for axis in self._axes if axis not in "YXS"]
        index: dict[str, int | slice] = dict(zip(leading, lead, strict=False))
        return tuple(index.get(axis, slice(None)) for axis in self._stored[:-2])

    def where(self, unit: Unit) -> tuple[slice, ...]:
        """Where a unit lies in the result, one slice for each of its axes."""
        leading = [axis for axis in self._axes if axis not in "YXS"]
        index = {
            axis: slice(i, i + 1) for axis, i in zip(leading, unit.lead, strict=True)
        }
        rows, columns = unit.box
        index |= {"Y": rows, "X": columns, "S": slice(None)}
        return tuple(index[axis] for axis in self._axes)

    def _planes(self, lead: tuple[int | slice, ...], values: NDArray) -> NDArray:
        """A block (H, W, S) as it is stored."""
        planes = np.moveaxis(values, -1, 0)
        return planes if any(isinstance(part, slice) for part in lead) else planes[0]


class StoredResult:
    """An OME-Zarr that is being filled, by this program alone.

    Parameters
    ----------
    path : Path
        From `create`.
    axes : str
        As for `Opened`.
    grid : Grid
    """

    def __init__(self, path: Path, axes: str, grid: Grid) -> None:
        self.path, self.grid = path, grid
        self._unlock = _locked(path)
        self.opened = Opened(path, axes)
        self._done = self._read_done()
        self._unrecorded: set[Path] = set()
        self._is_recorded, self._recorded_at = True, time.monotonic()
        self._is_finished = False

    @property
    def n_done(self) -> int:
        """Units that are there."""
        return int(self._done.sum())

    def has(self, number: int) -> bool:
        """Whether a unit is there."""
        return bool(self._done[number])

    def write(self, unit: Unit, values: NDArray) -> None:
        """Store a unit; it counts once its chunks are on the disk."""
        self._unrecorded |= self.opened.write(unit, values)
        self.mark([unit.number])

    def mark(self, numbers: Sequence[int]) -> None:
        """Take units as stored, and record that every few seconds."""
        self._done[list(numbers)] = True
        self._is_recorded = False
        if time.monotonic() - self._recorded_at > _RECORD_SECONDS:
            self.record()

    def fall_behind(self) -> None:
        """Write down that others write units, of which coarser levels know nothing."""
        write_whole(self.path / _BEHIND, b"")

    def coarser(self) -> Iterator[list[tuple[int, tuple[int, ...], Box]]]:
        """What `Opened.coarsen` has to be called with, level by level, if they lack it."""
        if not (self.path / _BEHIND).exists():
            return
        pyramid = self.opened.pyramid
        for level in range(1, len(pyramid.levels)):
            leads, boxes = np.ndindex(self.grid.leading), [*pyramid.boxes(level)]
            yield [(level, lead, box) for lead in leads for box in boxes]

    def record(self) -> None:
        """Write down which units are there, after all of their chunks are."""
        if self._is_recorded:
            return
        with _writing(self.path):
            sync_files(self._unrecorded, self.path)
            write_whole(self.path / _DONE, np.packbits(self._done).tobytes())
        self._unrecorded.clear()
        self._is_recorded, self._recorded_at = True, time.monotonic()

    def finish(self, about: Mapping[str, Any]) -> None:
        """Say that it is complete, and how it was made."""
        self.record()
        with _writing(self.path):
            self.opened.group.attrs[PROVENANCE] = dict(about)
            sync_files([self.path / "zarr.json"], self.path)
            for left in (self.path / _DONE, self.path / _BEHIND, *self._litter()):
                left.unlink(missing_ok=True)
        self._is_finished = True

    def _litter(self) -> Iterable[Path]:
        """Beginnings of files, of programs that were killed while they wrote them."""
        return () if is_remote(self.path) else self.path.rglob("*.partial")

    def close(self) -> None:
        """Record what is there, and let others write."""
        try:
            self.record()
        finally:
            self._unlock()
            if self._is_finished:
                (self.path / _LOCK).unlink(missing_ok=True)

    def _read_done(self) -> NDArray[np.bool_]:
        done, path = np.zeros(len(self.grid), bool), self.path / _DONE
        if path.exists():
            bits = np.frombuffer(path.read_bytes(), np.uint8)
            done[:] = np.unpackbits(bits, count=len(done)).astype(bool)
        return done


def _locked(path: Path) -> Callable[[], object]:
    """Keep other programs from writing there, and return what lets them again.

    Object stores have no such thing.
    """
    if is_remote(path):
        return lambda: None
    busy = f"{path} is being written by another program; wait until it has ended."
    return take_lock(path / _LOCK, busy).release


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Errors of the disk, with what to do about them."""
    try:
        yield
    except FileError:  # says what to do already
        raise
    except OSError as error:
        told = underlying(error)
        reason = told.strerror or str(told)
        raise FileError(
            f"{path} cannot be written: {reason}. {remedy(told).capitalize()}, and "
            "start again: what is done is kept."
        ) from error


def opened(path: Path, axes: str) -> Any:
    """A stored result as a dask array, with its axes in the order asked for."""
    return levels(path, axes)[0]


def levels(path: Path, axes: str) -> list[Any]:
    """As `opened`, at all of its resolutions, the finest first."""
    order = _order(axes)
    return [as_dask(array).transpose(order) for array in _arrays(path)]


def views(path: Path, axes: str) -> list[View]:
    """As `levels`, for a viewer: without dask's graph, which takes longer than reading."""
    order = _order(axes)
    return [View(array, order) for array in _arrays(path)]


def _order(axes: str) -> list[int]:
    """Where each axis is stored."""
    stored = ngff.stored_axes(axes)
    return [stored.index(axis) for axis in axes]


def _arrays(path: Path) -> list[Any]:
    group = open_group(path, mode="r")
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    return [group[level["path"]] for level in datasets]


class View:
    """A stored array with its axes in another order, read where and when it is indexed.

    Parameters
    ----------
    array : zarr.Array
    order : sequence of int
        Its axes in the order wanted.
    """

    def __init__(self, array: Any, order: Sequence[int]) -> None:
        self._array, self._order = array, list(order)
        self.shape = tuple(int(array.shape[axis]) for axis in order)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, key: Any) -> NDArray:
        """What integers and slices of positive step say."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis not in keys:
            keys.append(Ellipsis)
        place = keys.index(Ellipsis)
        keys[place : place + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        stored = [keys[self._order.index(axis)] for axis in range(self.ndim)]
        kept = [axis for axis in range(self.ndim) if isinstance(stored[axis], slice)]
        order = [kept.index(axis) for axis in self._order if axis in kept]
        return np.asarray(self._array[tuple(stored)]).transpose(order)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        """All of it."""
        return np.asarray(self[...], dtype)
