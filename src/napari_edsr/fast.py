"""The network in MNN, an engine of others: quicker on many CPUs, and not quite exact.

MNN multiplies less by Winograd's algorithm, whose rounding shows in the third decimal
of a grey level. So it runs only where it was asked for, with its error measured.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_edsr import cache
from napari_edsr.atomic import replacing
from napari_edsr.errors import DeviceError, FileError
from napari_edsr.folding import RADIUS, fold
from napari_edsr.model import EDSR, MDSR, as_colors, like_given, weights_key
from napari_edsr.onnx_export import Graph, onnx_model
from napari_edsr.streaming import FoldedTail

NAME = "mnn"
_OUTPUTS = ("sr", "top", "bottom", "left", "right")
#: In a process of its own, which may write to the terminal and crash. The converter's
#: own command line would install packages and report to its makers; this does not.
_CONVERT = (
    "import sys, _tools; _tools.mnnconvert(['mnnconvert', '-f', 'ONNX', '--modelFile', "
    "sys.argv[1], '--MNNModel', sys.argv[2], '--bizCode', 'napari-edsr'])"
)
_INSTALL = "pip install 'napari-edsr[fast]'"


class FastNetwork:
    """A network for one scale, run by MNN.

    Parameters
    ----------
    model : EDSR or MDSR
        Copied, never changed.
    scale : int
        One of the network's.

    Raises
    ------
    DeviceError
        If MNN is missing, or cannot take the network.
    """

    def __init__(self, model: EDSR | MDSR, scale: int) -> None:
        self._network = copy.deepcopy(model).cpu().float()
        self._tail = FoldedTail(self._network, scale)
        self._lock = threading.Lock()
        path = _converted(self._network, scale)
        mnn, self._expr = _mnn()
        self._module = _load(mnn, path)

    @staticmethod
    def takes(x: Tensor) -> bool:
        """Whether an image is large enough: its edges must not be all of it."""
        return min(x.shape[2:]) > RADIUS

    def __call__(self, x: Tensor) -> Tensor:
        """Upscale one image, (1, C, H, W), 0 black and 1 white; C as in the network, or 1.

        Raises
        ------
        DeviceError
            If MNN fails.
        """
        wide = as_colors(x, self._network.config.n_colors)
        folded, *strips = self._run(wide.contiguous().numpy())
        y = functional.pixel_shuffle(folded, self._tail.scale)
        self._tail.mend(y, *strips)
        return like_given(self._network.leave(y, x.dtype), x)

    def _run(self, image: np.ndarray) -> list[Tensor]:
        expr = self._expr
        try:
            with self._lock:
                given = expr.const(image, list(image.shape), expr.NCHW)
                found = self._module.forward([given])
                arrays = [np.array(expr.convert(y, expr.NCHW).read()) for y in found]
        except (RuntimeError, TypeError, ValueError) as error:
            raise DeviceError(f"MNN failed ({error}).") from error
        if len(arrays) != len(_OUTPUTS) or not arrays[0].size:
            raise DeviceError("MNN gave no result.")
        return [torch.from_numpy(array) for array in arrays]


def is_installed() -> bool:
    """Whether MNN and what it takes to hand it a network are there."""
    try:
        importlib.metadata.version("MNN")
        importlib.metadata.version("onnx")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class _FoldedGraph(Graph):
    """Everything but the edges, for which it gives the features that they depend on."""

    def network(self, model: EDSR | MDSR, scale: int) -> list[str]:
        x = self.features(model, scale)
        layers = nn.Sequential(model.upsampler(scale), model.conv_last)
        weight, bias = fold(layers, model.config.n_feats, scale)
        folded = self.convolve(x, weight.numpy(), bias.numpy())
        first, last = (0, RADIUS + 1), (-RADIUS - 1, 2**31 - 1)
        strips = [self.cut(x, *span, axis) for axis in (2, 3) for span in (first, last)]
        return [folded, *strips]


def _converted(model: EDSR | MDSR, scale: int) -> Path:
    """The network as a file of MNN's, made once."""
    if not is_installed():
        raise DeviceError(f"MNN is not installed ({_INSTALL}).")
    version = importlib.metadata.version("MNN")
    path = cache.folder() / NAME / f"{weights_key(model)}-x{scale}-{version}.mnn"
    if not path.is_file():
        content = onnx_model(model, scale, _FoldedGraph, _OUTPUTS).SerializeToString()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                _convert(content, partial)
        except (FileError, OSError) as error:
            raise DeviceError(f"MNN cannot take this network: {error}") from error
    return path


def _convert(content: bytes, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(content)
        command = [sys.executable, "-c", _CONVERT, str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not target.is_file():
        words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise DeviceError(f"MNN cannot take this network: {words[-1]}")


def _load(mnn: Any, path: Path) -> Any:
    settings = {
        "backend": "CPU",
        "numThread": torch.get_num_threads(),
        "precision": "high",
    }
    with _silent():
        runtime = mnn.create_runtime_manager((settings,))
        return mnn.load_module_from_file(
            str(path), ["lr"], list(_OUTPUTS), runtime_manager=runtime
        )


def _mnn() -> tuple[Any, Any]:
    try:
        with _silent():
            import MNN.expr
            import MNN.nn
    except ImportError as error:
        raise DeviceError(f"MNN cannot be imported ({error}); {_INSTALL}.") from error
    return MNN.nn, MNN.expr


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep off the standard output what MNN writes to it past Python."""
    if sys.stdout is not None:  # as it is in a program without a terminal
        sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        _flush_c()  # or it would come out later
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _flush_c() -> None:
    """Write out what C's own standard output still holds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("ucrtbase" if os.name == "nt" else None).fflush(None)
