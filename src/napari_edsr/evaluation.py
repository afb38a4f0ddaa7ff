"""Scores of whole images: plane by plane, and over files."""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_edsr import file_headers
from napari_edsr.errors import ImageError
from napari_edsr.events import ImageDone, PlaneMeasured, relay
from napari_edsr.files import ImageFile
from napari_edsr.files.colour import as_displayed
from napari_edsr.images import ImageSpec, as_source, read_plane, understand
from napari_edsr.metrics import Score, score
from napari_edsr.metrics.common import refuse_mask


@dataclass(frozen=True)
class PlaneScore:
    """What was measured on one plane.

    Attributes
    ----------
    place : tuple of int
        Its index along the leading axes; empty for a single plane.
    score : Score
    """

    place: tuple[int, ...]
    score: Score


@dataclass(frozen=True)
class FileScore:
    """What was measured on the planes of a file.

    Attributes
    ----------
    name : str
        Of the prediction, without suffix.
    leading : str
        Letters of the axes that count planes.
    planes : tuple of PlaneScore
        In the order of the axes, the last one fastest.
    notes : tuple of str
        What was converted or assumed in reading, one sentence each.
    """

    name: str
    leading: str
    planes: tuple[PlaneScore, ...]
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> Score:
        """As `mean_score` has it."""
        return mean_score([plane.score for plane in self.planes])


def iter_scores(
    prediction: ArrayLike,
    truth: ArrayLike,
    axes: str | None = None,
    *,
    protocol: str = "mmagic",
    scale: int | None = None,
    border: int | None = None,
    data_range: float | None = None,
    colour: str | None = None,
) -> Generator[PlaneMeasured, None, list[PlaneScore]]:
    """Compare every plane of two images; closing the generator cancels.

    Parameters
    ----------
    prediction, truth : array_like
        With as many planes; arrays on disk (dask, zarr) are read plane by plane.
    axes : str, optional
        One letter for each axis of both, as `napari_edsr.images` understands them.
    protocol, scale, border, data_range, colour
        As for `napari_edsr.score`. The data range is one for all planes, so that they
        can be compared.

    Yields
    ------
    PlaneMeasured

    Returns
    -------
    list of PlaneScore
        In the order of the leading axes, the last one fastest.

    Raises
    ------
    ImageError
        If the images do not match each other or the protocol.
    """
    for image in (prediction, truth):
        refuse_mask(image)
    spec = understand(truth, axes)
    _check_same_planes(understand(prediction, spec.axes), spec)
    prediction, truth = as_source(prediction), as_source(truth)
    scores = []
    for place in np.ndindex(*spec.leading_shape):
        measured = score(
            read_plane(prediction, spec.axes, place),
            read_plane(truth, spec.axes, place),
            scale=scale,
            protocol=protocol,
            border=border,
            data_range=data_range,
            colour=colour,
        )
        scores.append(PlaneScore(place, measured))
        yield PlaneMeasured(len(scores), spec.n_planes, place, measured)
    return scores


def _check_same_planes(prediction: ImageSpec, truth: ImageSpec) -> None:
    if prediction.leading_shape != truth.leading_shape:
        raise ImageError(
            f"Along the axes {truth.leading} the prediction has "
            f"{prediction.leading_shape} planes and the truth {truth.leading_shape}; "
            "choose the same planes of both."
        )


def mean_score(scores: Sequence[Score]) -> Score:
    """Mean of scores, as tables have it: of decibels, not of errors.

    Parameters
    ----------
    scores : sequence of Score
        By one protocol.

    Returns
    -------
    Score
        Each metric's mean. One that is NaN, or inf, makes the mean so: nothing is left
        out silently. `left_out` is the sum; colours that differ are ``"mixed"``, and a
        data range that differs is NaN.

    Raises
    ------
    ImageError
        If there are none.
    """
    if not scores:
        raise ImageError("There are no scores to take the mean of.")
    colours = {one.colour for one in scores}
    ranges = {one.data_range for one in scores}
    return replace(
        scores[0],
        psnr=statistics.fmean(one.psnr for one in scores),
        ssim=statistics.fmean(one.ssim for one in scores),
        mae=statistics.fmean(one.mae for one in scores),
        rmse=statistics.fmean(one.rmse for one in scores),
        range_invariant_psnr=statistics.fmean(
            one.range_invariant_psnr for one in scores
        ),
        colour=colours.pop() if len(colours) == 1 else "mixed",
        data_range=ranges.pop() if len(ranges) == 1 else math.nan,
        left_out=sum(one.left_out for one in scores),
    )


