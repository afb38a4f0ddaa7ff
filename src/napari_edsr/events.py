"""What long jobs yield, and how to run one to its end.

Every long job is a generator: ``yield`` is progress, closing it is cancel,
``return`` is the result. A worker, a progress bar and a test all drive the same
object.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class UpscalePlanned:
    """What will be done, yielded before the first tile and again if memory runs out.

    Attributes
    ----------
    total : int
        Number of tiles of the whole run, over all planes.
    tile, halo : int
        Side of a tile and context around it, in input pixels.
    device, precision : str
        As torch names the device; ``"fp32"``, ``"fp16"`` or ``"bf16"``.
    notes : tuple of str
        What was assumed about the image and chosen for the run, one sentence each.
    """

    total: int
    tile: int
    halo: int
    device: str
    precision: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TileDone:
    """One tile is in the result.

    Attributes
    ----------
    done, total : int
        Tiles finished so far, and in all.
    region : tuple of slice
        Where it lies in the result, one slice per axis of the result.
    """

    done: int
    total: int
    region: tuple[slice, ...]


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
