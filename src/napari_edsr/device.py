"""Devices as torch sees them, precision, and what running out of memory looks like."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from napari_edsr import plan
from napari_edsr.errors import DeviceError

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_INSTALL_PAGE = "https://pytorch.org/get-started/locally"
_CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
#: How torch begins to tell of them, where it has no type for them.
_FAILURES = ("CUDA error", "HIP error", "cuDNN error")


@dataclass(frozen=True)
class DeviceReport:
    """One line about a device: what it is, whether it is used, and what would help.

    Attributes
    ----------
    name : str
        As torch names it, e.g. ``"cuda:0"``.
    description : str
    usable : bool
    advice : str
        The command that would make it usable, or where to read of it; empty where it is.
    """

    name: str
    description: str
    usable: bool
    advice: str = ""


def list_devices() -> list[str]:
    """Names of the devices torch can use here, ``"cpu"`` first."""
    kind = _accelerator()
    if kind is None:
        return ["cpu"]
    if kind == "mps":
        return ["cpu", "mps"]
    return ["cpu", *(f"{kind}:{i}" for i in range(torch.accelerator.device_count()))]


def list_choices() -> list[str]:
    """What can be chosen to upscale on: each device, and all accelerators together."""
    devices = list_devices()
    together = [",".join(devices[1:])] if len(devices) > 2 else []
    return devices + together


def _accelerator() -> str | None:
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found is not None else None


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Turn a name into a device that is there.

    Parameters
    ----------
    name : str or torch.device
        ``"auto"`` takes the first accelerator and else the CPU; otherwise as torch
        names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``.

    Raises
    ------
    DeviceError
        If torch does not know the name or cannot use the device.
    """
    usable = list_devices()
    if str(name) == "auto":
        return torch.device(usable[1] if len(usable) > 1 else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(
            f"There is no device {name!r}; choose one of: auto, {', '.join(usable)}."
        ) from error
    if device.index is None and f"{device.type}:0" in usable:
        device = torch.device(device.type, 0)
    if device.type != "cpu" and str(device) not in usable:
        raise DeviceError(
            f"The device {name} is not available (torch sees: {', '.join(usable)}); "
            "`napari-edsr devices` says why."
        )
    return torch.device("cpu") if device.type == "cpu" else device


def resolve_devices(names: str | torch.device = "auto") -> list[torch.device]:
    """Turn names with commas between them into devices that are there.

    Raises
    ------
    DeviceError
        As `resolve_device`; or if there are several and not of one kind of accelerator.
    """
    parts = names.replace(" ", "").split(",") if isinstance(names, str) else [names]
    devices = [resolve_device(part) for part in parts]
    kinds = {device.type for device in devices}
    alike = len(kinds) == 1 and len(set(devices)) == len(devices)
    if len(devices) > 1 and ("cpu" in kinds or not alike):
        raise DeviceError(
            f"The devices {names} cannot share the work; name different accelerators of "
            "one kind, such as 'cuda:0,cuda:1'."
        )
    return devices


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16; without, it takes ten times as long."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return False


def fast_half(device: torch.device) -> str | None:
    """The half precision that may be quicker than fp32, the more exact if there are two."""
    if device.type != "cpu":
        return "fp16"
    return "bf16" if has_fast_bf16(device) else None


def describe(device: torch.device) -> str:
    """What a device computes with, in a line; the same line, the same numbers."""
    if device.type == "cpu":
        return _cpu_description()
    return f"{_gpu_name(device)}, torch {torch.__version__}"


def free_memory(device: torch.device) -> int:
    """Bytes free on a device; on a CPU, or where memory is shared, in main memory."""
    if device.type in ("cpu", "mps"):
        return plan.free_memory()
    try:
        return int(torch.accelerator.get_memory_info(device)[0])
    except RuntimeError:  # not every driver of Intel's tells; it is main memory then
        return plan.free_memory()


def release_memory(device: torch.device) -> None:
    """Give unused cached memory back to the system."""
    if device.type == "mps":  # for which torch's general functions fail or crash
        torch.mps.empty_cache()
    elif device.type != "cpu":
        torch.accelerator.empty_cache()
        if hasattr(torch.accelerator, "empty_host_cache"):  # of later torch
            torch.accelerator.empty_host_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    return any(
        words in text
        for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


@contextlib.contextmanager
def loss_named(devices: torch.device | str) -> Iterator[None]:
    """Turn the failure of a device, which ends its use in this program, into a sentence.

    Parameters
    ----------
    devices : torch.device or str
        At work meanwhile.

    Raises
    ------
    DeviceError
        In place of what torch raises when a GPU is lost or its driver stops it.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        is_loss = isinstance(error, torch.AcceleratorError)
        if not (is_loss or said.startswith(_FAILURES)):
            raise
        raise DeviceError(
            f"The device {devices} failed ({said}); start the program again, or choose "
            "another device, such as cpu."
        ) from error


class _ExactFp32:
    """Torch's settings are the whole process's: the first in sets, the last out resets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[str] = []

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = [b.fp32_precision for b in self._backends()]
                for backend in self._backends():
                    backend.fp32_precision = "ieee"
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for backend, old in zip(self._backends(), self._before, strict=True):
                    backend.fp32_precision = old

    @staticmethod
    def _backends() -> list[Any]:
        return [torch.backends.cudnn.conv, torch.backends.mkldnn.conv]  # type: ignore[attr-defined]


_exact = _ExactFp32()


@contextlib.contextmanager
def exact_fp32(device: torch.device) -> Iterator[None]:
    """Keep TF32, autocast and their like out of fp32 convolutions, only in here."""
    _exact.enter()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        _exact.leave()


def share_cores(n_processes: int) -> None:
    """Compute on this process's share of the cores, where so many share them."""
    torch.set_num_threads(max(1, torch.get_num_threads() // n_processes))


@torch.inference_mode()
def measure_speed(device: torch.device | str, seconds: float = 0.3) -> float:
    """Operations a second of a convolution as the networks have them.

    Parameters
    ----------
    device : torch.device or str
    seconds : float
        How long to measure, after one run to warm up.
    """
    device = resolve_device(device)
    features, side = 32, 128
    conv = torch.nn.Conv2d(features, features, 3, padding=1).to(device)
    x = torch.zeros(1, features, side, side, device=device)
    x = x.to(memory_format=torch.channels_last)
    timings: list[float] = []
    _timed(conv, x)
    while sum(timings) < seconds:
        timings.append(_timed(conv, x))
    return 2 * 9 * features**2 * side**2 / statistics.median(timings)


def _timed(conv: torch.nn.Module, x: torch.Tensor) -> float:
    start = time.perf_counter()
    conv(x)
    if x.device.type != "cpu":
        torch.accelerator.synchronize(x.device)
    return time.perf_counter() - start


def explain_devices() -> list[DeviceReport]:
    """Every device that is here or could be, and why a GPU is not used."""
    reports = [DeviceReport("cpu", _cpu_description(), usable=True)]
    for name in list_devices()[1:]:
        reports.append(DeviceReport(name, _gpu_description(name), usable=True))
    if len(reports) == 1:
        reports.extend(_missing_accelerators())
    return reports


def _cpu_description() -> str:
    threads = torch.get_num_threads()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{threads} threads, {capability}, torch {torch.__version__}"


def _gpu_description(name: str) -> str:
    device = torch.device(name)
    return f"{_gpu_name(device)}, {free_memory(device) / 1e9:.1f} GB free"


def _gpu_name(device: torch.device) -> str:
    module = getattr(torch, device.type)
    known = hasattr(module, "get_device_name")
    return module.get_device_name(device) if known else "GPU"


def _missing_accelerators() -> list[DeviceReport]:
    if torch.version.cuda or torch.version.hip:
        return [_blind_cuda()]
    if _nvidia_driver():
        # The default builds for Linux have CUDA; those for Windows do not.
        index = "" if sys.platform == "linux" else f" --index-url {_CUDA_INDEX}"
        command = f"pip install --force-reinstall torch{index}"
        what = "an NVIDIA driver is installed, but this torch is built for the CPU only"
        return [DeviceReport("cuda", what, usable=False, advice=command)]
    if sys.platform == "darwin":
        what = "this torch cannot use Metal here (it needs an Apple GPU and macOS 14)"
        advice = "pip install --upgrade torch"
        return [DeviceReport("mps", what, usable=False, advice=advice)]
    what = "no NVIDIA driver was found; this torch is built for the CPU only"
    return [DeviceReport("gpu", what, usable=False, advice=f"see {_INSTALL_PAGE}")]


def _blind_cuda() -> DeviceReport:
    built = (
        f"CUDA {torch.version.cuda}"
        if torch.version.cuda
        else f"ROCm {torch.version.hip}"
    )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        what = f"torch has {built}, but CUDA_VISIBLE_DEVICES={hidden!r} hides the GPUs"
        return DeviceReport(
            "cuda", what, usable=False, advice="unset CUDA_VISIBLE_DEVICES"
        )
    what = f"torch has {built}, but no working driver was found"
    advice = "install or update the GPU's driver, then check `nvidia-smi`"
    return DeviceReport("cuda", what, usable=False, advice=advice)


def _nvidia_driver() -> bool:
    """Whether the driver's own tool is installed, as it is wherever the driver is."""
    return shutil.which("nvidia-smi") is not None
