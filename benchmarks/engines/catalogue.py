"""The engines by name, and where each comes from; imports none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.engines.engine import Engine, Job

OURS = "napari-edsr"
OURS_FAST = "napari-edsr, mnn"
EAGER = "EDSR-PyTorch"
CHOP = "EDSR-PyTorch, chop"
#: What the others' figures are a share of: a product of matrices in torch.
PEAK = "matrix product"
#: The type is its own choice, as it is OURS's; where that is fp32 it is there twice.
OPENVINO = "OpenVINO, default"
IN_FP32 = "computed in f32"


@dataclass(frozen=True)
class Entry:
    """An engine that may be measured.

    Parameters
    ----------
    home : str
        ``module:function`` below `benchmarks.engines` that makes it for a job.
    package : str
        The distribution whose version counts.
    files : mapping of str to str
        Suffix of a file that it needs, and the function that writes it.
    devices : tuple of str
    same_network : bool
        Whether it runs in torch as EDSR-PyTorch does, and differs in little but its home.
    """

    home: str
    package: str = "torch"
    files: tuple[tuple[str, str], ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    same_network: bool = False

    def make(self, job: Job) -> Engine:
        """Make it ready."""
        return _function(self.home)(job)

    def missing(self, job: Job) -> list[str]:
        """Makers of the files it needs that are not there yet."""
        return [home for suffix, home in self.files if not job.file(suffix).exists()]

    def prepare(self, job: Job) -> None:
        """Write the files it needs."""
        for home in self.missing(job):
            _function(home)(job)


def _function(home: str) -> Callable[[Job], Engine]:
    module, name = home.split(":")
    return getattr(importlib.import_module(f"benchmarks.engines.{module}"), name)


_ANY = ("cpu", "cuda")
_ONNX = ((".onnx", "converted:to_onnx"),)
_MNN = ((".mnn", "converted:to_mnn"),)
_NCNN = ((".param", "converted:to_ncnn"),)

ENGINES = {
    OURS: Entry("in_torch:ours", "napari-edsr", devices=_ANY),
    OURS_FAST: Entry("in_torch:ours_mnn", "MNN"),
    # On a CPU that is the default.
    "napari-edsr, fp32": Entry("in_torch:ours_fp32", "napari-edsr", devices=("cuda",)),
    EAGER: Entry("in_torch:original", devices=_ANY),
    CHOP: Entry("in_torch:original_chopped", devices=_ANY),
    "EDSR-PyTorch, half": Entry("in_torch:original_half", devices=("cuda",)),
    "EDSR-PyTorch, channels_last": Entry(
        "in_torch:original_channels_last", devices=_ANY, same_network=True
    ),
    "mmagic, BasicSR": Entry("in_torch:broadcast", devices=_ANY, same_network=True),
    "torchsr": Entry("in_torch:torchsr", "torchsr", devices=_ANY, same_network=True),
    "super-image": Entry(
        "in_torch:super_image", "super-image", devices=_ANY, same_network=True
    ),
    "OpenCV dnn": Entry("converted:opencv", "opencv-python-headless", _ONNX),
    "ONNX Runtime": Entry("converted:onnxruntime", "onnxruntime", _ONNX),
    "OpenVINO, fp32": Entry("converted:openvino_fp32", "openvino", _ONNX),
    OPENVINO: Entry("converted:openvino", "openvino", _ONNX),
    "ncnn": Entry("converted:ncnn", "ncnn", _NCNN),
    "MNN": Entry("converted:mnn", "MNN", _MNN),
}
