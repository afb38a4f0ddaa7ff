"""Images on disk as sources to learn from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

from napari_edsr import files
from napari_edsr.errors import FileError, TrainingError
from napari_edsr.files.matching import matching_images
from napari_edsr.intensities import Range
from napari_edsr.train_config import DataConfig
from napari_edsr.training_data import Source, Window


def find_sources(data: DataConfig) -> tuple[list[Source], list[Source]]:
    """Images to learn from, and those to measure on, which are never learned from.

    Raises
    ------
    TrainingError
        If there are none at a place, or not as many on both sides of pairs.
    FileError
        If the names do not tell which two belong together.
    """
    measured = frozenset(chain(*map(_images_at, data.validation_hr)))
    learn = _sources(data.hr, data.lr, data.normalize, without=measured)
    if data.hr and not learn:
        raise TrainingError(
            "All images of hr are in validation_hr too, which are only measured; leave "
            "some out of validation_hr."
        )
    if not learn:
        raise TrainingError("Name at least one image, glob or folder to learn from.")
    measure = _sources(data.validation_hr, data.validation_lr, data.normalize)
    if not measure:
        kept = _kept_aside(data, len(learn))
        learn = [
            replace(source, held_out=part)
            for source, part in zip(learn, kept, strict=True)
        ]
    return learn, measure


def _kept_aside(data: DataConfig, images: int) -> list[Window | float]:
    if not data.windows:
        return [data.held_out] * images
    if len(data.windows) != images:
        raise TrainingError(
            f"There are {images} images but {len(data.windows)} windows to keep aside; "
            "name one for each."
        )
    return [cast(Window, window) if window else 0.0 for window in data.windows]


def _images_at(place: str) -> list[Path]:
    """A file, or those of a glob or a folder in alphabetical order."""
    path = Path(place)
    found = [path] if path.is_file() else files.images_at(place)
    if not found:
        raise TrainingError(f"There are no images at {place}; check the path.")
    return found


def _sources(
    hr: Sequence[str],
    lr: Sequence[str],
    normalize: str | tuple[float, ...],
    without: Collection[Path] = (),
) -> list[Source]:
    places = [_images_at(place) for place in hr]
    highs = list(chain(*places))
    lows = _low_sides(places, [_images_at(place) for place in lr])
    return [
        Source(
            name=name,
            read=partial(files.read_image, high),
            read_lr=partial(files.read_image, low) if low else None,
            normalize=cast("str | Range", normalize),
        )
        for name, high, low in zip(_names(highs), highs, lows, strict=True)
        if high not in without
    ]


def _names(paths: Sequence[Path]) -> list[str]:
    """Short ones that tell the images apart."""
    short = [path.name for path in paths]
    long = [f"{path.parent.name}/{path.name}" for path in paths]
    return next(
        (names for names in (short, long) if len(set(names)) == len(names)),
        [str(path) for path in paths],
    )


def _low_sides(
    hr: Sequence[list[Path]], lr: Sequence[list[Path]]
) -> Sequence[Path | None]:
    """Of each image the low-resolution one: by name among all, or place by place."""
    highs, lows = list(chain(*hr)), list(chain(*lr))
    if not lr:
        return [None] * len(highs)
    if len(lows) != len(highs):
        raise TrainingError(
            f"There are {len(highs)} high-resolution images but {len(lows)} "
            "low-resolution ones; name one for each."
        )
    try:
        return matching_images(highs, lows)
    except FileError:
        if len(hr) != len(lr):
            raise
    return list(chain.from_iterable(map(_of_place, hr, lr)))


def _of_place(highs: list[Path], lows: list[Path]) -> list[Path]:
    """Two single files belong together, whatever they are called."""
    return lows if len(highs) == len(lows) == 1 else matching_images(highs, lows)
