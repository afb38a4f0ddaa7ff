"""What a run will take, before it starts and without torch."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ImageError
from napari_edsr.images import ImageSpec, Region
from napari_edsr.plan import batch_size, free_memory, memory_bytes, plan_tiling

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
    tile : int or "rows"
        Side of a tile in input pixels, or that bands of rows are run.
    tiles : int
        Number of tiles, or of bands that give rows, over all planes.
    """

    shape: tuple[int, ...]
    output_bytes: int
    memory_bytes: int
    flop: float
    seconds: float | None
    tile: int | str
    tiles: int


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
    tile, device, self_ensemble, region
        As for `napari_edsr.inference.iter_upscale`.
    free_bytes : int, optional
        Free memory of the device.
    flops_per_second : float, optional
        Speed of the device on such a network; without it no time is given.
    """
    tiling = plan_tiling(
        tile,
        config,
        scale,
        device=device,
        free_bytes=free_bytes,
        ensemble=self_ensemble,
    )
    slices = region_slices(spec, region)
    shape = region_shape(slices, scale)
    box = slices["Y"], slices["X"]
    kinds = tiling.kinds(spec.plane, box)
    works = [(*tiling.work(tile, box), count) for tile, count in kinds]
    parts = sum(parts * count for _, parts, count in works)
    planes = math.prod(shape[spec.axes.index(axis)] for axis in spec.leading)
    passes = _passes_per_pixel(spec, config) * (_ENSEMBLE if self_ensemble else 1)
    pixels = sum(pixels * count for pixels, _, count in works)
    flop = pixels * config.folded_flops(scale) * planes * passes
    output_bytes = math.prod(shape) * spec.dtype.itemsize
    activations = max(memory_bytes(tiling, tile, config, scale) for tile, _ in kinds)
    if tiling.equal:
        free = free_memory() if free_bytes is None else free_bytes
        activations *= batch_size(kinds[0][0], parts * planes, config, scale, free)
    return Estimate(
        shape=shape,
        output_bytes=output_bytes,
        memory_bytes=output_bytes + activations + _TORCH_BYTES,
        flop=flop,
        seconds=flop / flops_per_second if flops_per_second else None,
        tile=tiling.label,
        tiles=parts * planes,
    )


def _passes_per_pixel(spec: ImageSpec, config: EDSRConfig) -> int:
    """Runs of the network for one pixel: colours go together, alpha apart."""
    colors = len(spec.colors)
    together = 1 if colors == config.n_colors else colors
    return together + (spec.samples - colors)
