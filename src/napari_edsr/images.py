"""What an array means: its axes, and the planes in it.

Axes are named by one letter each: ``Y`` and ``X`` span a plane, ``S`` holds the
samples of a pixel (grey, grey + alpha, RGB or RGBA), ``C`` holds channels that are
images of their own, and every other letter (``T``, ``Z``, ...) counts planes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import ge
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_edsr.errors import ImageError

_SAMPLE_KINDS = {1: "grey", 2: "grey + alpha", 3: "RGB", 4: "RGBA"}
_LEADING = "ABDEFGHIJKLMNOPQRUVWTZ"  # the last letters name the axes before Y and X
_NAMES_OF_LEADING = set(ascii_uppercase) - set("YXS")
#: Start and stop along some axes, in input pixels; axes not named are whole.
Region = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class ImageSpec:
    """An image as it was understood.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    axes : str
        One letter for each axis, see the module's text.
    notes : tuple of str
        What was assumed, one sentence each.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: str
    notes: tuple[str, ...] = ()

    def size(self, axis: str) -> int:
        """Length of an axis; 1 if the image has none of that name."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def plane(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.size("Y"), self.size("X")

    @property
    def samples(self) -> int:
        """Values of one pixel, alpha included."""
        return self.size("S")

    @property
    def colors(self) -> tuple[int, ...]:
        """Indices of the samples that are not alpha."""
        return tuple(range(self.samples - (self.samples in (2, 4))))

    @property
    def leading(self) -> str:
        """Axes that count planes: all but Y, X and S."""
        return "".join(axis for axis in self.axes if axis not in "YXS")

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Lengths of the axes in `leading`."""
        return tuple(self.size(axis) for axis in self.leading)

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths in `leading_shape` above 1, whatever their axes are called."""
        return tuple(length for length in self.leading_shape if length > 1)

    @property
    def n_planes(self) -> int:
        """Planes over all leading axes."""
        return math.prod(self.leading_shape)

    def output_shape(self, scale: int) -> tuple[int, ...]:
        """Shape after upscaling: Y and X times `scale`, the rest unchanged."""
        pairs = zip(self.shape, self.axes, strict=True)
        return tuple(n * scale if axis in "YX" else n for n, axis in pairs)

    def describe(self) -> str:
        """In a few words, e.g. ``"2048 x 2048, 10 planes, uint16"``."""
        words = [f"{self.size('X')} x {self.size('Y')}"]
        channels, planes = self.size("C"), self.n_planes // self.size("C")
        if "S" in self.axes:
            words.append(_SAMPLE_KINDS[self.samples])
        if channels > 1:
            words.append(f"{channels} channels")
        if planes > 1:
            words.append(f"{planes} planes")
        return ", ".join([*words, self.dtype.name])


def understand(image: ArrayLike, axes: str | None = None) -> ImageSpec:
    """Say what an array holds, or in one sentence why it is no image.

    Parameters
    ----------
    image : array_like
        Real numbers or bool, at least two axes, none of length 0.
    axes : str, optional
        One letter for each axis, such as ``"TCYX"`` or ``"YXS"``. Unnamed, a last
        axis of 3 or 4 in uint8 or uint16 holds colour samples; otherwise the last
        two axes are Y and X.

    Raises
    ------
    ImageError
        If the type is not numeric, an axis is empty, or `axes` does not fit.
    """
    shape, dtype = _shape_and_dtype(image)
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ImageError(
            f"Images of type {dtype} cannot be used; convert to integers or floats."
        )
    if len(shape) < 2:
        raise ImageError(
            f"An image needs at least two axes, Y and X; this array has shape {shape}."
        )
    if 0 in shape:
        raise ImageError(f"The image is empty: its shape is {shape}.")
    if axes is None:
        return _assumed(shape, dtype)
    return ImageSpec(shape, dtype, _checked_axes(axes, shape))


def as_array(image: ArrayLike) -> NDArray:
    """An array of what can be taken for one: lists, lazy arrays, tensors.

    Raises
    ------
    ImageError
        If it cannot.
    """
    try:
        return np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ImageError(f"This is not an image: {error}.") from error


def as_source(image: Any) -> Any:
    """The array itself, left on disk where it is one of dask, zarr or h5py.

    Of an image at several resolutions, a list of arrays or a group in OME-Zarr, it is
    the finest.

    Raises
    ------
    ImageError
        If it is no array and cannot be made one.
    """
    if isinstance(image, np.ndarray):
        return np.asarray(image)  # without a mask, and no matrix
    image = _finest(image)
    lazy = all(hasattr(image, name) for name in ("shape", "dtype", "__getitem__"))
    return image if lazy and isinstance(image.dtype, np.dtype) else as_array(image)


def _finest(image: Any) -> Any:
    if isinstance(image, Sequence) and _shrinks(image):
        return image[0]
    if hasattr(image, "attrs") and not hasattr(image, "shape"):  # a group of zarr
        try:
            about = image.attrs.get("ome", image.attrs)
            return image[about["multiscales"][0]["datasets"][0]["path"]]
        except (KeyError, IndexError, TypeError) as error:
            raise ImageError(
                "The group is no OME-Zarr; give one of its arrays."
            ) from error
    return image


def _shrinks(levels: Sequence[Any]) -> bool:
    """Whether each of some arrays is smaller than the one before; layers say so."""
    shapes = [tuple(getattr(level, "shape", ())) for level in levels]
    smaller = (
        len(a) == len(b) and a != b and all(map(ge, a, b)) for a, b in pairwise(shapes)
    )
    return hasattr(levels, "shape") or (len(shapes) > 1 and all(smaller))


def as_dask(source: Any) -> Any:
    """A dask array of what is read part by part, in its own chunks if it has any."""
    import dask.array as da

    chunks = getattr(source, "chunks", "auto")
    return da.from_array(source, chunks=chunks)  # type: ignore[no-untyped-call]


def _shape_and_dtype(image: Any) -> tuple[tuple[int, ...], np.dtype]:
    try:
        if not hasattr(image, "dtype"):
            image = as_array(image)
        return tuple(int(n) for n in image.shape), np.dtype(image.dtype)
    except (TypeError, ValueError) as error:
        raise ImageError(f"This is not an image: {error}.") from error


def _assumed(shape: tuple[int, ...], dtype: np.dtype) -> ImageSpec:
    looks_like_samples = len(shape) > 2 and shape[-1] in (3, 4)
    colour = looks_like_samples and dtype.kind == "u" and dtype.itemsize <= 2
    tail = "YXS" if colour else "YX"
    n_leading = len(shape) - len(tail)
    axes = leading_axes(n_leading) + tail
    notes = []
    if colour:
        notes.append(
            f"Axes taken as {axes}: the last one, of length {shape[-1]}, as colour samples."
        )
    elif n_leading:
        hint = " (name axes if the last one is colour)" if looks_like_samples else ""
        notes.append(f"Axes taken as {axes}: every plane is upscaled by itself{hint}.")
    return ImageSpec(shape, dtype, axes, tuple(notes))


def leading_axes(count: int, labels: Iterable[str] = ()) -> str:
    """Letters for the axes before Y and X: their labels, where these are letters.

    Parameters
    ----------
    count : int
        How many axes there are.
    labels : iterable of str, optional
        What they are called, the first axis first; more than `count` do no harm. All
        of them must be different single letters other than Y, X and S to be taken.

    Returns
    -------
    str
        `count` letters; without usable labels ``"Z"``, ``"TZ"`` and so on.

    Raises
    ------
    ImageError
        If there are more axes than letters.
    """
    if count > len(_LEADING):
        raise ImageError(f"An image of {count + 2} axes is more than can be handled.")
    letters = [str(label).upper() for label in labels][:count]
    if len(set(letters)) == count and _NAMES_OF_LEADING.issuperset(letters):
        return "".join(letters)
    return _LEADING[len(_LEADING) - count :]


def _checked_axes(axes: str, shape: tuple[int, ...]) -> str:
    if not isinstance(axes, str):
        raise ImageError(f"Axes are named by letters such as 'TCYX', not {axes!r}.")
    axes = axes.upper()
    if len(axes) != len(shape):
        raise ImageError(
            f"Axes {axes!r} name {len(axes)} axes, but the image has {len(shape)}: {shape}."
        )
    if len(set(axes)) < len(axes) or not {"Y", "X"} <= set(axes) or not axes.isalpha():
        raise ImageError(
            f"Axes {axes!r} must be different letters, Y and X among them, e.g. 'TCYX'."
        )
    if "S" in axes and shape[axes.index("S")] not in _SAMPLE_KINDS:
        raise ImageError(
            f"Axis S holds {shape[axes.index('S')]} samples, but a pixel has 1 to 4; "
            "name an axis of channels C."
        )
    return axes


def plane_view(image: NDArray, axes: str) -> NDArray:
    """View with the axes in the order leading, Y, X, S; S is added where it is missing."""
    leading = [i for i, axis in enumerate(axes) if axis not in "YXS"]
    order = [*leading, axes.index("Y"), axes.index("X")]
    if "S" in axes:
        return image.transpose([*order, axes.index("S")])
    return image.transpose(order)[..., np.newaxis]


def read_plane(
    image: Any, axes: str, lead: Sequence[int], box: tuple[slice, slice] | None = None
) -> NDArray:
    """Read one plane, or part of it, of an array that may lie on disk.

    Parameters
    ----------
    image : array
        Anything with a shape that can be indexed by integers and slices.
    axes : str
        One letter for each of its axes.
    lead : sequence of int
        Index along those other than Y, X and S, in their order.
    box : (slice, slice), optional
        Rows and columns to read; all by default.

    Returns
    -------
    ndarray, (Y, X, S)
        A view where `image` is a numpy array.
    """
    places = iter(lead)
    rows, columns = box or (slice(None), slice(None))
    parts = {"Y": rows, "X": columns, "S": slice(None)}
    index = tuple(parts[a] if a in parts else next(places) for a in axes)
    within = "".join(axis for axis in axes if axis in parts)
    try:
        plane = np.asarray(image[index])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ImageError(
            f"A part of the image cannot be read: {error}. If it lies in a file, that may "
            "be damaged; copy or export it again."
        ) from error
    if plane.ndim != len(within):  # a sparse matrix, say
        raise ImageError(
            f"A {type(image).__name__} gives no plain planes; make it a numpy array."
        )
    return plane_view(plane, within)
