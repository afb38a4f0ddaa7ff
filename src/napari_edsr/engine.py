"""One network on one device in one precision: rows of an image in, rows of the result out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_edsr import fast as mnn
from napari_edsr.device import PRECISIONS, exact_fp32
from napari_edsr.errors import DeviceError, ModelError
from napari_edsr.fast import FastNetwork
from napari_edsr.model import EDSR, MDSR
from napari_edsr.plan import band_height
from napari_edsr.streaming import RowStream, StreamedNetwork
from napari_edsr.tiling import Band, Box, area

#: Counts the passes, returns the mean and the spread.
Passes = Generator[int, None, tuple[NDArray[np.float32], NDArray[np.float32]]]
Read = Callable[[Box], NDArray[np.float32]]
Rows = Iterator[NDArray[np.float32]]
#: The eight symmetries of the square, as (transpose, axes to flip).
_SYMMETRIES = [
    (turn, flips) for turn in (False, True) for flips in ((), (2,), (3,), (2, 3))
]
_NOTHING = np.zeros((1, 0, 0), np.float32)


class Engine:
    """Runs a network on parts of an image.

    Parameters
    ----------
    model : EDSR or MDSR
        Copied, never changed.
    scale : int
        Integer factor, one of the model's.
    device : torch.device
    precision : str
        ``"fp32"`` (TF32 off), or ``"fp16"`` or ``"bf16"`` in the body's convolutions.
    self_ensemble : bool
        Average the eight flips and turns of each tile (the paper's "+" models).
    networks : dict, optional
        What earlier engines of this model and device made of it; added to.
    fast : FastNetwork, optional
        What runs whole tiles instead, until it fails.

    Attributes
    ----------
    model : EDSR or MDSR
        As it was given.
    redone : int
        Tiles that came out non-finite in half precision and were redone in fp32.
    notes : list of str
        What went otherwise than asked for.
    """

    def __init__(
        self,
        model: EDSR | MDSR,
        scale: int,
        device: torch.device,
        precision: str,
        *,
        self_ensemble: bool = False,
        networks: dict[tuple[int, str], StreamedNetwork] | None = None,
        fast: FastNetwork | None = None,
    ) -> None:
        self.config = model.config
        self.scale = scale
        self.device = device
        self.precision = precision
        self.ensemble = self_ensemble
        self._symmetries = _SYMMETRIES if self_ensemble else _SYMMETRIES[:1]
        self.redone = 0
        self.notes: list[str] = []
        self.model = model
        self._fast = fast
        self._networks = {} if networks is None else networks

    @property
    def name(self) -> str:
        """The device, as `napari_edsr.upscale` takes it."""
        return str(self.device) if self._fast is None else mnn.NAME

    @property
    def passes(self) -> int:
        """How often the network goes over a tile."""
        return len(self._symmetries)

    def flop(self, box: Box) -> float:
        """Operations on so many rows and columns."""
        return area(box) * self.config.folded_flops(self.scale) * self.passes

    def close(self) -> None:
        """Let go of the networks; what is kept elsewhere stays there."""
        self._networks = {}

    @torch.inference_mode()
    def iter_rows(self, read: Read, bands: Sequence[Band]) -> Rows:
        """Run bands, from top to bottom, once.

        Parameters
        ----------
        read : callable
            Gives the intensities of a box as float32, (C, H, W), see `iter_run`.
        bands : sequence of Band

        Yields
        ------
        ndarray of float32, (C, h, w)
            The upscaled tile of each band; nothing of a band without.

        Raises
        ------
        ModelError
            If the network gives non-finite values even in fp32.
        """
        precision = self.precision
        stream = self._stream(precision)
        for number, band in enumerate(bands):
            y = self._push(stream, precision, read(band.source), band.last)
            if not _is_finite(y) and precision != "fp32":
                precision, stream = "fp32", self._stream("fp32")
                self.redone += 1
                for again in bands[: number + 1]:
                    y = self._push(stream, precision, read(again.source), again.last)
            if y is None or band.tile is None:
                yield _NOTHING
            else:
                yield _checked(y)[0, :, *band.crop(self.scale)].cpu().numpy()

    @torch.inference_mode()
    def iter_run(self, tile: NDArray[np.float32], crop: Box) -> Passes:
        """Upscale a tile as often as there are symmetries.

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
            y = self._whole(turned.flip(flips)).flip(flips)
            yield y.transpose(2, 3) if turn else y

    def _whole(self, x: Tensor) -> Tensor:
        """Run in the precision chosen, and in fp32 where that overflows."""
        y = self.forward(x, self.precision)
        if not _is_finite(y) and self.precision != "fp32":
            self.redone += 1
            y = self.forward(x, "fp32")
        return _checked(y)

    def forward(self, x: Tensor, precision: str) -> Tensor:
        """Upscale (N, C, H, W) intensities, whatever comes of it; N is 1 on a CPU."""
        if self._fast is not None and self._fast.takes(x):
            try:
                return self._fast(x)
            except DeviceError as error:
                self._fast = None
                self.notes.append(f"{error} The CPU went on without it, exactly.")
        on_cpu = self.device.type == "cpu"
        height = band_height(x.shape[3]) if on_cpu else x.shape[2]
        stream = self._stream(precision)
        *first, last = torch.split(x, height, 2)
        with exact_fp32(self.device):
            done = [stream.push(rows) for rows in first]
            done.append(stream.push(last, last=True))
        return torch.cat([y for y in done if y is not None], 2)

    def _push(
        self,
        stream: RowStream,
        precision: str,
        rows: NDArray[np.float32],
        last: bool,
    ) -> Tensor | None:
        x = torch.from_numpy(rows)[None].to(self.device)
        with exact_fp32(self.device):
            return stream.push(x, last=last)

    def _stream(self, precision: str) -> RowStream:
        key = self.scale, precision
        if key not in self._networks:
            network = copy.deepcopy(self.model).eval().to(self.device, torch.float32)
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._networks[key] = StreamedNetwork(
                network, self.scale, PRECISIONS[precision]
            )
        return self._networks[key].stream()


def _is_finite(y: Tensor | None) -> bool:
    return y is None or bool(torch.isfinite(y).all())


def _checked(y: Tensor) -> Tensor:
    if not _is_finite(y):
        raise not_finite()
    return y


def not_finite() -> ModelError:
    """What is to be said of a network that gives no numbers."""
    return ModelError(
        "The network gave values that are not finite; choose "
        "normalize='percentile', or check the model's res_scale and weights."
    )
