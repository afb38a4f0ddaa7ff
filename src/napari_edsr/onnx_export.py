"""A network as an ONNX graph, for other programs and other engines."""

from __future__ import annotations

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


def onnx_model(model: EDSR | MDSR, scale: int) -> onnx.ModelProto:
    """The graph of a network for one scale, see `save_onnx`."""
    helper = _onnx().helper
    graph = _Graph()
    graph.network(model, scale)
    colors = model.config.n_colors
    ends = (
        [helper.make_tensor_value_info(name, _onnx().TensorProto.FLOAT, shape)]
        for name, shape in (
            ("lr", ["batch", colors, "height", "width"]),
            ("sr", ["batch", colors, "height_sr", "width_sr"]),
        )
    )
    made = helper.make_model(
        helper.make_graph(graph.nodes, "EDSR", *ends, initializer=graph.weights),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="napari-edsr",
    )
    about = model.provenance
    told = {"licence": about.licence, "credit": about.credit, "source": about.source}
    helper.set_model_props(made, {"name": about.name, "scale": str(scale), **told})
    return made


class _Graph:
    """Nodes and weights, put together in the order in which they run."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def network(self, model: EDSR | MDSR, scale: int) -> None:
        """All of it, from ``lr`` to ``sr``."""
        white = model.config.rgb_range
        x = self.shift("lr", model.sub_mean, into=white)
        x = self.conv(x, model.conv_first)
        for block in model.pre_blocks(scale):
            x = self.block(x, block)
        y = x
        for block in model.body:
            y = self.block(y, block)
        x = self.add("Add", x, self.conv(y, model.conv_after_body))
        for step in model.upsampler(scale):
            x = self.conv(x, step.upsample_conv)
            x = self.add("DepthToSpace", x, blocksize=step.factor, mode="CRD")
        self.shift(self.conv(x, model.conv_last), model.add_mean, out_of=white)
        self.nodes[-1].output[0] = "sr"

    def block(self, x: str, block: nn.Module) -> str:
        """A residual block."""
        assert isinstance(block, ResBlock)
        y = self.add("Relu", self.conv(x, block.conv1))
        return self.add("Add", x, self.conv(y, block.conv2, block.res_scale))

    def conv(self, x: str, conv: nn.Conv2d, factor: float = 1.0) -> str:
        """A convolution, times a factor."""
        assert conv.bias is not None
        weight, bias = (_array(value) * factor for value in (conv.weight, conv.bias))
        return self._conv(x, weight, bias)

    def shift(
        self, x: str, shift: MeanShift, into: float = 1.0, out_of: float = 1.0
    ) -> str:
        """A change of colours, and of the range that they are in."""
        weight = _array(shift.weight) * (into / out_of)
        return self._conv(x, weight, _array(shift.bias) / out_of)

    def _conv(self, x: str, weight: NDArray, bias: NDArray) -> str:
        margin = weight.shape[-1] // 2
        inputs = x, self._constant(weight), self._constant(bias)
        return self.add("Conv", *inputs, pads=[margin] * 4)

    def _constant(self, value: NDArray) -> str:
        name = f"weight_{len(self.weights)}"
        array = value.astype(np.float32)
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
