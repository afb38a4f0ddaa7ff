"""One network on one device in one precision: a tile in, a tile out."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Generator, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_edsr.device import PRECISIONS, exact_fp32
from napari_edsr.errors import ModelError
from napari_edsr.model import EDSR, MDSR, upscale_batch
from napari_edsr.tiling import Box

#: Counts the passes, returns the mean and the spread.
Passes = Generator[int, None, tuple[NDArray[np.float32], NDArray[np.float32]]]
#: The eight symmetries of the square, as (transpose, axes to flip).
_SYMMETRIES = [
    (turn, flips) for turn in (False, True) for flips in ((), (2,), (3,), (2, 3))
]


class Engine:
    """Runs a network on tiles.

    Parameters
    ----------
    model : EDSR or MDSR
        Copied, never changed.
    scale : int
        Integer factor, one of the model's.
    device : torch.device
    precision : str
        ``"fp32"`` (TF32 off), ``"fp16"`` or ``"bf16"``, of the convolutions.
    self_ensemble : bool
        Average the eight flips and turns of each tile (the paper's "+" models).

    Attributes
    ----------
    model : EDSR or MDSR
        As it was given.
    redone : int
        Tiles that came out non-finite in half precision and were redone in fp32.
    """

    def __init__(
        self,
        model: EDSR | MDSR,
        scale: int,
        device: torch.device,
        precision: str,
        *,
        self_ensemble: bool = False,
    ) -> None:
        self.config = model.config
        self.scale = scale
        self.device = device
        self.precision = precision
        self.ensemble = self_ensemble
        self._symmetries = _SYMMETRIES if self_ensemble else _SYMMETRIES[:1]
        self.redone = 0
        self.model = model
        self._networks: dict[str, EDSR | MDSR] = {}

    @property
    def passes(self) -> int:
        """How often the network goes over a tile."""
        return len(self._symmetries)

    def flop(self, shape: tuple[int, int]) -> float:
        """Operations on a tile of so many rows and columns."""
        rows, columns = shape
        return rows * columns * self.config.flops(self.scale) * self.passes

    @torch.inference_mode()
    def iter_run(self, tile: NDArray[np.float32], crop: Box) -> Passes:
        """Upscale one tile.

        Parameters
        ----------
        tile : ndarray of float32, (C, H, W)
            Intensities, 0-1 and beyond; C is 1 or the model's number of colours. A grey
            tile goes into a colour model as equal colours, and their mean comes out.
        crop : (slice, slice)
            The rows and columns of the upscaled tile to return.

        Yields
        ------
        int
            Passes done, after each but the last.

        Returns
        -------
        mean, spread : ndarray of float32, (C, h, w) and (h, w)
            The result, and the standard deviation of the ensemble over the colours (root
            mean square); zero without an ensemble.

        Raises
        ------
        ModelError
            If the network gives non-finite values even in fp32.
        """
        x = torch.from_numpy(np.ascontiguousarray(tile))[None].to(self.device)
        mean = total = None
        for count, y in enumerate(self._outputs(x), start=1):
            y = y[0, :, *crop]
            if mean is None or total is None:
                mean, total = y.clone(), torch.zeros_like(y)
            else:
                step = y - mean  # Welford's update: one pass, no eight copies
                mean += step / count
                total += step * (y - mean)
            if count < self.passes:
                yield count
        assert mean is not None and total is not None
        spread = (total / len(self._symmetries)).mean(0).sqrt()
        return mean.cpu().numpy(), spread.cpu().numpy()

    def _outputs(self, x: Tensor) -> Iterator[Tensor]:
        for turn, flips in self._symmetries:
            turned = x.transpose(2, 3) if turn else x
            y = self._checked(turned.flip(flips)).flip(flips)
            yield y.transpose(2, 3) if turn else y

    def _checked(self, x: Tensor) -> Tensor:
        """Run in the precision chosen, and in fp32 where that overflows."""
        y = self._forward(x, self.precision)
        if not torch.isfinite(y).all() and self.precision != "fp32":
            self.redone += 1
            y = self._forward(x, "fp32")
        if not torch.isfinite(y).all():
            raise ModelError(
                "The network gave values that are not finite; choose "
                "normalize='percentile', or check the model's res_scale and weights."
            )
        return y

    def _forward(self, x: Tensor, precision: str) -> Tensor:
        exact = precision == "fp32"
        with exact_fp32(self.device) if exact else contextlib.nullcontext():
            return upscale_batch(self._network(precision), x, self.scale)

    def _network(self, precision: str) -> EDSR | MDSR:
        if precision not in self._networks:
            network = copy.deepcopy(self.model).eval().to(self.device, torch.float32)
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for module in network.modules():  # the colour shifts around them stay fp32
                if isinstance(module, nn.Conv2d):
                    module.to(PRECISIONS[precision])
            self._networks[precision] = network
        return self._networks[precision]
