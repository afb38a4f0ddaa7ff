"""Save YAML…: the run as a configuration that repeats it without the viewer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from napari_edsr import files, zoo
from napari_edsr._qt.finetune.requests import FinetuneRequest, Lesson
from napari_edsr._qt.layer_part import LayerPart
from napari_edsr.atomic import make_folder
from napari_edsr.errors import FileError
from napari_edsr.train_config import DataConfig, TrainConfig, save_config


def iter_export(request: FinetuneRequest, path: str) -> Generator[None, None, str]:
    """Write the configuration, and the layers as TIFF into a folder beside it.

    Yields
    ------
    None
        After each image.

    Returns
    -------
    str
        `path`.

    Raises
    ------
    FileError
        If something cannot be written.
    """
    target = Path(path)
    folder = target.with_name(f"{target.stem}-images")
    if folder.exists() and not target.exists():
        raise FileError(
            f"{folder} is there already; choose another name for the run, or move it."
        )
    highs: list[str] = []
    lows: list[str] = []
    for number, lesson in enumerate(request.lessons):
        highs.append(_write(lesson.hr, folder / "hr", number))
        yield
        if lesson.lr is not None:
            lows.append(_write(lesson.lr, folder / "lr", number))
            yield
    data = _with_images(request.config.data, highs, lows, request.lessons)
    start = _start(request.config, folder)
    save_config(replace(request.config, data=data, start=start), target)
    return path


def _write(part: LayerPart, folder: Path, number: int) -> str:
    """Write the pixels of a layer; its path as the configuration has it."""
    make_folder(folder)
    path = folder / f"{number:03}.tif"
    files.write_image(path, part.read())
    return _beside(path, folder.parent.parent)


def _beside(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _with_images(
    data: DataConfig, highs: list[str], lows: list[str], lessons: Sequence[Lesson]
) -> DataConfig:
    """The data of the run with the layers before the folders, as it has them."""
    data = replace(data, hr=(*highs, *data.hr), lr=(*lows, *data.lr))
    parts = [lesson.held_out for lesson in lessons]
    if any(isinstance(part, tuple) for part in parts):
        windows = [part if isinstance(part, tuple) else () for part in parts]
        return replace(data, windows=tuple(windows))
    return data


def _start(config: TrainConfig, folder: Path) -> str:
    """The model to start from: one that only this computer has goes along."""
    card = zoo.find_card(config.start)
    if card is None:
        source = Path(config.start)
    elif card.kind == "imported":
        source = card.path
    else:
        return config.start
    copy = make_folder(folder) / f"start{source.suffix}"
    shutil.copyfile(source, copy)
    return _beside(copy, folder.parent)
