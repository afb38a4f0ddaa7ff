"""What can be said of an upscaled image without the true one.

Whether it agrees with its input: made small again it should be the input. And how far
the network agrees with itself when its input is flipped and turned. Neither is an
error: detail that is invented and shrinks to nothing passes both.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_edsr import images, intensities, zoo
from napari_edsr.checkpoints import load_model
from napari_edsr.degradation import shrink
from napari_edsr.errors import ImageError, TrainingError
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.events import PlaneDone
from napari_edsr.images import ImageSpec, Region
from napari_edsr.metrics.common import check_data_range, check_scale
from napari_edsr.train_config import Degradation
from napari_edsr.units import PlanePixelSize

if TYPE_CHECKING:
    from napari_edsr.inference import UpscaleResult
    from napari_edsr.model import EDSR, MDSR

PixelSize = float | PlanePixelSize | None


@dataclass(frozen=True)
class Consistency:
    """How far a result that is made small again differs from the input.

    Attributes
    ----------
    map : ndarray of float32
        The result made small minus the input, in grey levels, mean over the colours;
        of the input's shape without its axis S. NaN where either has no finite value.
    psnr : float
        In dB, over the pixels and colours of all planes together; inf where none
        differ. The literature calls it LR-PSNR (NTIRE challenge on learning the
        super-resolution space, Lugmayr et al., CVPR Workshops 2021).
    rmse : float
        Root mean square of the difference in grey levels.
    data_range : float
        White minus black, which `psnr` refers to.
    degradation : Degradation
        With which the result was made small.
    """

    map: NDArray[np.float32]
    psnr: float
    rmse: float
    data_range: float
    degradation: Degradation


@dataclass(frozen=True)
class Uncertainty:
    """By how much the network contradicts itself when its input is flipped and turned.

    Attributes
    ----------
    map : ndarray of float32
        Standard deviation over the self-ensemble in grey levels, of the shape of the
        upscaled image without its axis S.
    mean : float
        Of the finite values of `map`; NaN without any.
    data_range : float
        White minus black.
    """

    map: NDArray[np.float32]
    mean: float
    data_range: float

    @property
    def share(self) -> float:
        """Of `mean` in the data range, 0-1; NaN for a constant image."""
        return self.mean / self.data_range if self.data_range else math.nan


def model_degradation(model: str | Path | EDSR | MDSR) -> Degradation:
    """Say how the low-resolution images came about that a model was trained with.

    Parameters
    ----------
    model : str, Path, EDSR or MDSR
        A name in the zoo, a weights file, or a loaded model.

    Returns
    -------
    Degradation
        As `recorded_degradation`. The published models, which were trained with
        MATLAB's bicubic, are not downloaded to be asked.

    Raises
    ------
    ModelError, CheckpointError
        If there is no such model, or its file cannot be read.
    """
    card = zoo.find_card(model) if isinstance(model, str) else None
    if card is not None and card.kind == "official":
        return Degradation()
    network = load_model(model) if isinstance(model, str | os.PathLike) else model
    return recorded_degradation(network.provenance.extra)


def recorded_degradation(extra: Mapping[str, Any]) -> Degradation:
    """Read the degradation out of what is saved with a model that was trained here.

    Parameters
    ----------
    extra : mapping
        `Provenance.extra` of the model, which its results carry in
        ``metadata["model"]["extra"]``.

    Returns
    -------
    Degradation
        MATLAB's bicubic where nothing is recorded. Of a model trained on real pairs it
        is that of the configuration, as nobody knows the true one.

    Raises
    ------
    TrainingError
        If the record cannot be understood.
    """
    record: Any = extra
    for key in ("training", "config", "degradation"):
        record = record.get(key) if isinstance(record, Mapping) else None
    return Degradation() if record is None else Degradation.from_dict(record)


def blur_in_result(
    degradation: Degradation, scale: int, pixel_size: PixelSize, unit: str
) -> tuple[float, float]:
    """Standard deviations, along Y and X, of a blur in pixels of the upscaled image.

    Parameters
    ----------
    degradation : Degradation
    scale : int
    pixel_size : float, (float, float) or None
        Of the input, in `unit`, along Y and X if they differ; None if it is not known.
    unit : str

    Raises
    ------
    ImageError
        If the blur is a length and the size of the pixels is not known.
    """
    sizes = pixel_size if isinstance(pixel_size, tuple) else (pixel_size, pixel_size)
    try:
        down, across = (
            degradation.blur_in_pixels(size and size / scale, unit) for size in sizes
        )
    except TrainingError as error:
        raise ImageError(
            f"The model was trained for a blur of {degradation.blur:g} "
            f"{degradation.blur_unit}; give the image its pixel size in nm, µm or mm."
        ) from error
    return down, across


def shrinking(degradation: Degradation) -> str:
    """In words how it makes an image small: ``"bicubic"``, ``"area, blur 1 px"``."""
    if not degradation.blur:
        return degradation.shrink
    return f"{degradation.shrink}, blur {degradation.blur:g} {degradation.blur_unit}"


def iter_consistency(
    result: ArrayLike,
    lr: ArrayLike,
    *,
    scale: int,
    axes: str | None = None,
    result_axes: str | None = None,
    region: Region | None = None,
    degradation: Degradation | None = None,
    data_range: float | None = None,
    pixel_size: PixelSize = None,
    unit: str = "",
) -> Generator[PlaneDone, None, Consistency]:
    """Make an upscaled image small again and compare it with its input, plane by plane.

    Blur and shrinking are those of `degradation`, computed in the result's own type as
    training does it: integers are rounded after each step, so that the true
    high-resolution image of a low-resolution one made here differs by nothing at all.
    Noise and JPEG are left out, since they cannot be undone: with them in the input, no
    result agrees with it fully. At the edges of a region the image counts as mirrored,
    and pixels there say less.

    Parameters
    ----------
    result : array_like
        The upscaled image. It may lie on disk (dask, zarr).
    lr : array_like
        Its input; real numbers or bool.
    scale : int
        How many times as many rows and columns `result` has.
    axes : str, optional
        One letter an axis of `lr`, e.g. ``"TCYX"``; see `napari_edsr.images`.
    result_axes : str, optional
        Of `result`, where it has other axes of length 1.
    region : mapping of str to (int, int), optional
        Part of `lr` that the result shows, as for `napari_edsr.iter_upscale`.
    degradation : Degradation, optional
        That of the model, see `model_degradation`; MATLAB's bicubic by default.
    data_range : float, optional
        White minus black. By default the range of an integer type, and the largest
        value of `lr` minus its smallest for floats.
    pixel_size : float or (float, float), optional
        Of `lr`, along Y and X if they differ, for a blur given as a length.
    unit : str
        Of `pixel_size`: ``"nm"``, ``"µm"`` ...

    Yields
    ------
    PlaneDone
        After each plane.

    Returns
    -------
    Consistency

    Raises
    ------
    ImageError
        If the two do not fit, or a range or pixel size cannot be used.
    """
    result, lr = images.as_source(result), images.as_source(lr)
    spec = images.understand(lr, axes)
    large = images.understand(result, result_axes or spec.axes)
    check_scale(scale)
    if data_range is not None:
        check_data_range(data_range)
    slices = region_slices(spec, region)
    _check_fit(large, spec, slices, scale)
    degradation = degradation or Degradation()
    blur = blur_in_result(degradation, scale, pixel_size, unit)
    tally = _Tally(spec, slices)
    box = slices["Y"], slices["X"]
    colours = len(spec.colors)
    for done, (place, lead, at) in enumerate(_places(large, spec, slices), start=1):
        small = images.read_plane(lr, spec.axes, lead, box)[..., :colours]
        whole = images.read_plane(result, large.axes, place)[..., :colours]
        filled, missing = _filled(whole, scale)
        again = shrink(filled, scale, degradation, blur=blur)
        tally.add(at, again, small, missing)
        yield PlaneDone(done, large.n_planes)
    return tally.outcome(degradation, data_range)


def _check_fit(
    large: ImageSpec, small: ImageSpec, slices: Mapping[str, slice], scale: int
) -> None:
    """Refuse a result that is not `scale` times the input, or its region."""
    shape = region_shape(slices, scale)
    wanted = ImageSpec(shape, small.dtype, small.axes)
    if (
        large.plane != wanted.plane
        or large.samples != wanted.samples
        or large.stack_shape != wanted.stack_shape
    ):
        raise ImageError(
            f"A result of shape {large.shape} is not x{scale} of this input, which would "
            f"be {shape}; choose the image it was made from, and its scale."
        )


def _places(
    large: ImageSpec, small: ImageSpec, slices: Mapping[str, slice]
) -> zip[tuple[tuple[int, ...], ...]]:
    """Index of each plane in the result, in the input, and in the part compared."""
    parts = [range(slices[axis].start, slices[axis].stop) for axis in small.leading]
    return zip(
        np.ndindex(*large.leading_shape),
        itertools.product(*parts),
        np.ndindex(*map(len, parts)),
        strict=True,
    )


def _filled(plane: NDArray, scale: int) -> tuple[NDArray, NDArray[np.bool_]]:
    """Without NaN and infinities, and the pixels of the input that had some."""
    parts = [intensities.fill_nonfinite(sample) for sample in np.moveaxis(plane, -1, 0)]
    filled = np.stack([part for part, _ in parts], axis=-1)
    if filled.dtype.kind == "b":
        filled = filled.astype(np.float32)
    bad = ~np.isfinite(plane).all(axis=-1)
    height, width = bad.shape
    blocks = bad.reshape(height // scale, scale, width // scale, scale)
    return filled, blocks.any(axis=(1, 3))


@dataclass
class _Tally:
    """The map as planes come in, and the sums over all of them."""

    spec: ImageSpec
    slices: Mapping[str, slice]
    squares: float = 0.0
    count: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    map: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        axes = self.spec.axes.replace("S", "")
        parts = (self.slices[axis] for axis in axes)
        self.map = np.empty([part.stop - part.start for part in parts], np.float32)
        self._view = images.plane_view(self.map, axes)[..., 0]

    def add(
        self,
        at: tuple[int, ...],
        again: NDArray,
        small: NDArray,
        missing: NDArray[np.bool_],
    ) -> None:
        """Compare a plane (Y, X, S), but for the pixels in which something is missing."""
        used = np.isfinite(small).all(axis=-1) & ~missing
        values = small[used].astype(np.float64)
        difference = again[used] - values
        self._view[at] = np.nan
        self._view[at][used] = difference.mean(axis=-1)
        self.squares += float(np.square(difference).sum())
        self.count += difference.size
        self.lowest = min(self.lowest, float(values.min(initial=math.inf)))
        self.highest = max(self.highest, float(values.max(initial=-math.inf)))

    def outcome(
        self, degradation: Degradation, data_range: float | None
    ) -> Consistency:
        """The numbers, over all that could be compared."""
        error = self.squares / self.count if self.count else math.nan
        if data_range is None:
            measured = self.spec.dtype.kind == "f" and self.count
            extremes = (self.lowest, self.highest) if measured else None
            data_range = _range(self.spec.dtype, extremes)
        psnr = _psnr(error, data_range)
        return Consistency(self.map, psnr, math.sqrt(error), data_range, degradation)


def _range(dtype: np.dtype, extremes: tuple[float, float] | None) -> float:
    """White minus black: that of the extremes, or else of the type."""
    lowest, highest = extremes or intensities.dtype_range(dtype)
    return highest - lowest


def _psnr(error: float, data_range: float) -> float:
    """In dB, of a mean squared error; -inf for a constant image that is not met."""
    if error == 0:
        return math.inf
    return 10 * math.log10(data_range**2 / error) if data_range else -math.inf


def measured_uncertainty(
    result: UpscaleResult, data_range: float | None = None
) -> Uncertainty:
    """Put the uncertainty of a result into one number: its mean over all pixels.

    It is high where the network has to guess. It is no error bar: eight answers can
    agree and be wrong together, and a bias shows in none of them.

    Parameters
    ----------
    result : UpscaleResult
        Of `napari_edsr.iter_upscale` with ``uncertainty=True``.
    data_range : float, optional
        White minus black. By default the range of an integer type, and the largest
        value of the upscaled image minus its smallest for floats.

    Raises
    ------
    ImageError
        If the run kept no uncertainty.
    """
    spread = result.uncertainty
    if spread is None:
        raise ImageError(
            "This result has no uncertainty; ask for it and upscale again."
        )
    if data_range is None:
        data_range = _range(result.image.dtype, _extremes(result))
    known = spread[np.isfinite(spread)]
    mean = float(known.mean(dtype=np.float64)) if known.size else math.nan
    return Uncertainty(spread, mean, data_range)


def _extremes(result: UpscaleResult) -> tuple[float, float] | None:
    """Least and greatest finite value of the colours of a float image, if there are."""
    if result.image.dtype.kind != "f":
        return None
    spec = images.understand(result.image, result.axes)
    colours = images.plane_view(result.image, spec.axes)[..., : len(spec.colors)]
    finite = colours[np.isfinite(colours)]
    return (float(finite.min()), float(finite.max())) if finite.size else None
