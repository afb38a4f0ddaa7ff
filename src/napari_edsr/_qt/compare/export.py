"""Export figure…: what is seen now, measured in the background, written at the end."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.compare.colours import coloured
from napari_edsr._qt.compare.curtain import Curtain
from napari_edsr._qt.compare.figure import (
    Figure,
    Panel,
    ScaleBar,
    Title,
    save_figure,
)
from napari_edsr._qt.compare.loupe import Loupe
from napari_edsr._qt.compare.mode import Mode
from napari_edsr._qt.compare.sampling import sample_window
from napari_edsr._qt.compare.scores import Box, box_in, decibels, pair_of, range_text
from napari_edsr._qt.compare.window import Window, World, check_view, visible_window
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.worker import Job
from napari_edsr.errors import EDSRError, ImageError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

_PANEL = 700  # pixels that the longer side of a panel has at least


@dataclass(frozen=True)
class Shot:
    """What is to be in the figure.

    Attributes
    ----------
    layers : tuple of Image
        In the order of the panels; of a curtain its two sides.
    pictures : tuple of ndarray
        One for each layer, but of a curtain only one.
    window : Window
        The part of the world that they show.
    world : World
        As it was then.
    truth : Image, optional
    """

    layers: tuple[Image, ...]
    pictures: tuple[NDArray[np.uint8], ...]
    window: Window
    world: World
    truth: Image | None = None


def take_shot(
    viewer: ViewerModel,
    layers: Sequence[Image],
    mode: Mode | None,
    truth: Image | None,
) -> Shot:
    """What a viewer shows of layers, as the mode shows it.

    Raises
    ------
    ImageError
        If there is nothing to be seen.
    """
    check_view(viewer)
    chosen = tuple(mode.layers if mode is not None else layers)
    if not chosen:
        raise ImageError("Tick a layer to export a figure.")
    if isinstance(mode, Loupe):
        window: Window | None = mode.window
    else:
        window = visible_window(viewer, chosen)
    if window is None:
        raise ImageError("None of the layers is in view; move the view to them.")
    factor = math.ceil(_PANEL / max(window.shape))
    window = window.denser(factor)
    world = World.of(viewer)
    pictures = tuple(
        coloured(layer, sample_window(world, layer, window)) for layer in chosen
    )
    if isinstance(mode, Curtain):
        pictures = (mode.joined(pictures, window, factor),)
    return Shot(chosen, pictures, window, world, truth)


def iter_numbers(shot: Shot) -> Generator[None, None, list[str]]:
    """PSNR and SSIM of each layer over what is shown; the job of a worker.

    Yields
    ------
    None
        Before each layer.

    Returns
    -------
    list of str
    """
    box = box_in(shot.world, shot.truth, shot.window) if shot.truth else None
    texts = []
    for layer in shot.layers:
        yield
        texts.append(_numbers(shot, layer, box))
    return texts


def _numbers(shot: Shot, layer: Image, box: Box | None) -> str:
    """In words; empty where nothing can be measured."""
    truth = shot.truth
    if truth is None or box is None:
        return ""
    if layer is truth:
        return "reference"
    try:
        pair = pair_of(shot.world, layer, truth, box)
    except ImageError:
        return ""
    ssim = pair.ssim()
    parts = [decibels(pair.psnr()), *([] if ssim is None else [f"SSIM {ssim:.4f}"])]
    return ", ".join(parts)


def make_figure(shot: Shot, numbers: Sequence[str]) -> Figure:
    """Put the panels together."""
    titles = [
        Title(layer.name, text)
        for layer, text in zip(shot.layers, numbers, strict=True)
    ]
    if len(shot.pictures) < len(titles):
        panels = [Panel(shot.pictures[0], tuple(titles))]
    else:
        pairs = zip(shot.pictures, titles, strict=True)
        panels = [Panel(picture, (title,)) for picture, title in pairs]
    units = shot.world.units
    width = abs(shot.window.step[1]) * shot.window.shape[1]
    bar = ScaleBar.of(width, units[-1]) if units else None
    note = range_text(shot.truth) if shot.truth is not None else ""
    return Figure(tuple(panels), bar, note)


class FigureWriter(QObject):
    """Measures in the background, then paints and writes.

    Signals
    -------
    changed
        It began or ended.
    saved(str)
        Path of the file.
    failed(Failure)
    """

    changed = Signal()
    saved = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._asked: tuple[Shot, Path] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a figure is being made."""
        return self._job is not None

    def write(self, shot: Shot, path: str) -> None:
        """Begin; `saved` or `failed` tells when it is over."""
        if self.is_running:
            return
        title = f"Measuring for {Path(path).name}"
        job = self._job = Job(iter_numbers(shot), title, self)
        self._asked = shot, Path(path)
        job.returned.connect(self._on_measured)
        job.failed.connect(self._on_failed)
        job.cancel_asked.connect(self.stop)
        job.ended.connect(self._on_ended)
        job.start()
        self.changed.emit()

    def stop(self) -> None:
        """Write nothing, after the layer at work."""
        if self._job is not None:
            self._job.stop()

    def _on_measured(self, numbers: list[str]) -> None:
        assert self._asked is not None
        shot, path = self._asked
        try:
            save_figure(make_figure(shot, numbers), path)
        except EDSRError as error:
            self._on_failed(error)
        else:
            self.saved.emit(str(path))

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(Failure.of(error, "Exporting the figure"))

    def _on_ended(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.deleteLater()
        self.changed.emit()
