"""An image file upscaled into another: read, upscaled, written."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_edsr import disk, files
from napari_edsr.file_headers import check_format, need, read
from napari_edsr.file_jobs import Job
from napari_edsr.files import ImageFile
from napari_edsr.files.reopened import FileImage
from napari_edsr.images import ImageSpec, understand
from napari_edsr.stores.read import is_zarr

if TYPE_CHECKING:
    from napari_edsr.inference import UpscaleResult
    from napari_edsr.model import EDSR, MDSR


@dataclass(frozen=True)
class FileRead:
    """A file was read, and its result can be written; the first event.

    Attributes
    ----------
    image : ImageFile
    spec : ImageSpec
        What was understood of it.
    notes : tuple of str
        What was assumed of the file, and what of it the result cannot hold.
    """

    image: ImageFile
    spec: ImageSpec
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FileUpscaled:
    """What came of a file.

    Attributes
    ----------
    source : ImageFile
    result : napari_edsr.UpscaleResult
    written : ImageFile or None
        As it was written at the end; None if the result grew on the disk.
    """

    source: ImageFile
    result: UpscaleResult
    written: ImageFile | None


def iter_upscale_file(
    job: Job, network: EDSR | MDSR, axes: str | None, options: dict[str, Any]
) -> Generator[Any, None, FileUpscaled]:
    """Upscale a file into another, with all that its metadata say.

    Parameters
    ----------
    job : Job
        Of its maps nothing is made here.
    network : EDSR or MDSR
    axes : str or None
        Instead of those in the file.
    options : dict
        As for `napari_edsr.iter_upscale`, `scale` among them.

    Yields
    ------
    FileRead
        Then the events of `napari_edsr.iter_upscale`.

    Returns
    -------
    FileUpscaled

    Raises
    ------
    EDSRError
        If the file cannot be read or upscaled, or the result not be written.
    """
    from napari_edsr.engines import checked_scale
    from napari_edsr.inference import iter_upscale

    image = read(job.source, axes)
    spec = understand(image.data, image.axes)
    scale = checked_scale(network.config, options["scale"])
    shared = is_shared(options)
    stored = job.is_stored(spec, shared)
    yield FileRead(image, spec, _checked(job, image, spec, scale, stored))
    result = yield from iter_upscale(
        _for_others(job.source, image, axes) if shared else image.data,
        network,
        axes=image.axes,
        contrast_limits=image.contrast_limits,
        out=job.target if stored else None,
        like=image,
        **options,
    )
    if stored:
        return FileUpscaled(image, result, None)
    written = files.upscaled_file(image, result.image, scale, result.metadata)
    files.write_image(job.target, written)
    return FileUpscaled(image, result, written)


def is_shared(options: dict[str, Any]) -> bool:
    """Whether workers do the parts of a file."""
    return bool(options.get("scheduler") or options.get("workers"))


def _checked(
    job: Job, image: ImageFile, spec: ImageSpec, scale: int, stored: bool
) -> tuple[str, ...]:
    """What the user should know of it; refuses what neither format nor disk can hold."""
    room = need(job, image, spec, scale, stored)
    said = [
        *image.notes,
        check_format(job, image, spec, scale),
        disk.check_room(job.target, room),
    ]
    return tuple(note for note in said if note)


def _for_others(path: Path, image: ImageFile, axes: str | None) -> Any:
    """Pixels that other processes read themselves."""
    return image.data if is_zarr(path) else FileImage(path, image, axes)
