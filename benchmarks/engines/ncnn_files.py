"""A network in ncnn's own format, so that no converter is needed.

A line a layer: type, name, numbers of inputs and outputs, their names, and parameters by
number. The weights follow in the order of the layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from benchmarks.engines.networks import mean_shift, weights_of
from napari_edsr.config import upsampling_steps
from napari_edsr.model import EDSR

_MAGIC = 7767517
_FP32 = b"\0\0\0\0"


@dataclass
class _Graph:
    """Layers so far, and the name of what the last one gives."""

    lines: list[str] = field(default_factory=list)
    weights: list[bytes] = field(default_factory=list)
    blobs: int = 0
    last: str = ""

    def add(self, kind: str, inputs: list[str], parameters: str, outputs: int = 1):
        """Append a layer; gives the names of its outputs."""
        names = [f"b{self.blobs + number}" for number in range(outputs)]
        self.blobs += outputs
        words = [kind, f"l{len(self.lines)}", len(inputs), outputs, *inputs, *names]
        self.lines.append(" ".join(map(str, [*words, parameters])))
        self.last = names[0]
        return names

    def conv(self, weight: Tensor, bias: Tensor, *, relu: bool = False) -> None:
        """Append a convolution of the last output."""
        kernel = weight.shape[-1]
        parameters = (
            f"0={weight.shape[0]} 1={kernel} 4={kernel // 2} 5=1 6={weight.numel()} "
            f"9={int(relu)}"
        )
        self.add("Convolution", [self.last], parameters)
        self.weights += [_FP32, _bytes(weight), _bytes(bias)]

    def split(self) -> str:
        """Let the last output go two ways; gives the name of the other."""
        ahead, aside = self.add("Split", [self.last], "", 2)
        return aside

    def join(self, other: str) -> None:
        """Add another output to the last."""
        self.add("BinaryOp", [self.last, other], "0=0")


def ncnn_files(model: EDSR) -> tuple[str, bytes]:
    """The network as ncnn's text and its weights; input x, output y, both 0 to 255."""
    graph = _Graph()
    graph.add("Input", [], "")
    first, *body, after = _until_upsampler(model)
    graph.conv(*_shift(-1))
    graph.conv(*first)
    skip = graph.split()
    for one, other in zip(body[::2], body[1::2], strict=True):
        aside = graph.split()
        graph.conv(*one, relu=True)
        graph.conv(*other)
        graph.join(aside)
    graph.conv(*after)
    graph.join(skip)
    _tail(graph, model)
    return _text(graph), b"".join(graph.weights)


def _until_upsampler(model: EDSR) -> list[tuple[Tensor, Tensor]]:
    return weights_of(model)[: 2 * model.config.n_resblocks + 2]


def _tail(graph: _Graph, model: EDSR) -> None:
    *steps, last = weights_of(model)[2 * model.config.n_resblocks + 2 :]
    factors = upsampling_steps(model.config.scales[0])
    for pair, factor in zip(steps, factors, strict=True):
        graph.conv(*pair)
        graph.add("PixelShuffle", [graph.last], f"0={factor}")
    graph.conv(*last)
    graph.conv(*_shift(1))


def _text(graph: _Graph) -> str:
    """The layers, with the ends named."""
    lines = [f"{_MAGIC}", f"{len(graph.lines)} {graph.blobs}", *graph.lines]
    text = "\n".join(lines) + "\n"
    ends = {"b0": "x", graph.last: "y"}
    return "\n".join(
        " ".join(ends.get(word, word) for word in line.split(" "))
        for line in text.split("\n")
    )


def _shift(sign: int) -> tuple[Tensor, Tensor]:
    conv = mean_shift(sign)
    return conv.weight.detach(), conv.bias.detach()


def _bytes(values: Tensor) -> bytes:
    return values.to(torch.float32).numpy().astype(np.float32).tobytes()
