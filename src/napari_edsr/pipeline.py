"""Batches of equal parts of an image through a network, each while others are copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_edsr.accelerator import Fetched, Lane, Recorded
from napari_edsr.engine import Engine, not_finite
from napari_edsr.tiling import Box


@dataclass(frozen=True)
class Batch:
    """Equal parts of an image that go through the network together.

    Parameters
    ----------
    values : ndarray, (N, H, W, C)
        Integers of up to 16 bits, or intensities as the network takes them, as float32.
    crops : sequence of (slice, slice)
        Rows and columns wanted of what each becomes. Parts without one only fill up
        the batch, for one of another size might be computed in another way.
    limits : ndarray of float32, (2, N, C)
        Values that the network takes as 0 and as 1; finite, and not the same.
    """

    values: NDArray
    crops: Sequence[Box]
    limits: NDArray[np.float32]

    def only(self, index: int) -> Batch:
        """One of its parts."""
        one = slice(index, index + 1)
        return Batch(self.values[one], self.crops[one], self.limits[:, one])


@dataclass(frozen=True)
class Flight:
    """A batch that a device is at work on."""

    _pipeline: Pipeline
    _batch: Batch
    _found: Fetched

    def land(self) -> list[NDArray]:
        """Wait for what is wanted of each part: (h, w, C), of the type of the values.

        Raises
        ------
        ModelError
            If it is not finite even in fp32.
        """
        finite, *parts = self._found.wait()
        return [
            part if finite[i] else self._pipeline.redo(self._batch.only(i))
            for i, part in enumerate(parts)
        ]


class Pipeline:
    """An engine that is handed batches before it has done those before.

    Parameters
    ----------
    engine : Engine
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lane = Lane(engine.device)
        self._forward = Recorded(partial(engine.forward, precision=engine.precision))

    def close(self) -> None:
        """Free what was recorded."""
        self._forward.close()

    @torch.inference_mode()
    def begin(self, batch: Batch) -> Flight:
        """Hand over a batch, and do not wait for it."""
        return Flight(self, batch, self._run(batch, self._forward))

    @torch.inference_mode()
    def redo(self, batch: Batch) -> NDArray:
        """A single part in fp32."""
        forward = partial(self._engine.forward, precision="fp32")
        finite, part = self._run(batch, forward).wait()
        if not finite.all():
            raise not_finite()
        self._engine.redone += 1
        return part

    def _run(self, batch: Batch, forward: Callable[[Tensor], Tensor]) -> Fetched:
        """Whether each part is finite, and what is wanted of each."""
        x = self._lane.send(batch.values)
        low, high = self._lane.send(batch.limits[..., None, None])
        y = forward(_to_unit(x.permute(0, 3, 1, 2), low, high))
        finite = torch.isfinite(y).flatten(1).all(1)
        y = _from_unit(y, low, high, x.dtype).permute(0, 2, 3, 1)
        pairs = zip(y, batch.crops, strict=False)
        parts = [part[crop].contiguous() for part, crop in pairs]
        return self._lane.fetch([finite, *parts])


def _to_unit(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (x.float() - low) / (high - low)


def _from_unit(y: Tensor, low: Tensor, high: Tensor, dtype: torch.dtype) -> Tensor:
    """Undo `_to_unit`, in memory of its own; integers are rounded as `numpy.rint` does."""
    y = y * (high - low) + low
    if dtype.is_floating_point:
        return y
    info = torch.iinfo(dtype)
    return y.round_().clamp_(info.min, info.max).to(dtype)
