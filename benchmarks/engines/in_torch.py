"""The engines that run in torch: ours, and others' networks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import MagicMock

import torch
from torch import nn

from benchmarks.engines import problem
from benchmarks.engines.engine import Engine, Job, of_planes
from benchmarks.engines.networks import (
    Broadcast,
    Network,
    Original,
    chopped,
    copy_weights,
    weights_of,
)
from napari_edsr import drain, iter_upscale


def ours(job: Job, **options: str) -> Engine:
    """`napari_edsr.upscale` as it is called without any settings."""
    model = problem.trained(job.scale)
    result = drain(iter_upscale(problem.picture(8), model, device=job.device))
    precision = options.get("precision", result.metadata["precision"])
    fixed = {"device": job.device, **options}

    def levels(image: problem.Pixels) -> problem.Pixels:
        exact = {**fixed, "precision": precision, "axes": "YXS", "normalize": (0, 255)}
        return drain(iter_upscale(image.astype("f4"), model, **exact)).image

    return Engine(
        lambda image: drain(iter_upscale(image, model, **fixed)).image,
        levels,
        "" if precision == "fp32" else precision,
    )


def ours_mnn(job: Job) -> Engine:
    """`napari_edsr.upscale` with ``device="mnn"``."""
    return ours(job, device="mnn")


def ours_fp32(job: Job) -> Engine:
    """`napari_edsr.upscale`, told to be exact."""
    return ours(job, precision="fp32")


def original(job: Job) -> Engine:
    """EDSR-PyTorch's network on the whole picture."""
    return of_planes(_inferring(original_network(job)), job.device)


def original_chopped(job: Job) -> Engine:
    """EDSR-PyTorch's network with its ``--chop``."""
    network = _inferring(original_network(job))
    return of_planes(chopped(network, job.scale), job.device)


def original_half(job: Job) -> Engine:
    """EDSR-PyTorch's network with its ``--precision half``."""
    network = _inferring(original_network(job).half())
    return of_planes(lambda x: network(x.half()), job.device)


def original_channels_last(job: Job) -> Engine:
    """EDSR-PyTorch's network in the layout that torch recommends."""
    last = torch.channels_last
    network = _inferring(original_network(job).to(memory_format=last))
    return of_planes(lambda x: network(x.contiguous(memory_format=last)), job.device)


def broadcast(job: Job) -> Engine:
    """The network of mmagic and BasicSR, which take colours between 0 and 1."""
    network = _inferring(_filled(Broadcast, job))
    return of_planes(lambda x: network(x / 255) * 255, job.device)


def torchsr(job: Job) -> Engine:
    """The network of the package torchsr."""
    with _without_torchvision():
        from torchsr.models import edsr_baseline
    network = _inferring(_with_weights(edsr_baseline(job.scale), job))
    return of_planes(lambda x: network(x / 255) * 255, job.device)


def super_image(job: Job) -> Engine:
    """The network of the package super-image, which leaves out the mean colour."""
    with _without_torchvision():
        from super_image import EdsrConfig, EdsrModel
    model = _with_weights(EdsrModel(EdsrConfig(scale=job.scale)), job)
    network = _inferring(model)
    shifts = _inferring(model.sub_mean), _inferring(model.add_mean)
    return of_planes(lambda x: shifts[1](network(shifts[0](x))), job.device)


def original_network(job: Job) -> nn.Module:
    """EDSR-PyTorch's network with the weights that all engines share."""
    return _filled(Original, job)


def _filled(kind: type[nn.Module], job: Job) -> nn.Module:
    return _with_weights(kind(problem.trained(job.scale).config), job)


def _with_weights(network: nn.Module, job: Job) -> nn.Module:
    weights = weights_of(problem.trained(job.scale))
    return copy_weights(network, weights).to(job.device)


def _inferring(network: nn.Module) -> Network:
    return torch.inference_mode()(network.__call__)


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Put an empty thing in its place: both packages only read training data with it.

    Its releases follow torch's one by one, and the build of another torch does not load.
    """
    names = ["", ".transforms", ".transforms.functional", ".datasets"]
    stand_ins = {f"torchvision{name}": MagicMock() for name in names}
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
