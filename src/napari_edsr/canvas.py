"""Between an image and a network: tiles out of one array, results into another."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_edsr import images, intensities
from napari_edsr.errors import EDSRWarning, ImageError, ModelError
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.images import ImageSpec, Region
from napari_edsr.intensities import Range
from napari_edsr.plan import free_memory
from napari_edsr.sources import PlaneSource
from napari_edsr.targets import ArrayTarget, Target
from napari_edsr.tiling import Box, Tile, grown, relative

_NONFINITE = (
    "NaN or infinite values were filled for the network and are NaN in the result."
)
#: Pixels on each side of one that must have its alpha for it to be kept as it is.
_FLAT = 2


@dataclass(frozen=True)
class Feed:
    """Samples of a pixel that go through the network together, each with its range."""

    samples: tuple[int, ...]
    limits: tuple[Range, ...]
    alpha: bool = False

    @property
    def columns(self) -> slice:
        """The samples, which follow one another, as an index."""
        return slice(self.samples[0], self.samples[-1] + 1)


@dataclass(frozen=True)
class Output:
    """What the network gave for a feed of a tile, see `napari_edsr.engine.Engine`.

    The mean may also be in the image's own intensities and type, if those are integers.
    """

    feed: Feed
    mean: NDArray[np.float32]
    spread: NDArray[np.float32] | None = None


class Canvas:
    """The image of a run and its result.

    Parameters
    ----------
    image : array
        Read only, part by part; it may lie on disk.
    spec : ImageSpec
    ranges : list of (float, float)
        From `napari_edsr.intensities.intensity_ranges`.
    n_colors : int
        Colours that the network takes: 1 and 3 fit every image, any other number needs
        as many channels.
    scale : int
    region : mapping, optional
        Part of the image by axis, in input pixels.
    out : ndarray, optional
        Array to write into; made if neither it nor `target` is given.
    target : Target, optional
        What takes the result instead.
    uncertainty : bool
        Keep the ensemble's spread as well.

    Attributes
    ----------
    out : ndarray or None
        The result, or its part in the region; None where a `target` was given.
    uncertainty : ndarray of float32 or None
        In the image's intensities, without the axis of samples.
    notes : list of str
        What was found out on the way.
    """

    def __init__(
        self,
        image: Any,
        spec: ImageSpec,
        ranges: Sequence[Range],
        *,
        n_colors: int,
        scale: int,
        region: Region | None = None,
        out: NDArray | None = None,
        target: Target | None = None,
        uncertainty: bool = False,
    ) -> None:
        self.spec = joined_channels(spec, n_colors)
        region_slices(self.spec, region)  # channels that go together stay together
        self.slices = region_slices(spec, region)
        shape = region_shape(self.slices, scale)
        self.scale = scale
        self.ranges = list(ranges)
        self.n_colors = n_colors
        self.out = None if target else _checked_out(out, shape, spec.dtype)
        self.notes = list(spec.notes)
        self.image = image
        self.target = target or self._array_target()
        self.uncertainty = self._blank_uncertainty(shape) if uncertainty else None

    def _array_target(self) -> ArrayTarget:
        assert self.out is not None
        return ArrayTarget(images.plane_view(self.out, self.spec.axes))

    @property
    def box(self) -> Box:
        """Rows and columns of the plane that are wanted, in input pixels."""
        return self.slices["Y"], self.slices["X"]

    @property
    def n_planes(self) -> int:
        """Planes that are wanted."""
        return math.prod(len(indices) for indices in self._leading_ranges())

    def leads(self) -> Iterator[tuple[int, ...]]:
        """Index along the leading axes of each plane that is wanted."""
        return itertools.product(*self._leading_ranges())

    def plane(
        self, lead: tuple[int, ...], window: Box, *, reach: int, by_rows: bool
    ) -> Plane:
        """Open a plane, see `napari_edsr.sources.PlaneSource`."""
        source = PlaneSource(
            self.image, self.spec, lead, window, reach=reach, by_rows=by_rows
        )
        return Plane(self, lead, source)

    def _leading_ranges(self) -> list[range]:
        parts = (self.slices[axis] for axis in self.spec.leading)
        return [range(part.start, part.stop) for part in parts]

    def remaining(self, lead: tuple[int, ...], tile: Tile) -> list[Tile]:
        """What of a tile is not in the result yet, from top to bottom."""
        _, target = tile.placed(self.box, self.scale)
        missing = self.target.remaining(self.place(lead), target)
        if missing == [target[0]]:
            return [tile]  # which may read more than its part in the region does
        edges = [
            (rows.start // self.scale, rows.stop // self.scale) for rows in missing
        ]
        top = self.box[0].start
        return [replace(tile, y0=top + start, y1=top + stop) for start, stop in edges]

    def feeds(self, lead: tuple[int, ...]) -> list[Feed]:
        """How the samples of a plane go through the network; alpha goes by itself."""
        spec = self.spec
        if self.n_colors not in (1, 3):
            return [Feed(tuple(range(self.n_colors)), tuple(self.ranges))]
        limits = self.ranges[lead[spec.leading.index("C")] if "C" in spec.axes else 0]
        colors = spec.colors
        groups = (
            [colors] if len(colors) == self.n_colors else [(color,) for color in colors]
        )
        feeds = [Feed(group, (limits,) * len(group)) for group in groups]
        opaque = intensities.dtype_range(spec.dtype)
        for alpha in range(len(colors), spec.samples):
            feeds.append(Feed((alpha,), (opaque,), alpha=True))
        return feeds

    def place(self, lead: tuple[int, ...]) -> tuple[int, ...]:
        """Index of a plane within the result."""
        starts = (indices.start for indices in self._leading_ranges())
        return tuple(index - start for index, start in zip(lead, starts, strict=True))

    def _blank_uncertainty(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        pairs = zip(shape, self.spec.axes, strict=True)
        return np.zeros([n for n, axis in pairs if axis != "S"], np.float32)

    def note(self, text: str) -> None:
        """Remember and warn, once."""
        if text not in self.notes:
            self.notes.append(text)
            warnings.warn(text, EDSRWarning, stacklevel=3)


class Plane:
    """One plane of a canvas, opened for reading and writing tiles.

    Parameters
    ----------
    canvas : Canvas
    lead : tuple of int
        Its index along the leading axes.
    source : PlaneSource
        Where it is read.
    """

    def __init__(
        self, canvas: Canvas, lead: tuple[int, ...], source: PlaneSource
    ) -> None:
        self.canvas = canvas
        self.lead = canvas.place(lead)
        self._source = source
        self._feeds = canvas.feeds(lead)
        self._is_finite = True

    def read_ahead(self, window: Box) -> None:
        """Read nothing outside of some rows and columns until it is asked for."""
        self._source.window = window

    def feeds(self, box: Box) -> list[Feed]:
        """What of a box goes through the network: an alpha that is flat there does not."""
        return [
            feed
            for feed in self._feeds
            if not (feed.alpha and self._source.is_flat(box, feed.samples[0]))
        ]

    def read(self, box: Box, feed: Feed) -> NDArray[np.float32]:
        """Rows and columns as the network wants them, ``(C, H, W)``."""
        values, is_finite = self._source.filled(box)
        if not is_finite:
            self._is_finite = False
            self.canvas.note(_NONFINITE)
        parts = zip(feed.samples, feed.limits, strict=True)
        return np.stack([intensities.to_unit(values[..., i], r) for i, r in parts])

    def read_levels(self, box: Box, feed: Feed) -> NDArray:
        """Rows and columns as they lie in the image, ``(H, W, C)``.

        Only of integers, which are all finite.
        """
        native = self.canvas.spec.dtype.newbyteorder("=")
        return self._source.read(box)[..., feed.columns].astype(native)

    def write(self, tile: Tile, outputs: Sequence[Output]) -> tuple[slice, ...]:
        """Put the tile into the result, all of its samples, and say where."""
        canvas = self.canvas
        _, target = tile.placed(canvas.box, canvas.scale)
        box = tile.within(canvas.box).box
        dtype = canvas.spec.dtype.newbyteorder("=")
        result = canvas.target.block(self.lead, target, canvas.spec.samples, dtype)
        done = {output.feed: output for output in outputs}
        for feed in self._feeds:
            if feed in done:
                result[..., feed.columns] = self._levels(done[feed])
            if feed.alpha:
                self._keep_flat_alpha(result, box, feed, everywhere=feed not in done)
        if not self._is_finite:
            result[self._enlarged(self._source.nonfinite(box))] = np.nan
        canvas.target.put(self.lead, target, result)
        self._write_uncertainty(box, target, [o for o in outputs if not o.feed.alpha])
        return self._in_result(target)

    def _levels(self, output: Output) -> NDArray:
        """In the image's type, (H, W, C)."""
        dtype = self.canvas.spec.dtype.newbyteorder("=")
        if dtype.kind in "iu" and output.mean.dtype == dtype:
            return np.moveaxis(output.mean, 0, -1)
        pairs = zip(output.mean, output.feed.limits, strict=True)
        return np.stack([intensities.from_unit(*pair, dtype) for pair in pairs], -1)

    def _keep_flat_alpha(
        self, result: NDArray, box: Box, feed: Feed, *, everywhere: bool
    ) -> None:
        """What is opaque stays so, to the last bit, whatever the network gave there."""
        rows, columns = self.canvas.spec.plane
        around = grown(box, _FLAT, (slice(0, rows), slice(0, columns)))
        alpha = self._source.filled(around)[0][..., feed.samples[0]]
        keep: Any = ...
        if not everywhere:
            flat = _is_locally_flat(alpha)[relative(box, around)]
            keep = self._enlarged(flat)
        values = self._enlarged(alpha[relative(box, around)])
        result[..., feed.samples[0]][keep] = values[keep]

    def _enlarged(self, values: NDArray) -> NDArray:
        scale = self.canvas.scale
        return values.repeat(scale, 0).repeat(scale, 1)

    def _write_uncertainty(self, box: Box, target: Box, outputs: list[Output]) -> None:
        if self.canvas.uncertainty is None:
            return
        spans = [out.feed.limits[0][1] - out.feed.limits[0][0] for out in outputs]
        spreads = [out.spread for out in outputs if out.spread is not None]
        squares = [
            (spread * span) ** 2 for spread, span in zip(spreads, spans, strict=True)
        ]
        axes = self.canvas.spec.axes.replace("S", "")
        view = images.plane_view(self.canvas.uncertainty, axes)
        spread = np.sqrt(np.mean(squares, axis=0))
        if not self._is_finite:
            colors = list(self.canvas.spec.colors)
            bad = np.any(self._source.nonfinite(box)[..., colors], -1)
            spread[self._enlarged(bad)] = np.nan
        view[self.lead][(*target, 0)] = spread

    def _in_result(self, target: Box) -> tuple[slice, ...]:
        spec = self.canvas.spec
        where = {
            axis: slice(i, i + 1)
            for axis, i in zip(spec.leading, self.lead, strict=True)
        }
        where.update(Y=target[0], X=target[1], S=slice(None))
        return tuple(where[axis] for axis in spec.axes)


