"""Devices, precision and memory as torch reports them."""

import pytest
import torch

from napari_edsr import device
from napari_edsr.errors import DeviceError

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def two_gpus(monkeypatch):
    """A torch that sees two CUDA devices; nothing is run on them."""
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available=False: CUDA
    )
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)


@pytest.mark.fault("Devices: no GPU", "The CPU is taken.")
def test_without_an_accelerator_auto_is_the_cpu():
    assert device.list_devices() == device.list_choices() == ["cpu"]
    assert device.resolve_device("auto") == CPU


def test_with_accelerators_auto_is_the_first(two_gpus):
    assert device.list_devices() == ["cpu", "cuda:0", "cuda:1"]
    assert device.list_choices() == ["cpu", "cuda:0", "cuda:1", "cuda:0,cuda:1"]
    assert device.resolve_device() == CUDA
    assert device.resolve_device("cuda") == CUDA
    assert device.resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="torch sees: cpu, cuda:0, cuda:1"):
        device.resolve_device("cuda:2")


def test_a_driver_that_does_not_tell_its_memory(monkeypatch):
    def untold(device):
        raise RuntimeError("The device doesn't support querying the available memory")

    monkeypatch.setattr(torch.accelerator, "get_memory_info", untold)
    assert device.free_memory(torch.device("xpu", 0)) > 0


def test_memory_of_metal_is_given_back_by_its_own_function(monkeypatch):
    called = []
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: called.append("mps"))
    for name in ("empty_cache", "empty_host_cache"):
        monkeypatch.setattr(torch.accelerator, name, lambda: called.append("other"))
    device.release_memory(torch.device("mps"))
    device.release_memory(CPU)
    assert called == ["mps"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_recognised(error, expected):
    assert device.is_out_of_memory(error) is expected


def advice(monkeypatch, *, cuda=None, driver=None, platform="linux"):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(device.shutil, "which", lambda name: driver)
    monkeypatch.setattr(device.sys, "platform", platform)
    return device.explain_devices()


@pytest.mark.promise(
    "with the command that would change it where there is one, else with the "
    "page to read"
)
@pytest.mark.fault(
    "Devices: a GPU that torch was not built for",
    "`napari-edsr devices` gives the command that installs the right torch.",
)
def test_a_cpu_build_beside_a_driver_gets_the_command(monkeypatch):
    cpu, gpu = advice(monkeypatch, driver="/usr/bin/nvidia-smi", platform="win32")
    assert (cpu.name, cpu.usable, gpu.usable) == ("cpu", True, False)
    assert "built for the CPU only" in gpu.description
    assert gpu.advice.startswith(
        "pip install --force-reinstall torch --index-url https://"
    )
    _, gpu = advice(monkeypatch, driver="/usr/bin/nvidia-smi", platform="linux")
    assert gpu.advice == "pip install --force-reinstall torch"


@pytest.mark.promise("`napari-edsr devices` says whether a GPU is used, and why not")
@pytest.mark.fault(
    "Devices: GPU hidden by CUDA_VISIBLE_DEVICES, or without a driver",
    "`napari-edsr devices` says which, and what to do.",
)
def test_hidden_and_driverless_gpus_are_told_apart(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert advice(monkeypatch, cuda="12.8")[1].advice == "unset CUDA_VISIBLE_DEVICES"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert (
        "install or update the GPU's driver"
        in advice(monkeypatch, cuda="12.8")[1].advice
    )
    assert advice(monkeypatch)[1].description.startswith("no NVIDIA driver")


def test_speed_is_measured():
    assert 1e8 < device.measure_speed("cpu", seconds=0.05) < 1e14
