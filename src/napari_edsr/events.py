"""What long jobs yield, and how to run one to its end.

Every long job is a generator: ``yield`` is progress, closing it is cancel,
``return`` is the result. A worker, a progress bar and a test all drive the same
object.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

Result = TypeVar("Result")


@dataclass(frozen=True)
class UpscalePlanned:
    """What will be done, yielded before the first tile and again if memory runs out.

    Attributes
    ----------
    total : int
        Number of tiles of the whole run, over all planes, or of bands that give rows.
    tile : int or "rows"
        Side of a tile in input pixels, or that bands of rows are run.
    halo : int
        Context around a tile in input pixels.
    device, precision : str
        As torch names the device; ``"fp32"``, ``"fp16"`` or ``"bf16"``.
    notes : tuple of str
        What was assumed about the image and chosen for the run, one sentence each.
    """

    total: int
    tile: int | str
    halo: int
    device: str
    precision: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TileDone:
    """One tile, or one band of rows, is in the result.

    Attributes
    ----------
    done, total : int
        Tiles finished so far, and in all.
    region : tuple of slice
        Where it lies in the result, one slice per axis of the result.
    seconds : float
        Since the first tile began.
    """

    done: int
    total: int
    region: tuple[slice, ...]
    seconds: float = 0.0


@dataclass(frozen=True)
class PassDone:
    """The network went over a part of a tile, or over all of it once of several times.

    It is a moment to cancel.

    Attributes
    ----------
    done : float
        Tiles finished so far, with the finished share of the one at work.
    total : int
        Tiles in all.
    seconds : float
        Since the first tile began.
    """

    done: float
    total: int
    seconds: float


@dataclass(frozen=True)
class PlaneDone:
    """One plane of an image has been measured.

    Attributes
    ----------
    done, total : int
        Planes finished so far, and in all.
    """

    done: int
    total: int


@dataclass(frozen=True)
class BytesDone:
    """A piece of a download has been written.

    Attributes
    ----------
    done : int
        Bytes on disk so far, those of an earlier, resumed attempt included.
    total : int or None
        Size of the whole file in bytes, None where the server does not say.
    """

    done: int
    total: int | None


@dataclass(frozen=True)
class ImageDone:
    """An image has been prepared for training, or measured.

    Attributes
    ----------
    image, images : int
        Images so far, and in all.
    """

    image: int
    images: int

    @classmethod
    def at_work(cls, image: int, images: int, event: object) -> ImageDone:
        """In the place of an event of the image that is at work, for `relay`."""
        return cls(image, images)


@dataclass(frozen=True)
class ImageMeasured(ImageDone):
    """An image kept aside has been upscaled by the network in training, and measured.

    Attributes
    ----------
    name : str
        Of the image.
    place : tuple of int
        Index of the plane along the image's leading axes.
    corner : (int, int)
        Row and column of that plane at which what was kept aside begins.
    scale : int
    upscaled, truth : ndarray, (C, H, W)
        In the image's dtype; the truth may have some rows and columns more.
    psnr : float
        In dB.
    """

    name: str
    place: tuple[int, ...]
    corner: tuple[int, int]
    scale: int
    upscaled: NDArray
    truth: NDArray
    psnr: float


@dataclass(frozen=True)
class PlaneMeasured:
    """A plane has been compared with the truth.

    Attributes
    ----------
    done, total : int
        Planes so far, and in all.
    place : tuple of int
        Its index along the leading axes.
    score : napari_edsr.metrics.Score
        What was measured.
    """

    done: int
    total: int
    place: tuple[int, ...]
    score: Any


@dataclass(frozen=True)
class TrainPlanned:
    """What will be trained, yielded before the first step.

    Attributes
    ----------
    step, steps : int
        Optimiser steps done by an earlier sitting, and in all.
    device, precision : str
        As torch names the device; ``"fp32"`` or ``"bf16"``.
    bicubic, before : float
        PSNR in dB, on the data kept aside, of bicubic interpolation and of the
        network as it starts; NaN where nothing is kept aside.
    notes : tuple of str
        What was assumed, one sentence each.
    """

    step: int
    steps: int
    device: str
    precision: str
    bicubic: float
    before: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepDone:
    """The optimiser took a step, or skipped one whose gradient was not finite.

    Attributes
    ----------
    done, total : int
        Steps done, and in all.
    loss : float
        Mean absolute error of the batch, white being 1.
    rate : float
        Learning rate.
    skipped : int
        Steps skipped so far.
    """

    done: int
    total: int
    loss: float
    rate: float
    skipped: int


@dataclass(frozen=True)
class Validated:
    """The network was measured on the data kept aside, and the state saved.

    Attributes
    ----------
    step : int
        Steps done.
    psnr : float
        Mean over the images in dB; NaN where nothing is kept aside.
    best : float
        The best so far, which is kept.
    loss : float
        Mean loss since the last measurement.
    """

    step: int
    psnr: float
    best: float
    loss: float


def relay(
    job: Generator[Any, Any, Result], convert: Callable[[Any], Any]
) -> Generator[Any, Any, Result]:
    """Run a job to its end inside another, whose events are made of its own."""
    with closing(job):
        while True:
            try:
                event = next(job)
            except StopIteration as stop:
                return stop.value
            yield convert(event)


def drain(
    job: Generator[Any, None, Result], on_event: Callable[[Any], object] | None = None
) -> Result:
    """Run a job to its end and return its result.

    Parameters
    ----------
    job : generator
        Any long job of this package.
    on_event : callable, optional
        Called with each event; an exception it raises cancels the job.
    """
    try:
        while True:
            event = next(job)
            if on_event is not None:
                on_event(event)
    except StopIteration as stop:
        return stop.value
    finally:
        job.close()