def _is_locally_flat(plane: NDArray) -> NDArray[np.bool_]:
    """Where all pixels around one are equal to it."""
    size = 2 * _FLAT + 1
    lowest = ndimage.minimum_filter(plane, size, mode="nearest")
    return lowest == ndimage.maximum_filter(plane, size, mode="nearest")


def joined_channels(spec: ImageSpec, n_colors: int) -> ImageSpec:
    """Let channels pass as samples into a network made for just that many."""
    if n_colors in (1, 3):
        return spec
    if spec.size("C") != n_colors or "S" in spec.axes:
        raise ModelError(
            f"The model takes {n_colors} channels at once, but this image "
            f"({spec.describe()}) has no axis C of that length; name the axes."
        )
    return replace(spec, axes=spec.axes.replace("C", "S"))


def _checked_out(out: Any, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    if out is None:
        _check_memory(math.prod(shape) * dtype.itemsize)
        return np.zeros(shape, dtype)
    if not (isinstance(out, np.ndarray) and out.flags.writeable):
        raise ImageError("`out` must be a numpy array that can be written to.")
    if out.shape != shape or out.dtype.newbyteorder("=") != dtype.newbyteorder("="):
        raise ImageError(
            f"The result has shape {shape} and type {dtype}, but `out` is {out.dtype} of "
            f"shape {out.shape}."
        )
    return out


def _check_memory(needed: int) -> None:
    free = free_memory()
    if needed > free:
        raise ImageError(
            f"The result takes {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB of memory are "
            "free; write it to a file, out='result.ome.zarr', or upscale a part."
        )
