"""Images on disk as sources to learn from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from napari_edsr import files
from napari_edsr.errors import TrainingError
from napari_edsr.intensities import Range
from napari_edsr.train_config import DataConfig
from napari_edsr.training_data import Source, Window


def find_sources(data: DataConfig) -> tuple[list[Source], list[Source]]:
    """Images to learn from, and those to measure on.

    Raises
    ------
    TrainingError
        If there are none, or the sides of pairs do not match.
    """
    learn = _sources(data.hr, data.lr, data.normalize)
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


def find_images(places: Iterable[str]) -> list[Path]:
    """Image files of files, globs and folders, each place in alphabetical order.

    Raises
    ------
    TrainingError
        If there is no image at one of the places.
    """
    found = []
    for place in places:
        path = Path(place)
        inside = [path] if path.is_file() else files.images_at(place)
        if not inside:
            raise TrainingError(f"There are no images at {place}; check the path.")
        found.extend(inside)
    return found


def _sources(
    hr: Iterable[str], lr: Iterable[str], normalize: str | tuple[float, ...]
) -> list[Source]:
    highs, lows = find_images(hr), find_images(lr)
    if lows and len(lows) != len(highs):
        raise TrainingError(
            f"There are {len(highs)} high-resolution images but {len(lows)} "
            "low-resolution ones; name one for each."
        )
    by_name = {path.stem: path for path in lows}
    unique = len(by_name) == len(lows)  # else their order is all there is
    if unique and all(path.stem in by_name for path in highs):
        lows = [by_name[path.stem] for path in highs]
    return [
        Source(
            name=high.name,
            read=partial(files.read_image, high),
            read_lr=partial(files.read_image, lows[i]) if lows else None,
            normalize=cast("str | Range", normalize),
        )
        for i, high in enumerate(highs)
    ]
