"""Random patches for training, cut where the images lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_edsr.accelerator import takes
from napari_edsr.degradation import corrupt
from napari_edsr.device import free_memory
from napari_edsr.errors import TrainingError
from napari_edsr.intensities import Range
from napari_edsr.train_config import Degradation
from napari_edsr.training_data import Pair, Window

_FORMS = 8  # flips and transposition of a patch
_SHARE_OF_FREE_MEMORY = 0.5


@dataclass(frozen=True)
class Batch:
    """Patches of one scale on the training device.

    Attributes
    ----------
    scale : int
    lr, hr : Tensor, (N, C, h, w) and (N, C, scale*h, scale*w)
        float32, 0 black and 1 white.
    """

    scale: int
    lr: Tensor
    hr: Tensor


@dataclass
class Patches:
    """Random patches of pairs that lie on a device in their own dtype, if they fit there.

    Every batch follows from the seed and its step alone, so that a run goes on
    exactly where it was left, and several processes can share a batch.

    Parameters
    ----------
    pairs : sequence of Pair
    scales : sequence of int
        One of them is drawn for each batch.
    patch : int
        Side in low-resolution pixels; less where no image is as large. Smaller images
        are continued by mirroring.
    batch : int
    degradation : Degradation
        Its noise and JPEG are drawn anew for each patch of what is no real pair.
    seed : int
    device : torch.device
    """

    pairs: Sequence[Pair]
    scales: Sequence[int]
    patch: int
    batch: int
    degradation: Degradation
    seed: int
    device: torch.device
    _areas: dict[int, list[tuple[int, Window]]] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        largest = min(self._largest_side(scale) for scale in self.scales)
        self.patch = min(self.patch, largest)
        if self.patch < 1:
            raise TrainingError(
                "Nothing is left to train on; keep less aside or add images."
            )
        size = sum(
            plane.nbytes
            for pair in self.pairs
            for plane in (pair.hr, *pair.lr.values())
        )
        fits = size <= _SHARE_OF_FREE_MEMORY * free_memory(self.device)
        self._colours = max((len(pair.hr) for pair in self.pairs), default=1)
        self._home = self.device if fits else torch.device("cpu")
        self._placed = [self._put(pair) for pair in self.pairs]
        for scale in self.scales:
            self._areas[scale] = self._usable(scale)

    def _largest_side(self, scale: int) -> int:
        sides = [
            min(y1 - y0, x1 - x0)
            for pair in self.pairs
            for y0, y1, x0, x1 in pair.areas(scale)
        ]
        return max(sides, default=0)

    def _usable(self, scale: int) -> list[tuple[int, Window]]:
        """Areas as large as a patch; of images smaller than that, the largest there is."""
        found: list[tuple[int, Window]] = []
        for index, pair in enumerate(self.pairs):
            areas = pair.areas(scale)
            large = [area for area in areas if _side(area) >= self.patch]
            largest = sorted(areas, key=_side)[-1:]
            found.extend((index, area) for area in large or largest)
        return found

    def _put(self, pair: Pair) -> tuple[Tensor, dict[int, Tensor]]:
        lows = {scale: self._tensor(lr) for scale, lr in pair.lr.items()}
        return self._tensor(pair.hr), lows

    def _tensor(self, plane: NDArray) -> Tensor:
        plane = np.ascontiguousarray(_as_taken(plane, self._home))
        return torch.from_numpy(plane).to(self._home)

    def draw(self, step: int, part: slice = slice(None)) -> Batch:
        """The batch of a step, or the part of it that one of several processes takes."""
        rng = np.random.default_rng([self.seed, step])
        scale = int(rng.choice(self.scales))
        areas = self._areas[scale]
        weights = np.array([_positions(area, self.patch) for _, area in areas], float)
        chosen = rng.choice(len(areas), self.batch, p=weights / weights.sum())
        corners, forms = (
            rng.random((self.batch, 2)),
            rng.integers(0, _FORMS, self.batch),
        )
        noise_seed = int(rng.integers(2**62))
        cuts = [
            self._cut(scale, areas[i], corner, int(form))
            for i, corner, form in zip(chosen, corners, forms, strict=True)
        ]
        lr = torch.stack([low for low, _ in cuts]).to(self.device)
        # Of the whole batch, whoever takes which part.
        self._add_noise(lr, [self.pairs[areas[i][0]] for i in chosen], noise_seed)
        hr = torch.stack([high for _, high in cuts[part]]).to(self.device)
        return Batch(scale, lr[part], hr)

    def _add_noise(self, lr: Tensor, pairs: Sequence[Pair], seed: int) -> None:
        """Give each made patch noise of its own, and what storing it does to that."""
        made = [k for k, pair in enumerate(pairs) if not pair.is_real]
        if not (made and self.degradation.is_random):
            return
        generator = torch.Generator(self.device).manual_seed(seed)
        lr[made] = corrupt(lr[made], self.degradation, generator)
        for k in made:
            grey_or_all = lr[k, : len(pairs[k].hr)]
            lr[k] = _stored(grey_or_all, pairs[k].hr.dtype, pairs[k].limits)

    def _cut(
        self, scale: int, place: tuple[int, Window], corner: NDArray, form: int
    ) -> tuple[Tensor, Tensor]:
        """One patch of both sides, flipped and turned, on 0-1."""
        index, (y0, y1, x0, x1) = place
        y = y0 + int(corner[0] * max(1, y1 - y0 - self.patch + 1))
        x = x0 + int(corner[1] * max(1, x1 - x0 - self.patch + 1))
        hr, lows = self._placed[index]
        limits = self.pairs[index].limits
        ends = min(y + self.patch, y1), min(x + self.patch, x1)
        low = lows[scale][:, y : ends[0], x : ends[1]]
        high = hr[:, y * scale : ends[0] * scale, x * scale : ends[1] * scale]
        return (
            self._finished(_unit(low, limits), self.patch, form),
            self._finished(_unit(high, limits), self.patch * scale, form),
        )

    def _finished(self, image: Tensor, side: int, form: int) -> Tensor:
        """As large as a patch, in the colours that the others have, and turned."""
        return _turned(_filled(image, side), form).expand(self._colours, -1, -1)


def _as_taken(plane: NDArray, device: torch.device) -> NDArray:
    """In its own type, but on Metal, which has not all of them."""
    if device.type != "mps" or takes(device, plane.dtype):
        return plane
    return plane.astype(np.float32, copy=False)


def _side(area: Window) -> int:
    return min(area[1] - area[0], area[3] - area[2])


def _positions(area: Window, patch: int) -> int:
    y0, y1, x0, x1 = area
    return max(1, y1 - y0 - patch + 1) * max(1, x1 - x0 - patch + 1)


def _unit(values: Tensor, limits: Range) -> Tensor:
    """As `napari_edsr.intensities.to_unit`, on the device."""
    low, high = limits
    is_wide = values.dtype.itemsize > 2 and values.dtype != torch.float32
    exact = values.double() if is_wide else values.float()
    return ((exact - low) / (high - low)).float()


def _stored(values: Tensor, dtype: np.dtype, limits: Range) -> Tensor:
    """What is left of 0-1 intensities in a file of integers: whole, and within its range."""
    if dtype.kind not in "iu":
        return values
    low, high = limits
    info = np.iinfo(dtype)
    whole = (values * (high - low) + low).round()
    return (whole.clamp(float(info.min), float(info.max)) - low) / (high - low)


def _filled(image: Tensor, side: int) -> Tensor:
    """Continued to a square by mirroring at the lower and right edges, as often as needed."""
    for axis in (1, 2):
        while image.shape[axis] < side:
            image = torch.cat([image, image.flip(axis)], axis)
        image = image.narrow(axis, 0, side)
    return image


def _turned(image: Tensor, form: int) -> Tensor:
    flips = [axis for bit, axis in ((1, 1), (2, 2)) if form & bit]
    turned = image.transpose(1, 2) if form & 4 else image
    return turned.flip(flips)
