"""A folder's run, complete and independent of the widget, and the jobs themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from napari_edsr import disk
from napari_edsr._qt.busy import computing
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.wording import duration
from napari_edsr.errors import EDSRError, FileError
from napari_edsr.events import PassDone, TileDone, relay
from napari_edsr.file_headers import Header, together
from napari_edsr.file_jobs import Job, batch_jobs, make_folders
from napari_edsr.file_runs import FileUpscaled, iter_upscale_file
from napari_edsr.images import ImageSpec

DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclass(frozen=True)
class FolderRequest:
    """What is to be done with a folder.

    Attributes
    ----------
    source, output : str
        Folders of the images and of the results.
    pattern : str
        Of the images; empty for all.
    skip_existing : bool
        Whether images are left out whose result is there, and complete.
    model : str
        Name or weights file.
    scale : int
    options : mapping
        As `napari_edsr.iter_upscale` takes them.
    """

    source: str
    output: str
    pattern: str = ""
    skip_existing: bool = True
    model: str = ""
    scale: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)

    def jobs(self) -> tuple[list[Job], list[Job]]:
        """What is left to do, and what is skipped.

        Raises
        ------
        FileError
            If there is no such folder, or nothing to do with it.
        """
        if not Path(self.source).is_dir():
            raise FileError(f"There is no folder {self.source}; choose another.")
        found = batch_jobs(self.source, Path(self.output), self.pattern or None)
        skipped = [job for job in found if self.skip_existing and job.is_done()]
        return [job for job in found if job not in skipped], skipped


@dataclass(frozen=True)
class Survey:
    """What was found in a folder before anything is done.

    Attributes
    ----------
    specs : tuple of ImageSpec
        Of the images that are left to do.
    n_skipped, n_unfit : int
        Images whose results are there, and images that cannot be upscaled.
    output_bytes : int
        That the results take on the disk, at most.
    note : str
        Whether the disk may be too small.
    """

    specs: tuple[ImageSpec, ...]
    n_skipped: int
    n_unfit: int
    output_bytes: int
    note: str


@dataclass(frozen=True)
class FolderProgress:
    """How far a run is.

    Attributes
    ----------
    share : float
        Of all pixels, from 0 to 1.
    number, total : int
        The image at work, from 1, and images in all.
    seconds : float
        Since the first image began.
    """

    share: float
    number: int
    total: int
    seconds: float


@dataclass(frozen=True)
class FileOutcome:
    """What became of an image.

    Attributes
    ----------
    job : Job
    status : str
        `DONE`, `SKIPPED` or `FAILED`.
    said : str
        How long it took, or why it failed.
    """

    job: Job
    status: str
    said: str = ""


def iter_survey(request: FolderRequest) -> Generator[None, None, Survey]:
    """Look at the heads of all files; the job of a worker."""
    yield
    left, skipped = request.jobs()
    headers = yield from _iter_headers(left, request.scale)
    readable = [header for header in headers if header is not None]
    need = together(readable)
    return Survey(
        specs=tuple(header.spec for header in readable),
        n_skipped=len(skipped),
        n_unfit=len(left) - len(readable),
        output_bytes=need.most,
        note=disk.check_room(Path(request.output), need),
    )


def iter_folder(
    request: FolderRequest,
) -> Generator[FolderProgress | FileOutcome | None, None, float]:
    """Upscale what is left to do, image by image; the job of a worker.

    Yields
    ------
    FileOutcome, FolderProgress
        One of the former for each image, those that are skipped first.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    DeviceError
        If another run is under way in this program.
    EDSRError
        If nothing can be done at all; what fails with one image is its outcome.
    """
    with computing(f"Upscaling of the folder {Path(request.source).name}"):
        left, skipped = request.jobs()
        for job in skipped:
            yield FileOutcome(job, SKIPPED)
        headers = yield from _iter_headers(left, request.scale)
        known = [header for header in headers if header is not None]
        disk.check_room(Path(request.output), together(known))
        make_folders(left)
        from napari_edsr.kept import kept_model

        network = kept_model(request.model).model
        return (yield from _iter_files(request, network, left, headers))


def _iter_headers(
    jobs: Sequence[Job], scale: int
) -> Generator[None, None, list[Header | None]]:
    """Of each image; None for one that cannot be upscaled, as will be told in its turn."""
    headers: list[Header | None] = []
    for job in jobs:
        headers.append(None)
        with suppress(EDSRError, MemoryError, OSError):
            headers[-1] = Header.of(job, scale)
        yield
    return headers


def _iter_files(
    request: FolderRequest,
    network: Any,
    jobs: Sequence[Job],
    headers: Sequence[Header | None],
) -> Generator[FolderProgress | FileOutcome, None, float]:
    weights = [math.prod(h.spec.shape) if h is not None else 0 for h in headers]
    whole, began = sum(weights) or 1, time.perf_counter()
    options = {**request.options, "scale": request.scale}
    for i, job in enumerate(jobs):
        convert = partial(_progress, began, i + 1, weights, whole)
        yield convert(None)
        run = iter_upscale_file(job, network, None, options)
        with closing(relay(run, convert)) as relayed:
            yield (yield from _iter_attempt(job, relayed))
    return time.perf_counter() - began


def _progress(
    began: float, number: int, weights: Sequence[int], whole: int, event: Any
) -> FolderProgress:
    of_this = event.done / event.total if isinstance(event, TileDone | PassDone) else 0
    before = sum(weights[: number - 1])
    # What cannot be upscaled weighs nothing, and is done at once.
    share = (before + weights[number - 1] * of_this) / whole
    return FolderProgress(share, number, len(weights), time.perf_counter() - began)


def _iter_attempt(
    job: Job, run: Generator[FolderProgress, None, FileUpscaled]
) -> Generator[FolderProgress, None, FileOutcome]:
    """Do a file; what it raises is its outcome, and the others go on."""
    try:
        done = yield from run
    except Exception as error:
        message = Failure.of(error, f"Upscaling {job.source.name}").message
        return FileOutcome(job, FAILED, message)
    return FileOutcome(job, DONE, duration(done.result.metadata["seconds"]))
