"""How the planes of a run are cut: what ``tile="auto"`` means, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import psutil

from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ImageError
from napari_edsr.tiling import (
    Band,
    Box,
    Size,
    Tile,
    area,
    count_bands,
    plan_bands,
    plan_tiles,
)

ROWS = "rows"
#: Work of one tile, in operations: a few seconds, after which a run can be cancelled.
_TILE_FLOP = {"cpu": 0.3e12, "mnn": 0.8e12, "accelerator": 20e12}
_LARGEST_TILE = {"cpu": 512, "mnn": 768, "accelerator": 1024}
_SMALLEST_TILE = 32
_SMALLEST_HALF = 16
_SHARE_OF_FREE_MEMORY = 0.5
#: Wider images are cut into stripes, whose halo then is a fiftieth of the work.
_WIDEST_STRIPE = 4096
#: Pixels of a band on a CPU: few enough that what is between two convolutions stays in
#: its caches, and many enough for all of its cores.
_BAND_PIXELS = 16384
#: Work of a batch on an accelerator: some milliseconds on a quick one.
_BATCH_FLOP = 2e12
_LARGEST_BATCH = 64
_ALL = 2**31


@dataclass(frozen=True)
class Tiling:
    """How planes are cut.

    Attributes
    ----------
    size : (int, int)
        Most rows and columns of a tile, in input pixels.
    halo : int
        Context around a tile: the network's receptive field.
    on_cpu : bool
    by_rows : bool
        Whether tiles are stripes from top to bottom, each band of which is a result.
    shrinks : bool
        Whether tiles may become smaller than asked for.
    equal : bool
        Whether tiles are read with equal shapes, to be run together.
    step : int
        Input pixels of which tiles are multiples, from where the wanted part begins;
        0 to cut a plane in the same way whatever part of it is wanted.
    """

    size: Size
    halo: int
    on_cpu: bool
    by_rows: bool
    shrinks: bool
    equal: bool = False
    step: int = 0

    @property
    def label(self) -> int | str:
        """What ``tile=`` would be for it."""
        return ROWS if self.by_rows else self.size[0]

    def halved(self, tiles: Sequence[Tile]) -> Tiling | None:
        """For smaller tiles than these; None where they may not or can not be smaller."""
        widths = [tile.x1 - tile.x0 for tile in tiles]
        heights = [0 if self.by_rows else tile.y1 - tile.y0 for tile in tiles]
        side = max(*widths, *heights)
        if not self.shrinks or side <= _SMALLEST_HALF:
            return None
        half = max(_SMALLEST_HALF, side // 2)
        return replace(self, size=(self.size[0] if self.by_rows else half, half))

    def tiles(self, shape: Size, box: Box) -> list[Tile]:
        """The tiles of a plane that share pixels with a box."""
        return self._cut(shape, box, self.size)

    def _cut(self, shape: Size, box: Box, size: Size) -> list[Tile]:
        if self.step:
            rows, columns = box
            place = rows.start, rows.stop, columns.start, columns.stop
            wanted = Tile(*place, shape, self.halo)
            return wanted.split(size, equal=self.equal, step=self.step)
        tiles = plan_tiles(shape, tile=size, halo=self.halo, equal=self.equal)
        return [tile for tile in tiles if tile.intersects(box)]

    def kinds(self, shape: Size, box: Box) -> list[tuple[Tile, int]]:
        """One of each kind of the `tiles`, and how many of the kind there are.

        Of a kind are those that read and give as many rows and columns. Rows are cut
        without regard to columns, so that not every tile need be looked at.
        """
        below = _kinds(self._cut(shape, box, (self.size[0], _ALL)), box, 0)
        beside = _kinds(self._cut(shape, box, (_ALL, self.size[1])), box, 1)
        return [
            (
                replace(row, x0=column.x0, x1=column.x1, least=least),
                n_rows * n_columns,
            )
            for row, n_rows in below
            for column, n_columns in beside
            for least in [(row.least[0], column.least[1])]
        ]

    def bands(self, tile: Tile, box: Box) -> list[Band]:
        """What of a stripe is run in one go, for the part of it inside a box.

        Rows are cut as for the whole stripe, so that the pixels are the same.
        """
        _, columns = tile.source
        height = band_height(columns.stop - columns.start)
        return plan_bands(tile.within(box), height)

    def sources(self, tile: Tile, box: Box) -> list[Box]:
        """What is read for the part of a tile inside a box, context included."""
        if self.by_rows:
            return [band.source for band in self.bands(tile, box)]
        return [tile.source]

    def work(self, tile: Tile, box: Box) -> tuple[int, int]:
        """Pixels read for the part of a tile inside a box, and `parts`."""
        if not self.by_rows:
            return area(tile.source), 1
        _, columns = tile.source
        width = columns.stop - columns.start
        rows, parts = count_bands(tile.within(box), band_height(width))
        _, columns = tile.within(box).source
        return rows * (columns.stop - columns.start), parts

    def parts(self, tile: Tile, box: Box) -> int:
        """Results that a tile gives, one after the other."""
        return self.work(tile, box)[1]


def _kinds(tiles: Sequence[Tile], box: Box, axis: int) -> list[tuple[Tile, int]]:
    """One of each kind along an axis, and how many there are."""
    found: dict[tuple[int, ...], tuple[Tile, int]] = {}
    for tile in tiles:
        inside = tile.within(box)
        spans = (part[axis] for part in (tile.box, tile.source, inside.source))
        kind = tuple(part.stop - part.start for part in spans)
        first, count = found.get(kind, (tile, 0))
        found[kind] = first, count + 1
    return list(found.values())


def batch_size(
    tile: Tile, count: int, config: EDSRConfig, scale: int, free_bytes: int
) -> int:
    """How many of `count` equal tiles an accelerator runs in one go.

    Together they keep it busy for longer than it takes to start them.
    """
    pixels = area(tile.source)
    fit = _SHARE_OF_FREE_MEMORY * free_bytes / (pixels * config.activation_bytes(scale))
    useful = _BATCH_FLOP / (pixels * config.folded_flops(scale))
    size = max(1, min(int(fit), math.ceil(useful), _LARGEST_BATCH, count))
    return math.ceil(count / math.ceil(count / size))


def band_height(columns: int) -> int:
    """Rows of so many columns that a CPU runs best in one go."""
    return max(2, round(_BAND_PIXELS / columns))


def plan_tiling(
    tile: int | str,
    config: EDSRConfig,
    scale: int,
    *,
    device: str = "cpu",
    free_bytes: int | None = None,
    ensemble: bool = False,
) -> Tiling:
    """Settle how a run cuts its planes.

    Parameters
    ----------
    tile : int or str
        As for `napari_edsr.inference.iter_upscale`.
    config : EDSRConfig
    scale : int
    device : str
        As torch names it, or ``"mnn"``.
    free_bytes : int, optional
        Free memory of the device in bytes; main memory by default.
    ensemble : bool
        Whether each part is run eight times, and so must be small to be cancelled.

    Raises
    ------
    ImageError
        If `tile` is none of ``"auto"``, ``"rows"`` and the numbers from 1, or
        ``"rows"`` with an ensemble or MNN.
    """
    free = free_memory() if free_bytes is None else free_bytes
    on_cpu = device.startswith("cpu")
    asked = _checked(tile, "An ensemble" if ensemble else "MNN" * (device == "mnn"))
    by_rows = asked == ROWS or (asked == "auto" and on_cpu and not ensemble)
    if isinstance(asked, int):
        size = asked, asked
    elif by_rows:
        size = _ALL, _stripe(config, scale, free)
    else:
        kind = "cpu" if on_cpu else device if device in _TILE_FLOP else "accelerator"
        size = (_auto_tile(config, scale, kind, free),) * 2
    halo = config.receptive_field(scale)
    return Tiling(
        *(size, halo, on_cpu, by_rows),
        shrinks=not isinstance(asked, int),
        equal=not (by_rows or ensemble or on_cpu or device == "mnn"),
    )


def _checked(tile: int | str, needs_tiles: str) -> int | str:
    if isinstance(tile, str) and tile.isdecimal():
        tile = int(tile)
    if tile == ROWS and needs_tiles:
        raise ImageError(f"{needs_tiles} cannot go by rows; choose tile='auto'.")
    if tile in ("auto", ROWS):
        return tile
    if isinstance(tile, bool) or not isinstance(tile, int | np.integer) or tile < 1:
        raise ImageError(
            f"The tile size {tile!r} is not 'auto', 'rows' or a number of pixels from 1."
        )
    return int(tile)


def _auto_tile(config: EDSRConfig, scale: int, kind: str, free: int) -> int:
    """As large as a few seconds of work and half of the free memory allow.

    The halo, which is computed twice, weighs less the larger a tile is.
    """
    halo = config.receptive_field(scale)
    by_work = math.sqrt(_TILE_FLOP[kind] / config.folded_flops(scale)) - 2 * halo
    by_memory = math.sqrt(_SHARE_OF_FREE_MEMORY * free / config.activation_bytes(scale))
    side = min(max(by_work, 2 * halo), by_memory - 2 * halo, _LARGEST_TILE[kind])
    return max(_SMALLEST_TILE, int(side) // 16 * 16)


def _stripe(config: EDSRConfig, scale: int, free: int) -> int:
    """Most columns of a stripe."""
    fits = _SHARE_OF_FREE_MEMORY * free / config.row_bytes(scale)
    inside = min(int(fits) - 2 * config.receptive_field(scale), _WIDEST_STRIPE)
    return max(_SMALLEST_TILE, inside // 16 * 16)


def free_memory() -> int:
    """Bytes of main memory that can be used without swapping."""
    return int(psutil.virtual_memory().available)


def memory_bytes(tiling: Tiling, tile: Tile, config: EDSRConfig, scale: int) -> int:
    """What running a tile adds to memory at its peak: an upper estimate."""
    rows, columns = (part.stop - part.start for part in tile.source)
    whole = rows * columns * config.activation_bytes(scale)
    if not (tiling.by_rows or tiling.on_cpu):
        return whole
    return min(whole, columns * config.row_bytes(scale, band_height(columns)))
