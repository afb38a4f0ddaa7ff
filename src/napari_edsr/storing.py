"""Upscaling to a file that grows unit by unit, and can be taken up again."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from napari_edsr import intensities
from napari_edsr.canvas import Canvas
from napari_edsr.device import describe
from napari_edsr.engine import Engine
from napari_edsr.engines import iter_run, make_engines, tiling_for
from napari_edsr.errors import DeviceError
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.images import ImageSpec, Region
from napari_edsr.intensities import Range
from napari_edsr.kept import KeptModel
from napari_edsr.runs import Event
from napari_edsr.stores import result
from napari_edsr.stores.ngff import Place
from napari_edsr.stores.plan import (
    Settled,
    check_same,
    chunk_step,
    input_key,
    unit_rows,
)
from napari_edsr.targets import GatheringTarget


@dataclass(frozen=True)
class Stored:
    """A result on disk: a dask array, and its provenance."""

    image: Any
    metadata: dict[str, Any]


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
        region = {axis: list(span) for axis, span in (self.region or {}).items()}
        ranges = {
            key: value if value is None or isinstance(value, str) else _lists(value)
            for key, value in vars(self).items()
            if key in ("normalize", "contrast_limits")
        }
        return {**vars(self), "region": region, **ranges}


def _lists(value: Any) -> list[Any]:
    return [_lists(v) if isinstance(v, Sequence) else float(v) for v in value]


def iter_stored(
    image: Any,
    spec: ImageSpec,
    kept: KeptModel,
    path: Path,
    wanted: Wanted,
    *,
    place: Place | None = None,
    overwrite: bool = False,
) -> Generator[Event, None, Stored]:
    """As `napari_edsr.inference.iter_upscale`, to an OME-Zarr.

    Parameters
    ----------
    image : array
    spec : ImageSpec
    kept : KeptModel
    path : Path
    wanted : Wanted
    place : Place, optional
        Of the image.
    overwrite : bool
        Begin anew, whatever stands there.
    """
    job = _StoredJob(image, spec, kept, path, wanted)
    about = None if overwrite else job.found()
    if about is not None and about["state"] == "complete":
        return Stored(result.opened(path, spec.axes), about["metadata"])
    if about is None:
        engines = job.engines(wanted.precision)
        settled = job.settle(engines)
        job.begin(settled, place or Place(), overwrite=overwrite)
    else:
        settled = Settled.from_dict(about["settled"])
        engines = job.engines(settled.precision)
        job.check_computer(settled, engines[0])
    return (yield from job.events(settled, engines))


@dataclass
class _StoredJob:
    """One image on its way into one file."""

    image: Any
    spec: ImageSpec
    kept: KeptModel
    path: Path
    wanted: Wanted

    @cached_property
    def asked(self) -> dict[str, Any]:
        """All that must be the same for the run to go on."""
        return {
            "input": input_key(self.image, self.spec, self.slices),
            "axes": self.spec.axes,
            "model": self.kept.model.provenance.name or "",
            "model_key": self.kept.key,
            **self.wanted.plain(),
        }

    @cached_property
    def slices(self) -> dict[str, slice]:
        """The part of the image that is wanted."""
        return region_slices(self.spec, self.wanted.region)

    def found(self) -> dict[str, Any] | None:
        """What stands there, if it is of the same run."""
        about = result.read_state(self.path)
        if about is not None:
            check_same(self.asked, about["asked"], str(self.path))
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

    def settle(self, engines: list[Engine]) -> Settled:
        """Choose what holds from the first tile to the last."""
        wanted = self.wanted
        step = chunk_step(wanted.tile, wanted.scale)
        tiling = replace(tiling_for(wanted.tile, engines), step=step, shrinks=False)
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

    def begin(self, settled: Settled, place: Place, *, overwrite: bool) -> None:
        """Write the plan, and an image without pixels."""
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
            },
            chunk=settled.tiling.step * self.wanted.scale,
            overwrite=overwrite,
        )

    def check_computer(self, settled: Settled, engine: Engine) -> None:
        """Refuse to go on where other bytes might come out."""
        if settled.computer != _computer(engine):
            raise DeviceError(
                f"{self.path} was begun on {settled.computer}, and this is "
                f"{_computer(engine)}: go on there, or use --overwrite."
            )

    def events(
        self, settled: Settled, engines: list[Engine]
    ) -> Generator[Event, None, Stored]:
        """Do what is missing."""
        grid = settled.grid(self.spec, self.slices, self.wanted.scale)
        store = result.StoredResult(self.path, self.spec.axes, grid)
        canvas = self._canvas(settled, store)
        metadata = yield from iter_run(
            canvas, engines, settled.tiling, self.wanted.normalize
        )
        store.finish({"state": "complete", "asked": self.asked, "metadata": metadata})
        return Stored(result.opened(self.path, self.spec.axes), metadata)

    def _canvas(self, settled: Settled, store: result.StoredResult) -> Canvas:
        canvas = Canvas(
            self.image,
            self.spec,
            settled.ranges,
            n_colors=self.kept.model.config.n_colors,
            scale=self.wanted.scale,
            region=self.wanted.region,
            target=GatheringTarget(store),
        )
        canvas.notes += intensities.sampling_notes(
            self.image, self.spec, self.wanted.normalize
        )
        if store.n_done:
            done = f"{store.n_done} of {len(store.grid)}"
            canvas.notes.append(f"Went on after {done} parts that were done before.")
        return canvas


def _computer(engine: Engine) -> str:
    fast = f"{engine.name} on " if engine.name == "mnn" else ""
    return f"{fast}{describe(engine.device)}"
