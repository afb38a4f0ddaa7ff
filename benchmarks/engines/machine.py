"""What the figures depend on besides the code."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

_CPU_INFO = Path("/proc/cpuinfo")


def describe(device: str, threads: int) -> dict[str, Any]:
    """The machine and what is the same for all engines."""
    return {
        "cpu": _cpu(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": psutil.cpu_count(logical=False),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": _device(device),
        "threads": threads,
    }


def version_of(package: str) -> str:
    """Version of a distribution; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    """Its name with family and model, as rented machines hide the name proper."""
    if not _CPU_INFO.exists():
        return platform.processor()
    pairs = [line.partition(":") for line in _CPU_INFO.read_text().splitlines()]
    first = {key.strip(): value.strip() for key, _, value in reversed(pairs)}
    name = first.get("model name", platform.processor())
    numbers = ", ".join(
        f"{key.removeprefix('cpu ')} {first[key]}"
        for key in ("cpu family", "model")
        if key in first
    )
    return f"{name} ({numbers})" if numbers else name


def _device(device: str) -> str:
    return device if device == "cpu" else torch.cuda.get_device_name(device)
