"""The processes of a training run: one alone, or several that torchrun started."""

from __future__ import annotations

import os
from typing import Any

import torch

from napari_edsr.device import resolve_device
from napari_edsr.errors import TrainingError
from napari_edsr.model import EDSR, MDSR


class Team:
    """A run's only process; ``with`` lasts as long as the run.

    Parameters
    ----------
    device : str
        As for `napari_edsr.device.resolve_device`.

    Attributes
    ----------
    device : torch.device
        Of this process.
    rank, size : int
        Which process this is, counted from 0, and of how many.
    """

    rank, size = 0, 1

    def __init__(self, device: str) -> None:
        self.device = resolve_device(device)

    def __enter__(self) -> Team:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Leave the others."""

    def part(self, batch: int) -> slice:
        """Which patches of a batch are this process's."""
        return slice(0, batch)

    def wrapped(self, network: EDSR | MDSR, optimizer: torch.optim.Optimizer) -> Any:
        """The network as it is to be called in training: gradients become the team's."""
        return network

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean over the processes."""
        return value

    def agreed(self, value: Any) -> Any:
        """What the first process says, so that all do the same."""
        return value


class FabricTeam(Team):
    """One process of several, by Lightning Fabric: each takes a part of every batch."""

    def __init__(self, device: str, *, has_branches: bool) -> None:
        fabric: Any = _fabric(device, has_branches)
        fabric.launch()
        self._fabric = fabric
        self.device = fabric.device
        self.rank, self.size = fabric.global_rank, fabric.world_size

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Leave together, for one that goes first aborts the others; but not in peril."""
        if error is None:
            self._fabric.barrier()
        torch.distributed.destroy_process_group()

    def part(self, batch: int) -> slice:
        """Which patches of a batch are this process's."""
        if batch % self.size:
            raise TrainingError(
                f"A batch of {batch} cannot be shared evenly by {self.size} processes; "
                f"choose a multiple of {self.size}."
            )
        own = batch // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def wrapped(self, network: EDSR | MDSR, optimizer: torch.optim.Optimizer) -> Any:
        """The network as it is to be called in training: gradients become the team's."""
        return self._fabric.setup(network, optimizer)[0]

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean over the processes."""
        return self._fabric.all_reduce(value, reduce_op="mean")

    def agreed(self, value: Any) -> Any:
        """What the first process says, so that all do the same."""
        return self._fabric.broadcast(value)


def _fabric(device: str, has_branches: bool) -> Any:
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        raise TrainingError(
            "Several processes need Lightning Fabric: pip install lightning-fabric."
        ) from error
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Fabric(
        accelerator="cpu" if device == "cpu" else "auto",
        devices=here,
        num_nodes=int(os.environ["WORLD_SIZE"]) // here,
        strategy=DDPStrategy(find_unused_parameters=has_branches),
    )


def assemble(device: str, *, has_branches: bool) -> Team:
    """The team this process belongs to, as torchrun's environment says.

    Parameters
    ----------
    device : str
    has_branches : bool
        Whether a batch goes through a part of the network only, as in an MDSR.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return FabricTeam(device, has_branches=has_branches) if several else Team(device)