def iter_evaluate(
    pairs: Sequence[tuple[Path, Path]], **options: Any
) -> Generator[ImageDone, None, list[FileScore]]:
    """Compare files with their truths; closing the generator cancels.

    Parameters
    ----------
    pairs : sequence of (Path, Path)
        Prediction and truth, image files or OME-Zarr; of one size, but a grey and a
        colour image match where the protocol takes grey for colour.
    **options
        As for `iter_scores`.

    Yields
    ------
    ImageDone
        Also after each plane of an image.

    Returns
    -------
    list of FileScore
        In the order of `pairs`.

    Raises
    ------
    ImageError
        If images do not match each other or the protocol; it names the file.
    FileError
        As `napari_edsr.file_headers.read`.
    """
    scores = []
    for number, paths in enumerate(pairs):
        images = _read(paths)
        truth = images[1]
        prediction = _in_order_of(truth, images[0])
        job = iter_scores(prediction.data, truth.data, truth.axes, **options)
        try:
            _check_same_axes(prediction, truth)
            planes = yield from relay(
                job, partial(ImageDone.at_work, number, len(pairs))
            )
        except ImageError as error:
            raise ImageError(f"{paths[0].name}: {error}") from error
        leading = truth.axes.removesuffix("YXS")
        name, notes = paths[0].stem.removesuffix(".ome"), _notes(paths, images)
        scores.append(FileScore(name, leading, tuple(planes), notes))
        yield ImageDone(number + 1, len(pairs))
    return scores


def _read(paths: tuple[Path, Path]) -> tuple[ImageFile, ImageFile]:
    prediction, truth = (
        _with_samples(as_displayed(file_headers.read(path))) for path in paths
    )
    if len(prediction.axes) != len(truth.axes):
        return _without_single(prediction), _without_single(truth)
    return prediction, truth


def _without_single(image: ImageFile) -> ImageFile:
    """Without leading axes of length 1, which an OME-Zarr may have for any image."""
    leading = image.axes.removesuffix("YXS")
    kept = [axis for axis in image.axes if axis not in leading or image.size(axis) > 1]
    places = tuple(slice(None) if axis in kept else 0 for axis in image.axes)
    return replace(image, data=image.data[places], axes="".join(kept))


def _check_same_axes(prediction: ImageFile, truth: ImageFile) -> None:
    if len(prediction.axes) != len(truth.axes):
        raise ImageError(
            f"The prediction has the axes {_own_axes(prediction)} and the truth "
            f"{_own_axes(truth)}; save both in one way."
        )


def _own_axes(image: ImageFile) -> str:
    """Without the axis S that a grey image was given."""
    return image.axes.removesuffix("S") if image.data.shape[-1] == 1 else image.axes


def _in_order_of(truth: ImageFile, prediction: ImageFile) -> ImageFile:
    """With its axes in the truth's order, if they have the same letters."""
    if sorted(prediction.axes) != sorted(truth.axes):
        return prediction
    order = [prediction.axes.index(axis) for axis in truth.axes]
    return replace(prediction, data=prediction.data.transpose(order), axes=truth.axes)


def _with_samples(image: ImageFile) -> ImageFile:
    """With an axis S, of length 1 where the file has none, so that grey fits colour."""
    if "S" in image.axes:
        return image
    return replace(image, data=image.data[..., np.newaxis], axes=image.axes + "S")


def _notes(
    paths: tuple[Path, Path], images: tuple[ImageFile, ImageFile]
) -> tuple[str, ...]:
    return tuple(
        f"{path.name}: {note}"
        for path, image in zip(paths, images, strict=True)
        for note in image.notes
    )
