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

from napari_edsr import images, intensities
from napari_edsr.errors import EDSRWarning, ImageError, ModelError
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.images import ImageSpec, Region
from napari_edsr.intensities import Range
from napari_edsr.tiling import Box, Tile

_NONFINITE = (
    "NaN or infinite values were filled for the network and are NaN in the result."
)


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

    @property
    def is_flat(self) -> bool:
        """Whether all of it is one intensity, so that there is nothing to compute."""
        return self.alpha and self.limits[0][0] == self.limits[0][1]


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
        Read only, plane by plane; it may lie on disk.
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
        Where to write; made if not given.
    uncertainty : bool
        Keep the ensemble's spread as well.

    Attributes
    ----------
    out : ndarray
        The result, or its part in the region.
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
        uncertainty: bool = False,
    ) -> None:
        self.spec = _joined_channels(spec, n_colors)
        region_slices(self.spec, region)  # channels that go together stay together
        self.slices = region_slices(spec, region)
        shape = region_shape(self.slices, scale)
        self.scale = scale
        self.ranges = list(ranges)
        self.n_colors = n_colors
        self.out = _checked_out(out, shape, spec.dtype)
        self.notes = list(spec.notes)
        self.image = image
        self.target = images.plane_view(self.out, self.spec.axes)
        self.uncertainty = self._blank_uncertainty(shape) if uncertainty else None

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

    def plane(self, lead: tuple[int, ...], window: Box) -> Plane:
        """Open a plane, of which only the window will be read.

        All of it is read where a pixel's result can depend on pixels far away.
        """
        filled = self.spec.dtype.kind == "f"
        transparent = any(feed.alpha for feed in self.feeds(lead))
        if isinstance(self.image, np.ndarray) or filled or transparent:
            rows, columns = self.spec.plane
            window = slice(0, rows), slice(0, columns)
        return Plane(self, lead, window)

    def _leading_ranges(self) -> list[range]:
        parts = (self.slices[axis] for axis in self.spec.leading)
        return [range(part.start, part.stop) for part in parts]

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
    window : (slice, slice)
        Rows and columns that tiles will be read from, with their context.
    """

    def __init__(self, canvas: Canvas, lead: tuple[int, ...], window: Box) -> None:
        self.canvas = canvas
        self.lead = canvas.place(lead)
        self._origin = window[0].start, window[1].start
        plane = images.read_plane(canvas.image, canvas.spec.axes, lead, window)
        samples = range(plane.shape[-1])
        self.feeds = [_exact_if_flat(feed, plane) for feed in canvas.feeds(lead)]
        cleaned = [intensities.fill_nonfinite(plane[..., i]) for i in samples]
        self._levels_of = plane if canvas.spec.dtype.kind in "iu" else None
        self._samples = [plane for plane, _ in cleaned]
        self._bad = [bad for _, bad in cleaned]
        if any(bad is not None for bad in self._bad):
            canvas.note(_NONFINITE)

    def read(self, box: Box, feed: Feed) -> NDArray[np.float32]:
        """Rows and columns as the network wants them, ``(C, H, W)``."""
        where = self._read(box)
        parts = zip(feed.samples, feed.limits, strict=True)
        return np.stack(
            [intensities.to_unit(self._samples[i][where], r) for i, r in parts]
        )

    def read_levels(self, box: Box, feed: Feed) -> NDArray:
        """Rows and columns as they lie in the image, ``(H, W, C)``.

        Only of integers, which are all finite.
        """
        assert self._levels_of is not None
        native = self.canvas.spec.dtype.newbyteorder("=")
        return self._levels_of[self._read(box)][..., feed.columns].astype(native)

    def _read(self, box: Box) -> Box:
        """Where a box lies in what was read of the plane."""
        rows, columns = box
        y, x = self._origin
        return (
            slice(rows.start - y, rows.stop - y),
            slice(columns.start - x, columns.stop - x),
        )

    def write(self, tile: Tile, outputs: Sequence[Output]) -> tuple[slice, ...]:
        """Put the tile into the result, all of its samples, and say where."""
        _, target = tile.placed(self.canvas.box, self.canvas.scale)
        result = self.canvas.target[self.lead]
        for output in outputs:
            result[(*target, output.feed.columns)] = self._levels(output, tile)
        for feed in self.feeds:
            if feed.is_flat:
                nothing = np.zeros((1, 1), np.float32)
                result[(*target, feed.samples[0])] = intensities.from_unit(
                    nothing, feed.limits[0], self.canvas.spec.dtype
                )
        self._write_uncertainty(tile, [out for out in outputs if not out.feed.alpha])
        return self._in_result(target)

    def _levels(self, output: Output, tile: Tile) -> NDArray:
        """In the image's type, (H, W, C)."""
        dtype = self.canvas.spec.dtype.newbyteorder("=")
        if dtype.kind in "iu" and output.mean.dtype == dtype:
            return np.moveaxis(output.mean, 0, -1)
        feed = output.feed
        pairs = zip(output.mean, feed.limits, strict=True)
        blocks = [intensities.from_unit(*pair, dtype) for pair in pairs]
        for block, sample in zip(blocks, feed.samples, strict=True):
            self._restore_nonfinite(block, tile, sample)
        return np.stack(blocks, -1)

    def _restore_nonfinite(self, block: NDArray, tile: Tile, sample: int) -> None:
        bad = self._bad[sample]
        if bad is not None:
            scale = self.canvas.scale
            crop, _ = tile.placed(self.canvas.box, scale)
            enlarged = bad[self._read(tile.source)].repeat(scale, 0).repeat(scale, 1)
            block[enlarged[crop]] = np.nan

    def _write_uncertainty(self, tile: Tile, outputs: list[Output]) -> None:
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
        for output in outputs:
            for sample in output.feed.samples:
                self._restore_nonfinite(spread, tile, sample)
        _, target = tile.placed(self.canvas.box, self.canvas.scale)
        view[self.lead][(*target, 0)] = spread

    def _in_result(self, target: Box) -> tuple[slice, ...]:
        spec = self.canvas.spec
        where = {
            axis: slice(i, i + 1)
            for axis, i in zip(spec.leading, self.lead, strict=True)
        }
        where.update(Y=target[0], X=target[1], S=slice(None))
        return tuple(where[axis] for axis in spec.axes)


def _exact_if_flat(feed: Feed, plane: NDArray) -> Feed:
    """Give an alpha that is the same everywhere a range in which it comes back exactly."""
    if not feed.alpha:
        return feed
    alpha = plane[..., feed.samples[0]]
    level = float(alpha.flat[0])
    return replace(feed, limits=((level, level),)) if np.all(alpha == level) else feed


def _joined_channels(spec: ImageSpec, n_colors: int) -> ImageSpec:
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
        return np.zeros(shape, dtype)
    if not (isinstance(out, np.ndarray) and out.flags.writeable):
        raise ImageError("`out` must be a numpy array that can be written to.")
    if out.shape != shape or out.dtype.newbyteorder("=") != dtype.newbyteorder("="):
        raise ImageError(
            f"The result has shape {shape} and type {dtype}, but `out` is {out.dtype} of "
            f"shape {out.shape}."
        )
    return out
