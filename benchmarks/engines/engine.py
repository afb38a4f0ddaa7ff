"""What all engines look like to those who measure them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.engines import problem
from benchmarks.engines.problem import Pixels


@dataclass(frozen=True)
class Job:
    """One engine on one size.

    Parameters
    ----------
    engine : str
        Its key in `benchmarks.engines.catalogue.ENGINES`.
    scale, side : int
        Factor, and rows and columns of the picture.
    device : str
    threads : int
    folder : Path
        Where converted networks and references lie.
    """

    engine: str
    scale: int
    side: int
    device: str
    threads: int
    folder: Path

    def file(self, suffix: str) -> Path:
        """A converted network's file."""
        return self.folder / f"edsr-x{self.scale}{suffix}"


@dataclass(frozen=True)
class Engine:
    """An engine that is ready.

    Parameters
    ----------
    run : callable
        From (H, W, 3) bytes to the upscaled bytes: what is timed.
    levels : callable
        The result of the last call in grey levels, not rounded.
    note : str
        What a reader must know of it.
    """

    run: Callable[[Pixels], Pixels]
    levels: Callable[[Pixels], NDArray[np.float32]]
    note: str = ""


def of_planes(
    forward: Callable[[Tensor], Tensor], device: str = "cpu", note: str = ""
) -> Engine:
    """An engine that takes and gives (1, 3, H, W) floats from 0 to 255."""
    last: list[Tensor] = []

    def run(image: Pixels) -> Pixels:
        last.clear()
        last.append(forward(problem.planes(image, device)))
        return problem.rounded(last[0])

    return Engine(run, lambda image: problem.levels(last[0]), note)


class NotMeasured(Exception):
    """Why an engine has no figures; a sentence for its row."""
