"""Results of files as layers, with what their files say of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.colormaps import Colormap
from qtpy.QtCore import QObject, Signal

from napari_edsr._qt.job_slot import JobSlot
from napari_edsr._qt.layers import METADATA_KEY
from napari_edsr._qt.live import file_of, note_file
from napari_edsr.file_headers import read
from napari_edsr.files import ImageFile
from napari_edsr.stores.read import is_zarr
from napari_edsr.stores.result import levels

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


@dataclass(frozen=True)
class Opened:
    """An image that was read: what `Viewer.add_image` takes."""

    path: str
    data: Any
    settings: dict[str, Any]


def iter_open(path: str) -> Generator[None, None, Opened]:
    """Read a result; the job of a worker."""
    yield
    place = Path(path)
    image = read(place)
    data = levels(place, image.axes) if is_zarr(place) else image.data
    return Opened(path, data, layer_settings(image, place))


def layer_settings(image: ImageFile, path: Path) -> dict[str, Any]:
    """Arguments of `Viewer.add_image`: a layer for each channel, in the world of the file.

    Parameters
    ----------
    image : ImageFile
    path : Path
        Of which it is.
    """
    axes = image.axes.replace("S", "").replace("C", "")
    origin = image.metadata.get("origin", {})
    settings: dict[str, Any] = {
        "name": path.name,
        "rgb": "S" in image.axes,
        "scale": [image.pixel_size.get(axis, 1.0) for axis in axes],
        "translate": [origin.get(axis, 0.0) for axis in axes],
        "units": [_unit(image, axis) for axis in axes],
        "multiscale": is_zarr(path),
        "metadata": {METADATA_KEY: dict(image.provenance or {})},
    }
    if "C" in image.axes:
        return {**settings, **_channels(image, path)}
    if image.contrast_limits and "S" not in image.axes:
        settings["contrast_limits"] = image.contrast_limits[0]
    if colors := image.metadata.get("colors"):
        settings["colormap"] = _colormap(colors[0])
    return settings


def _unit(image: ImageFile, axis: str) -> str:
    """As napari names it."""
    if axis not in image.pixel_size:
        return "pixel"
    return "second" if axis == "T" else image.unit or "pixel"


def _channels(image: ImageFile, path: Path) -> dict[str, Any]:
    count = image.size("C")
    names = image.channel_names or tuple(f"channel {i}" for i in range(count))
    settings: dict[str, Any] = {
        "channel_axis": image.axes.index("C"),
        "name": [f"{path.name} {name}" for name in names],
        "rgb": None,
    }
    if image.contrast_limits and len(image.contrast_limits) == count:
        settings["contrast_limits"] = image.contrast_limits
    colors = image.metadata.get("colors") or ()
    if len(colors) == count:
        settings["colormap"] = [_colormap(color) for color in colors]
    return settings


def _colormap(color: str) -> Colormap:
    """From black to a colour that is written as in HTML, without its sign."""
    white = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return Colormap([[0, 0, 0, 1], [*white, 1]], name=f"black to #{color}")


class ResultOpener(JobSlot):
    """Opens results in a viewer, each once.

    Signals
    -------
    opened(list of Layer)
    """

    opened = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._waiting: deque[str] = deque()

    def open(self, path: str) -> None:
        """Open a result, or select the layers that show it."""
        if layers := self._layers_of(path):
            self._viewer.layers.selection = set(layers)
            return
        if self.is_running:
            self._waiting.append(path)
            return
        job = self.make(iter_open(path), f"Opening {Path(path).name}")
        if job is not None:
            job.returned.connect(self._on_read)
            job.start()

    def stop(self) -> None:
        """Break off what is being read, and forget what waits."""
        self._waiting.clear()
        super().stop()

    def _on_ended(self) -> None:
        super()._on_ended()
        while self._waiting and not self.is_running:
            self.open(self._waiting.popleft())

    def forget(self, path: str) -> None:
        """Let a result that was made anew be read anew."""
        for layer in self._layers_of(path):
            note_file(layer, "")

    def _layers_of(self, path: str) -> list[Layer]:
        return [layer for layer in self._viewer.layers if file_of(layer) == path]

    def _on_read(self, opened: Opened) -> None:
        added = self._viewer.add_image(opened.data, **opened.settings)
        layers = added if isinstance(added, list) else [added]
        for layer in layers:
            note_file(layer, opened.path)
        self.opened.emit(layers)
