"""Save…: a result to a file, through the writer of the command line."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_edsr._qt import settings
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.to_file import plain_name
from napari_edsr._qt.worker import Job

_FILE_TYPES = "TIFF (*.tif *.tiff);;PNG (*.png);;JPEG (*.jpg *.jpeg)"


def iter_write(
    path: str, data: Any, meta: dict[str, Any]
) -> Generator[None, None, str]:
    """Write a layer's data; the job of a worker."""
    yield
    from napari_edsr.files import napari_write

    (written,) = napari_write(path, data, meta)
    return written


def file_name(layer_name: str) -> str:
    """A layer's name as a file name that every system takes."""
    return plain_name(layer_name) + ".tif"


def ask_path(window: QWidget, title: str, name: str, types: str) -> str:
    """Ask where to write; empty if the user thinks better of it.

    A name that is left without a suffix gets that of `name`. If there is such a file
    already, the dialog comes again, to ask about replacing it.
    """
    folder = Path(settings.load("remembered")["folder"] or Path.home())
    suggestion, suffix = str(folder / name), Path(name).suffix
    while True:
        path, _ = QFileDialog.getSaveFileName(window, title, suggestion, types)
        if not path:
            return ""
        if Path(path).suffix.lower() in _suffixes(types):
            break
        path = suggestion = path + suffix
        if not Path(path).exists():
            break
    settings.save("remembered", folder=str(Path(path).parent))
    return path


def _suffixes(types: str) -> set[str]:
    """Of the file types of a dialog, e.g. ``{".tif", ".tiff"}``."""
    return set(re.findall(r"\*(\.\w+)", types))


class ResultSaver(QObject):
    """Asks where, and writes in the background.

    Signals
    -------
    saved(str)
        Path of the file.
    failed(Failure)
    """

    saved = Signal(object)
    failed = Signal(object)

    def ask_and_save(self, window: QWidget, layer: Image) -> None:
        """Ask for a file, and write the layer to it unless the user thinks better of it."""
        path = ask_path(window, "Save result", file_name(layer.name), _FILE_TYPES)
        if path:
            self.save(path, layer)

    def save(self, path: str, layer: Image) -> None:
        """Write the layer to `path`."""
        job = Job(
            iter_write(path, layer.data, layer.as_layer_data_tuple()[1]),
            f"Saving {Path(path).name}",
            self,
            is_cancelable=False,
        )
        job.returned.connect(self.saved)
        job.failed.connect(self._on_failed)
        job.ended.connect(job.deleteLater)
        job.start()

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(Failure.of(error, "Saving"))
