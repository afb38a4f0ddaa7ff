"""Upscaling to a file that grows unit by unit, and can be taken up again."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from napari_edsr import intensities
from napari_edsr.canvas import Canvas, joined_channels
from napari_edsr.device import describe
from napari_edsr.engine import Engine
from napari_edsr.engines import iter_run, make_engines, tiling_for
from napari_edsr.errors import DeviceError, FileError
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.events import BytesDone, PassDone
from napari_edsr.files import ImageFile, read_header, upscaled_file
from napari_edsr.images import ImageSpec
from napari_edsr.kept import KeptModel
from napari_edsr.runs import Event, Part
from napari_edsr.stores import result, staging
from napari_edsr.stores.location import is_remote, remove
from napari_edsr.stores.ngff import Place
from napari_edsr.stores.plan import (
    Settled,
    Wanted,
    check_same,
    chunk_step,
    for_store,
    iter_input_key,
    unit_rows,
)
from napari_edsr.stores.result import StoredResult
from napari_edsr.targets import GatheringTarget, Grid, Store

_FINISHED = "It was finished before and stays as it is, unless it is overwritten."


@dataclass(frozen=True)
class Stored:
    """A result on disk: a dask array, its provenance, and whether it was there before."""

    image: Any
    metadata: dict[str, Any]
    was_there: bool = False


class Runner(Protocol):
    """Does what is missing of a job: in this process, or in others."""

    def settle(self, job: StoredJob) -> Settled:
        """Choose what holds from the first tile to the last."""

    def iter_units(
        self, job: StoredJob, settled: Settled, store: StoredResult
    ) -> Generator[Event, None, dict[str, Any]]:
        """Fill the store, and return how."""


def iter_stored(
    job: StoredJob,
    runner: Runner,
    *,
    like: ImageFile | None = None,
    overwrite: bool = False,
) -> Generator[Event | BytesDone, None, Stored]:
    """Upscale to an OME-Zarr or a TIFF.

    Parameters
    ----------
    job : StoredJob
    runner : Runner
    like : ImageFile, optional
        What is known of the image.
    overwrite : bool
        Begin anew, whatever stands there.

    Raises
    ------
    FileError
        If the file ends otherwise, cannot be written, or holds another result.
    """
    like = _of_region(like or ImageFile(job.image, job.spec.axes), job.slices)
    job.asked = yield from job.iter_asked()
    job.asked["place"] = _calibration(like)
    suffix = job.named.suffix.lower()
    run: Generator[Event | BytesDone, None, Stored]
    if suffix == ".zarr":
        run = _iter_zarr(job, runner, like, overwrite=overwrite)
    elif suffix in (".tif", ".tiff") and not is_remote(job.named):
        run = _iter_tiff(job, runner, like, overwrite=overwrite)
    else:
        others = "" if is_remote(job.named) else " or .tif"
        raise FileError(f"Write to an .ome.zarr{others}, not to {job.named.name}.")
    stored = yield from run
    if stored.was_there:
        stored.metadata["notes"].append(_FINISHED)
    return stored


def _calibration(like: ImageFile) -> dict[str, Any]:
    """What is known of an image that a result tells too, as JSON has it."""
    return {
        "pixel_size": dict(like.pixel_size),
        "unit": like.unit,
        "origin": dict(like.metadata.get("origin", {})),
        "channel_names": list(like.channel_names),
    }


def _of_region(like: ImageFile, slices: Mapping[str, slice]) -> ImageFile:
    """What is known of the channels that are wanted."""
    channels = slices.get("C", slice(None))
    limits, colors = like.contrast_limits, like.metadata.get("colors", ())
    several = limits is not None and len(limits) > 1
    return replace(
        like,
        channel_names=like.channel_names[channels],
        contrast_limits=limits[channels] if limits and several else limits,
        metadata={**like.metadata, "colors": colors[channels]},
    )


def _iter_zarr(
    job: StoredJob, runner: Runner, like: ImageFile, *, overwrite: bool
) -> Generator[Event | BytesDone, None, Stored]:
    about = None if overwrite else job.found()
    if about is not None and about["state"] == "complete":
        image = result.opened(job.path, job.spec.axes)
        return Stored(image, about["metadata"], was_there=True)
    if about is None:
        settled = runner.settle(job)
        job.begin(settled, Place.of(like))
    else:
        settled = Settled.from_dict(about["settled"])
    store = StoredResult(job.path, job.unit_spec.axes, job.grid(settled))
    with closing(store):
        metadata = yield from runner.iter_units(job, settled, store)
        about = {"state": "complete", "asked": job.asked, "metadata": metadata}
        store.finish(about)
    return Stored(result.opened(job.path, job.spec.axes), metadata)


def _iter_tiff(
    job: StoredJob, runner: Runner, like: ImageFile, *, overwrite: bool
) -> Generator[Event | BytesDone, None, Stored]:
    """By way of an OME-Zarr; a TIFF of the same run is left as it is."""
    place = staging.staging_of(job.path)
    if not overwrite and (made := _made_before(job)):
        if place.exists():  # a run was killed before it had removed that
            remove(place)
        return made
    beside = replace(job, path=place)
    stored = yield from _iter_zarr(beside, runner, like, overwrite=overwrite)
    provenance = {**stored.metadata, "asked": job.asked}
    upscaled = upscaled_file(like, stored.image, job.wanted.scale, provenance)
    yield from staging.iter_publish(place, job.path, upscaled)
    return Stored(_published(job), stored.metadata)


def _made_before(job: StoredJob) -> Stored | None:
    """A TIFF that the same run has written, if it is there."""
    try:
        made = read_header(job.path)
    except FileError:  # none is there, or a damaged one
        return None
    metadata = made.provenance or {}
    if metadata.pop("asked", None) != job.asked:
        return None
    shape = region_shape(job.slices, job.wanted.scale)
    if _long_sides(made.data.shape) != _long_sides(shape):  # it was cropped since
        return None
    return Stored(_published(job), metadata, was_there=True)


def _long_sides(shape: Sequence[int]) -> list[int]:
    """In any order; a TIFF does not keep axes of length 1."""
    return sorted(n for n in shape if n > 1)


def _published(job: StoredJob) -> Any:
    """The pixels of a TIFF with their axes as asked for."""
    shape = region_shape(job.slices, job.wanted.scale)
    return staging.published(job.path, job.spec.axes, shape)


@dataclass
class StoredJob:
    """One image on its way into one file, which the user knows as `named`.

    Attributes
    ----------
    image : array
    spec : ImageSpec
    kept : KeptModel
    wanted : Wanted
    path, named : Path
        Where the result grows, and where it will be.
    asked : dict
        All that must be the same for the run to go on, from `iter_asked`.
    """

    image: Any
    spec: ImageSpec
    kept: KeptModel
    wanted: Wanted
    path: Path
    named: Path
    asked: dict[str, Any] = field(default_factory=dict)

    def iter_asked(self) -> Generator[BytesDone, None, dict[str, Any]]:
        """Look at the image, and say what is asked for."""
        return {
            "input": (yield from iter_input_key(self.image, self.spec, self.slices)),
            "axes": self.spec.axes,
            "model": self.kept.model.provenance.name or "",
            "model_key": self.kept.key,
            **self.wanted.plain(),
        }

    @cached_property
    def slices(self) -> dict[str, slice]:
        """The part of the image that is wanted."""
        return region_slices(self.spec, self.wanted.region)

    @cached_property
    def unit_spec(self) -> ImageSpec:
        """The image as the network sees it, whose planes units are parts of."""
        return joined_channels(self.spec, self.kept.model.config.n_colors)

    def grid(self, settled: Settled) -> Grid:
        """The units of the result."""
        return settled.grid(self.unit_spec, self.slices, self.wanted.scale)

    def found(self) -> dict[str, Any] | None:
        """What stands there, if it is of the same run."""
        about = result.read_state(self.path)
        if about is not None and about["state"] == "creating":
            return None  # it was given up before it had begun
        if about is not None:
            check_same(self.asked, about["asked"], str(self.named))
        return about

    def engines(self, precision: str) -> list[Engine]:
        """For what is wanted, in a precision."""
        return make_engines(
            self.kept,
            self.spec.dtype,
            scale=self.wanted.scale,
            device=self.wanted.device,
            precision=precision,
            self_ensemble=self.wanted.self_ensemble,
        )

    def settled_for(self, engines: list[Engine]) -> Settled:
        """What holds from the first tile to the last, on such devices."""
        wanted = self.wanted
        step = chunk_step(wanted.tile, wanted.scale)
        tiling = for_store(tiling_for(wanted.tile, engines), step)
        columns = self.slices["X"]
        ranges = intensities.intensity_ranges(
            self.image, self.spec.axes, wanted.normalize, wanted.contrast_limits
        )
        return Settled(
            tiling=tiling,
            rows=unit_rows(tiling, columns.stop - columns.start),
            precision=engines[0].precision,
            computer=_computer(engines[0]),
            ranges=tuple(ranges),
        )

    def begin(self, settled: Settled, place: Place) -> None:
        """Write the plan, and an image without pixels, in place of what was there."""
        corner = {axis: part.start for axis, part in self.slices.items()}
        result.create(
            self.path,
            self.spec.axes,
            region_shape(self.slices, self.wanted.scale),
            self.spec.dtype,
            place.enlarged(self.wanted.scale, corner),
            {
                "state": "unfinished",
                "asked": self.asked,
                "settled": settled.to_dict(),
                "units": len(self.grid(settled)),
            },
            chunk=settled.tiling.step * self.wanted.scale,
        )

    def settled_engines(self, settled: Settled) -> list[Engine]:
        """As they were settled on.

        Raises
        ------
        DeviceError
            If other bytes might come out of what computes here.
        """
        engines = self.engines(settled.precision)
        if settled.computer != _computer(engines[0]):
            raise DeviceError(
                f"{self.named} was begun on {settled.computer}, and this is "
                f"{_computer(engines[0])}: go on there, or use --overwrite."
            )
        return engines

    def iter_run(
        self,
        settled: Settled,
        engines: list[Engine],
        store: Store,
        parts: Sequence[Part] | None = None,
        notes: Sequence[str] = (),
    ) -> Generator[Event, None, dict[str, Any]]:
        """Do what is missing in a store, or those parts of it, and return how."""
        canvas = Canvas(
            self.image,
            self.spec,
            settled.ranges,
            n_colors=self.kept.model.config.n_colors,
            scale=self.wanted.scale,
            region=self.wanted.region,
            target=GatheringTarget(store),
        )
        normalize = self.wanted.normalize
        canvas.notes += intensities.sampling_notes(self.image, self.spec, normalize)
        canvas.notes += notes
        run = iter_run(canvas, engines, settled.tiling, normalize, parts)
        return (yield from run)


def _computer(engine: Engine) -> str:
    fast = f"{engine.name} on " if engine.name == "mnn" else ""
    return f"{fast}{describe(engine.device)}"


class Here:
    """Does a job in this process."""

    _engines: list[Engine] | None = None

    def settle(self, job: StoredJob) -> Settled:
        """Choose what holds from the first tile to the last."""
        self._engines = job.engines(job.wanted.precision)
        return job.settled_for(self._engines)

    def iter_units(
        self, job: StoredJob, settled: Settled, store: StoredResult
    ) -> Generator[Event, None, dict[str, Any]]:
        """Fill the store, and return how."""
        engines = self._engines or job.settled_engines(settled)
        run = job.iter_run(settled, engines, store, notes=resumed(store))
        metadata = yield from run
        for boxes in store.coarser():
            for done, place in enumerate(boxes):
                store.opened.coarsen(*place)
                yield PassDone(done, len(boxes), metadata["seconds"])
        return metadata


def resumed(store: StoredResult) -> list[str]:
    """What to say of a run that is taken up again."""
    if not store.n_done:
        return []
    done = f"{store.n_done} of {len(store.grid)}"
    return [f"Went on after {done} parts that were done before."]
