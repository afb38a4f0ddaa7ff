"""The engines that run a network converted for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.engines import problem
from benchmarks.engines.engine import Engine, Job, NotMeasured, of_planes
from benchmarks.engines.in_torch import original_network
from benchmarks.engines.ncnn_files import ncnn_files

Array = NDArray[np.float32]


def to_onnx(job: Job) -> None:
    """Write EDSR-PyTorch's network as ONNX with free height and width."""
    free = {"x": {2: "height", 3: "width"}, "y": {2: "rows", 3: "columns"}}
    with warnings.catch_warnings():  # the other exporter needs one more package
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            original_network(job),
            (torch.rand(1, 3, 48, 40),),
            job.file(".onnx"),
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )


def to_mnn(job: Job) -> None:
    """Convert for MNN.

    Not by its ``mnnconvert``, which installs a package and reports what it did.
    """
    import MNN  # noqa: F401  # before _tools, which needs its libraries
    from _tools import mnnconvert

    if not job.file(".onnx").exists():
        to_onnx(job)
    words = ["-f", "ONNX", "--modelFile", job.file(".onnx"), "--bizCode", "none"]
    mnnconvert(["mnnconvert", *map(str, words), "--MNNModel", str(job.file(".mnn"))])


def to_ncnn(job: Job) -> None:
    """Write the network in ncnn's format."""
    param, weights = ncnn_files(problem.trained(job.scale))
    job.file(".bin").write_bytes(weights)
    job.file(".param").write_text(param)


def onnxruntime(job: Job) -> Engine:
    """ONNX Runtime on the CPU, as it is set by default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    session = onnxruntime.InferenceSession(
        job.file(".onnx"), options, providers=["CPUExecutionProvider"]
    )
    return _of_arrays(lambda x: session.run(None, {"x": x})[0])


def opencv(job: Job) -> Engine:
    """OpenCV's dnn module."""
    import cv2

    cv2.setNumThreads(job.threads)
    network = cv2.dnn.readNetFromONNX(str(job.file(".onnx")))

    def forward(x: Array) -> Array:
        network.setInput(x)
        return network.forward()

    return _of_arrays(forward)


def openvino(job: Job, **settings: str) -> Engine:
    """OpenVINO, with the size fixed beforehand; its type is its own choice."""
    from openvino import Core

    core = Core()
    network = core.read_model(job.file(".onnx"))
    network.reshape([1, 3, job.side, job.side])
    settings = {"INFERENCE_NUM_THREADS": job.threads, **settings}
    compiled = core.compile_model(network, "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return _of_arrays(lambda x: compiled([x])[0], f"computed in {used}")


def openvino_fp32(job: Job) -> Engine:
    """OpenVINO, asked for fp32."""
    return openvino(job, INFERENCE_PRECISION_HINT="f32")


def mnn(job: Job) -> Engine:
    """MNN in fp32."""
    import MNN

    layout = MNN.expr.NCHW
    settings = {"precision": "high", "backend": "CPU", "numThread": job.threads}
    runtime = MNN.nn.create_runtime_manager((settings,))
    network = MNN.nn.load_module_from_file(
        str(job.file(".mnn")), ["x"], ["y"], runtime_manager=runtime
    )

    def forward(x: Array) -> Array:
        y = network.forward(MNN.expr.const(x, x.shape, layout))
        return np.array(MNN.expr.convert(y, layout).read())

    return _of_arrays(forward)


def ncnn(job: Job) -> Engine:
    """Tencent's ncnn in fp32."""
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = job.threads
    for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{half}", False)
    network.load_param(str(job.file(".param")))
    network.load_model(str(job.file(".bin")))

    def forward(x: Array) -> Array:
        extractor = network.create_extractor()
        extractor.input("x", ncnn.Mat(x[0]))
        status, y = extractor.extract("y")
        if status:
            raise NotMeasured(f"ncnn's extract gave the status {status}.")
        return np.array(y)[None]

    return _of_arrays(forward)


def _of_arrays(forward: Callable[[Array], Array], note: str = "") -> Engine:
    return of_planes(lambda x: torch.from_numpy(forward(x.numpy())), note=note)
