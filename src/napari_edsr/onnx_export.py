"""A network as an ONNX graph, for other programs and other engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_edsr.atomic import replacing
from napari_edsr.errors import ModelError
from napari_edsr.model import EDSR, MDSR, MeanShift, ResBlock

if TYPE_CHECKING:
    import onnx

#: Old enough for every engine in use; of what the networks need nothing is newer.
_OPSET, _IR_VERSION = 13, 8


def save_onnx(model: EDSR | MDSR, path: str | Path, scale: int) -> Path:
    """Write a network as an ONNX file, for images of any height and width.

    Its input ``lr`` is (N, C, H, W) float32, 0 black and 1 white; its output ``sr`` is
    (N, C, scale*H, scale*W), not clipped. Name, licence, credit and scale are in the
    file's metadata.

    Parameters
    ----------
    model : EDSR or MDSR
    path : str or Path
        Replaced if it exists.
    scale : int
        One of the network's.

    Raises
    ------
    ModelError
        If the package onnx is missing.
    FileError
        If the file cannot be written.
    """
    content = onnx_model(model, scale).SerializeToString()
    with replacing(Path(path)) as partial:
        partial.write_bytes(content)
    return Path(path)


def onnx_model(
    model: EDSR | MDSR,
    scale: int,
    make_graph: type[Graph] | None = None,
    outputs: Sequence[str] = ("sr",),
) -> onnx.ModelProto:
    """The graph of a network for one scale, see `save_onnx`.

    Parameters
    ----------
    model : EDSR or MDSR
    scale : int
    make_graph : type, optional
        What puts the nodes together.
    outputs : sequence of str
        Names for what its `network` gives.
    """
    helper, float32 = _onnx().helper, _onnx().TensorProto.FLOAT
    graph = (make_graph or Graph)()
    graph.rename(graph.network(model, scale), outputs)
    sides = ["batch", model.config.n_colors, "height", "width"]
    made = helper.make_graph(
        graph.nodes,
        "EDSR",
        [helper.make_tensor_value_info("lr", float32, sides)],
        [
            helper.make_tensor_value_info(
                name, float32, [f"{name}_{a}" for a in "nchw"]
            )
            for name in outputs
        ],
        initializer=graph.weights,
    )
    whole = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="napari-edsr",
    )
    about = model.provenance
    told = {"licence": about.licence, "credit": about.credit, "source": about.source}
    helper.set_model_props(whole, {"name": about.name, "scale": str(scale), **told})
    return whole


class Graph:
    """Nodes and weights, put together in the order in which they run."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def network(self, model: EDSR | MDSR, scale: int) -> list[str]:
        """All of it, from ``lr``; the names of its outputs."""
        x = self.features(model, scale)
        for step in model.upsampler(scale):
            x = self.conv(x, step.upsample_conv)
            x = self.add("DepthToSpace", x, blocksize=step.factor, mode="CRD")
        x = self.conv(x, model.conv_last)
        return [self.shift(x, model.add_mean, out_of=model.config.rgb_range)]

    def features(self, model: EDSR | MDSR, scale: int) -> str:
        """From ``lr`` to what goes into the upsampler."""
        x = self.shift("lr", model.sub_mean, into=model.config.rgb_range)
        x = self.conv(x, model.conv_first)
        for block in model.pre_blocks(scale):
            x = self.block(x, block)
        y = x
        for block in model.body:
            y = self.block(y, block)
        return self.add("Add", x, self.conv(y, model.conv_after_body))

    def rename(self, outputs: Sequence[str], names: Sequence[str]) -> None:
        """Give the outputs of nodes other names."""
        known = dict(zip(outputs, names, strict=True))
        for node in self.nodes:
            for ends in (node.input, node.output):
                ends[:] = [known.get(end, end) for end in ends]

    def block(self, x: str, block: nn.Module) -> str:
        """A residual block."""
        assert isinstance(block, ResBlock)
        y = self.add("Relu", self.conv(x, block.conv1))
        return self.add("Add", x, self.conv(y, block.conv2, block.res_scale))

    def conv(self, x: str, conv: nn.Conv2d, factor: float = 1.0) -> str:
        """A convolution, times a factor."""
        assert conv.bias is not None
        weight, bias = (_array(value) * factor for value in (conv.weight, conv.bias))
        return self.convolve(x, weight, bias)

    def shift(
        self, x: str, shift: MeanShift, into: float = 1.0, out_of: float = 1.0
    ) -> str:
        """A change of colours, and of the range that they are in."""
        weight = _array(shift.weight) * (into / out_of)
        return self.convolve(x, weight, _array(shift.bias) / out_of)

    def convolve(self, x: str, weight: NDArray, bias: NDArray) -> str:
        """A convolution with weights of any origin."""
        margin = weight.shape[-1] // 2
        kinds = (value.astype(np.float32) for value in (weight, bias))
        inputs = x, *(self._constant(value) for value in kinds)
        return self.add("Conv", *inputs, pads=[margin] * 4)

    def cut(self, x: str, start: int, stop: int, axis: int) -> str:
        """A part along an axis."""
        span = (self._constant(np.array([n], np.int64)) for n in (start, stop, axis))
        return self.add("Slice", x, *span)

    def _constant(self, array: NDArray) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(_onnx().numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node; its output's name."""
        output = f"{op.lower()}_{len(self.nodes)}"
        node = _onnx().helper.make_node(op, inputs, [output], **attributes)
        self.nodes.append(node)
        return output


def _array(value: Any) -> NDArray:
    return value.detach().double().cpu().numpy()


def _onnx() -> Any:
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ModelError(
            "ONNX files need the package onnx: pip install 'napari-edsr[fast]'."
        ) from error
    return onnx
