"""What image files hold and their results take, before any pixel is read."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_edsr import disk, files
from napari_edsr.errors import FileError
from napari_edsr.file_jobs import Job
from napari_edsr.files import ImageFile
from napari_edsr.images import ImageSpec, understand
from napari_edsr.stores.location import is_remote
from napari_edsr.stores.ngff import stored_axes
from napari_edsr.stores.read import is_zarr, read_zarr


@dataclass(frozen=True)
class Header:
    """What is known of a file without its pixels; `stored` results grow on the disk."""

    job: Job
    spec: ImageSpec
    need: disk.Need
    stored: bool

    @classmethod
    def of(
        cls, job: Job, scale: int, axes: str | None = None, *, shared: bool = False
    ) -> Header:
        """Read it.

        Parameters
        ----------
        job : Job
        scale : int
        axes : str, optional
            Instead of those in the file.
        shared : bool
            Whether workers will do the parts.

        Raises
        ------
        EDSRError
            Why the file cannot be upscaled.
        """
        image = read(job.source, axes, pixels=False)
        spec = understand(image.data, image.axes)
        stored = job.is_stored(spec, shared)
        check_format(job, image, spec, scale)
        return cls(job, spec, need(job, image, spec, scale, stored), stored)


def read(source: Path, axes: str | None = None, *, pixels: bool = True) -> ImageFile:
    """Read an image file or an OME-Zarr.

    Parameters
    ----------
    source : Path
        Of an object store only an OME-Zarr.
    axes : str, optional
        Instead of those in the file.
    pixels : bool
        Whether these are wanted.

    Raises
    ------
    FileError
        If that cannot be done.
    """
    if is_zarr(source):
        return read_zarr(source, axes)
    if is_remote(source):
        raise FileError(
            f"There is no OME-Zarr at {source}; other images are read from a disk alone."
        )
    return (files.read_image if pixels else files.read_header)(source, axes)


def check_format(job: Job, image: ImageFile, spec: ImageSpec, scale: int) -> str:
    """Say what the format of the result loses; an `EDSRError` if that is too much."""
    if job.to_store:
        stored_axes(image.axes)
        return ""
    shape = spec.output_shape(scale)
    return files.check_writable(job.target, image.axes, shape, spec.dtype) or ""


def need(
    job: Job, image: ImageFile, spec: ImageSpec, scale: int, stored: bool
) -> disk.Need:
    """What the result takes on the disk."""
    compressed = image.metadata.get("compression") is not None
    found = disk.needed(job.target, spec, scale, stored=stored, compressed=compressed)
    may_be_finished = stored and job.target.exists()
    return replace(found, surely=0) if may_be_finished else found


def together(headers: Sequence[Header], at_a_time: int = 1) -> disk.Need:
    """Of all files, of which some replace others and so many are made at a time."""
    needs = [header.need for header in headers]
    replaced = sum(_size(header.job.target) for header in headers)
    surely = sum(need.surely for need in needs)
    return disk.Need(
        result=sum(need.result for need in needs),
        beside=sum(heapq.nlargest(at_a_time, (need.beside for need in needs))),
        surely=max([surely - replaced, 0, *(need.surely for need in needs)]),
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
