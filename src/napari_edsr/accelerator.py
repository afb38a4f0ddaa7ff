"""What an accelerator does beside computing: copies on streams of their own, and graphs.

Nothing else knows of streams and graphs. A device without them does the same one after
the other, as the CPU does in the tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_edsr.device import is_out_of_memory

_HAVE_STREAMS = ("cuda", "xpu")
#: Calls of one shape before a graph is recorded, which takes as long as some of them.
_CALLS_BEFORE_A_GRAPH = 3
_Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Fetched:
    """Values on their way from a device."""

    _host: Tensor
    _arrived: torch.Event | None = None

    def wait(self) -> NDArray:
        """The values, once they are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host.numpy()


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

    def fetch(self, values: Tensor) -> Fetched:
        """Begin to copy to main memory what is computed until now.

        The memory of `values` must not be used again before they are there.
        """
        if self._outward is None:
            return Fetched(values.cpu())
        self._outward.wait_stream(torch.accelerator.current_stream(self.device))
        with self._outward:
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            host.copy_(values, non_blocking=True)
            arrived = self._outward.record_event()
        values.record_stream(self._outward)
        return Fetched(host, arrived)


class Recorded:
    """A function of a tensor, on CUDA a graph from its fourth call of a shape on.

    A graph starts all kernels of a network at once, for which Python otherwise takes
    longer than the device does for a small image. Nothing is compiled.

    Parameters
    ----------
    function : callable
        Of one tensor; it must neither wait for the device nor decide by its values.
    """

    def __init__(self, function: _Function) -> None:
        self._function = function
        self._calls: Counter[torch.Size] = Counter()
        self._graphs: dict[torch.Size, _Function] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """The function's result, which the next call may overwrite."""
        if x.device.type != "cuda":
            return self._function(x)
        if self._calls[x.shape] == _CALLS_BEFORE_A_GRAPH:
            self._graphs[x.shape] = _record(self._function, x) or self._function
        self._calls[x.shape] += 1
        return self._graphs.get(x.shape, self._function)(x)


def _record(function: _Function, x: Tensor) -> _Function | None:
    """The function as a CUDA graph; None where that fails."""
    given, graph = torch.empty_like(x), torch.cuda.CUDAGraph()
    try:
        with (
            torch.cuda.device(x.device),
            torch.cuda.graph(graph, capture_error_mode="thread_local"),
        ):
            result = function(given)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return None

    def replay(x: Tensor) -> Tensor:
        given.copy_(x)
        graph.replay()
        return result

    return replay
