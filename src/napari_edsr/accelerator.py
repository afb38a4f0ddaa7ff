"""What an accelerator does beside computing: copies on streams of their own, and graphs.

Nothing else knows of streams and graphs. A device without them does the same one after
the other, as the CPU does in the tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_HAVE_STREAMS = ("cuda", "xpu")
#: Calls of one shape before a graph is recorded, which takes as long as some of them.
_CALLS_BEFORE_A_GRAPH = 3
_Function = Callable[[Tensor], Tensor]


def takes(device: torch.device, dtype: np.dtype) -> bool:
    """Whether a device is sent values of a type as they are, to become floats there."""
    small = dtype.kind in "iu" and dtype.itemsize <= 2
    # Metal does little with unsigned integers of 16 bits.
    return small and not (device.type == "mps" and dtype.newbyteorder("=") == np.uint16)


@dataclass(frozen=True)
class Fetched:
    """Values on their way from a device."""

    _hosts: list[Tensor]
    _arrived: torch.Event | None = None

    def wait(self) -> list[NDArray]:
        """The values, once they are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return [host.numpy() for host in self._hosts]


class Lane:
    """Copies to a device and back, while it computes something else.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        streams = device.type in _HAVE_STREAMS
        self._inward = torch.Stream(device) if streams else None
        self._outward = torch.Stream(device) if streams else None

    def send(self, array: NDArray) -> Tensor:
        """Begin to copy to the device; what is computed from now on waits for it."""
        host = torch.from_numpy(array)
        if self._inward is None:
            return host.to(self.device)
        with self._inward:
            sent = host.pin_memory().to(self.device, non_blocking=True)
        computing = torch.accelerator.current_stream(self.device)
        computing.wait_stream(self._inward)
        sent.record_stream(computing)
        return sent

    def fetch(self, values: Sequence[Tensor]) -> Fetched:
        """Begin to copy to main memory what is computed until now.

        Nothing may be written over `values` before they are there.
        """
        if self._outward is None:
            return Fetched([each.cpu() for each in values])
        self._outward.wait_stream(torch.accelerator.current_stream(self.device))
        with self._outward:
            hosts = [_pinned_like(each) for each in values]
            for host, each in zip(hosts, values, strict=True):
                host.copy_(each, non_blocking=True)
                each.record_stream(self._outward)
            return Fetched(hosts, self._outward.record_event())


def _pinned_like(values: Tensor) -> Tensor:
    return torch.empty(values.shape, dtype=values.dtype, pin_memory=True)


class Recorded:
    """A function of a tensor, on CUDA a graph from its fourth call of a shape on.

    A graph starts all kernels of a network at once. One by one, Python takes as long to
    start those of a small network as a quick device takes to run them.

    Parameters
    ----------
    function : callable
        Of one tensor; it must neither wait for the device nor decide by its values.
    """

    def __init__(self, function: _Function) -> None:
        self._function = function
        self._calls: Counter[torch.Size] = Counter()
        self._graphs: dict[torch.Size, _Function] = {}

    def close(self) -> None:
        """Free the graphs, and the memory in which they compute."""
        self._graphs.clear()

    def __call__(self, x: Tensor) -> Tensor:
        """The function's result, which the next call may overwrite."""
        if x.device.type != "cuda":
            return self._function(x)
        if self._calls[x.shape] == _CALLS_BEFORE_A_GRAPH:
            self._graphs[x.shape] = _record(self._function, x) or self._function
        self._calls[x.shape] += 1
        return self._graphs.get(x.shape, self._function)(x)


def _captured(graph: torch.cuda.CUDAGraph, function: Callable[[], Tensor]) -> Tensor:
    """Call a function and capture what it starts on the current device."""
    before = torch.cuda.current_stream()
    # By default all graphs share a stream of the device that captured the first one.
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    try:
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            return function()
    finally:
        torch.cuda.set_stream(before)  # which a capture that fails leaves undone


def _record(function: _Function, x: Tensor) -> _Function | None:
    """The function as a CUDA graph; None where that fails, memory being short or else."""
    given, graph = torch.empty_like(x), torch.cuda.CUDAGraph()
    try:
        with torch.cuda.device(x.device):
            result = _captured(graph, lambda: function(given))
    except RuntimeError:
        return None

    def replay(x: Tensor) -> Tensor:
        given.copy_(x)
        graph.replay()
        return result

    return replay
