"""Peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


def reset(device: str) -> int:
    """Forget the peak so far; gives the bytes held now."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")
    return peak(device)


def peak(device: str) -> int:
    """Most bytes held since."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():
        (line,) = [x for x in _STATUS.read_text().splitlines() if "VmHWM" in x]
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
