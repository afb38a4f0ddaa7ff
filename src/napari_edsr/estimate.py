"""What a run will take, before it starts and without torch."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ImageError
from napari_edsr.images import ImageSpec, Region
from napari_edsr.tiling import Box, plan_tiles

#: Work of one tile, in operations: a few seconds, after which a run can be cancelled.
_TILE_FLOP = {"cpu": 0.3e12, "accelerator": 20e12}
#: On a CPU larger tiles no longer fit its caches and take a third longer.
_LARGEST_TILE = {"cpu": 256, "accelerator": 1024}
_SMALLEST_TILE = 32
_SHARE_OF_FREE_MEMORY = 0.5
_ENSEMBLE = 8
_TORCH_BYTES = 250_000_000  # what a process grows by when it runs its first network


@dataclass(frozen=True)
class Estimate:
    """A run foreseen.

    Attributes
    ----------
    shape : tuple of int
        Of the result.
    output_bytes, memory_bytes : int
        Size of the result, and what the run adds to memory at its peak, result included.
    flop : float
        Operations of all tiles with their halos.
    seconds : float or None
        None while the device's speed is not known.
    tile, tiles : int
        Side of a tile in input pixels, and their number over all planes.
    """

    shape: tuple[int, ...]
    output_bytes: int
    memory_bytes: int
    flop: float
    seconds: float | None
    tile: int
    tiles: int


def free_memory() -> int:
    """Bytes of main memory that can be used without swapping."""
    return int(psutil.virtual_memory().available)


def auto_tile(
    config: EDSRConfig,
    scale: int,
    *,
    device: str = "cpu",
    free_bytes: int | None = None,
    itemsize: int = 4,
) -> int:
    """Side of the tiles that ``tile="auto"`` stands for, in input pixels.

    As large as a few seconds of work and half of the free memory allow: the halo,
    which is computed twice, weighs less the larger a tile is.

    Parameters
    ----------
    config : EDSRConfig
    scale : int
    device : str
        As torch names it.
    free_bytes : int, optional
        Free memory of the device in bytes; main memory by default.
    itemsize : int
        Bytes of one value in the precision used.
    """
    free = free_memory() if free_bytes is None else free_bytes
    kind = "cpu" if device.startswith("cpu") else "accelerator"
    halo = config.receptive_field(scale)
    by_work = math.sqrt(_TILE_FLOP[kind] / config.flops(scale)) - 2 * halo
    by_memory = math.sqrt(
        _SHARE_OF_FREE_MEMORY * free / config.activation_bytes(scale, itemsize)
    )
    side = min(max(by_work, 2 * halo), by_memory - 2 * halo, _LARGEST_TILE[kind])
    return max(_SMALLEST_TILE, int(side) // 16 * 16)


def resolve_tile(tile: int | str, auto: int) -> int:
    """Check what the user asked for; ``"auto"`` is `auto`.

    Raises
    ------
    ImageError
        If it is neither ``"auto"`` nor a number from 1.
    """
    if isinstance(tile, str) and tile.isdecimal():
        tile = int(tile)
    if tile == "auto":
        return auto
    if isinstance(tile, bool) or not isinstance(tile, int | np.integer) or tile < 1:
        raise ImageError(
            f"The tile size {tile!r} is not 'auto' or a number of pixels from 1."
        )
    return int(tile)


def region_slices(spec: ImageSpec, region: Region | None) -> dict[str, slice]:
    """A slice for each axis of the image, in input pixels; whole where not named.

    Raises
    ------
    ImageError
        If the region names an unknown axis, the samples, or lies outside.
    """
    slices = {axis: slice(0, spec.size(axis)) for axis in spec.axes}
    for axis, span in (region or {}).items():
        start, stop = _span(axis, span)
        if axis not in slices or axis == "S":
            raise ImageError(
                f"A region cannot be cut along {axis!r} in axes {spec.axes}."
            )
        if not 0 <= start < stop <= spec.size(axis):
            raise ImageError(
                f"The region {start}:{stop} of axis {axis} lies outside the image "
                f"(0:{spec.size(axis)})."
            )
        slices[axis] = slice(int(start), int(stop))
    return slices


def _span(axis: str, span: Any) -> tuple[int, int]:
    try:
        start, stop = (operator.index(edge) for edge in span)
        return start, stop
    except (TypeError, ValueError) as error:
        raise ImageError(
            f"The region of axis {axis} is a pair (start, stop), not {span!r}."
        ) from error


def region_shape(slices: Mapping[str, slice], scale: int) -> tuple[int, ...]:
    """Shape of a region's result."""
    lengths = ((axis, part.stop - part.start) for axis, part in slices.items())
    return tuple(n * scale if axis in "YX" else n for axis, n in lengths)


def estimate(
    spec: ImageSpec,
    config: EDSRConfig,
    scale: int,
    *,
    tile: int | str = "auto",
    device: str = "cpu",
    precision: str = "auto",
    self_ensemble: bool = False,
    region: Region | None = None,
    free_bytes: int | None = None,
    flops_per_second: float | None = None,
) -> Estimate:
    """Foresee size, memory and time of a run.

    Parameters
    ----------
    spec : ImageSpec
        From `napari_edsr.images.understand`.
    config : EDSRConfig
        Of the model.
    scale : int
    tile, device, precision, self_ensemble, region
        As for `napari_edsr.inference.iter_upscale`.
    free_bytes : int, optional
        Free memory of the device.
    flops_per_second : float, optional
        Speed of the device on such a network; without it no time is given.
    """
    itemsize = 2 if precision in ("fp16", "bf16") else 4
    auto = auto_tile(
        config, scale, device=device, free_bytes=free_bytes, itemsize=itemsize
    )
    side = resolve_tile(tile, auto)
    slices = region_slices(spec, region)
    shape = region_shape(slices, scale)
    sources = tile_sources(spec, slices, side, config.receptive_field(scale))
    planes = math.prod(shape[spec.axes.index(axis)] for axis in spec.leading)
    passes = _passes_per_pixel(spec, config) * (_ENSEMBLE if self_ensemble else 1)
    flop = sum(sources) * config.flops(scale) * planes * passes
    output_bytes = math.prod(shape) * spec.dtype.itemsize
    activations = max(sources) * config.activation_bytes(scale, itemsize)
    return Estimate(
        shape=shape,
        output_bytes=output_bytes,
        memory_bytes=output_bytes + activations + _TORCH_BYTES,
        flop=flop,
        seconds=flop / flops_per_second if flops_per_second else None,
        tile=side,
        tiles=len(sources) * planes,
    )


def tile_sources(
    spec: ImageSpec, slices: Mapping[str, slice], tile: int, halo: int
) -> list[int]:
    """Input pixels, halo included, of each tile that a region of a plane needs."""
    box: Box = (slices["Y"], slices["X"])
    tiles = plan_tiles(spec.plane, tile=tile, halo=halo)
    sources = (tile.source for tile in tiles if tile.intersects(box))
    return [
        (rows.stop - rows.start) * (cols.stop - cols.start) for rows, cols in sources
    ]


def _passes_per_pixel(spec: ImageSpec, config: EDSRConfig) -> int:
    """Runs of the network for one pixel: colours go together, alpha apart."""
    colors = len(spec.colors)
    together = 1 if colors == config.n_colors else colors
    return together + (spec.samples - colors)
