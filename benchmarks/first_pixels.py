"""How soon after *Upscale* was pressed a result is on the screen.

``python benchmarks/first_pixels.py`` opens a viewer with a photograph of 512 x 512 px,
waits until torch is there, as it is after some seconds with the dock, and presses the button a
few times. It prints when the layer appears, when its first finished rows are drawn, and
when the run ends: seconds since the press, medians and ranges.
"""

from __future__ import annotations

import statistics
import time

import napari
import numpy as np
from qtpy.QtCore import QEvent, QEventLoop, QObject, QTimer
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication
from rich.console import Console

from napari_edsr import samples
from napari_edsr._qt.news import layer_news
from napari_edsr._qt.upscale_widget import UpscaleWidget

SIDE, REPEATS = 512, 5
MOMENTS = ("layer", "pixels", "end")


def photo() -> np.ndarray:
    """The sample photograph, mirrored at its edges until it has the size."""
    found = samples.photo_hr()
    rows, columns = (max(0, SIDE - size) for size in found.shape[:2])
    return np.pad(found, ((0, rows), (0, columns), (0, 0)), "symmetric")[:SIDE, :SIDE]


class Stopwatch(QObject):
    """Notes when what happens in a run is seen for the first time."""

    def __init__(self, viewer: napari.Viewer, widget: UpscaleWidget) -> None:
        super().__init__()
        self.found: dict[str, float] = {}
        self._widget, self._loop = widget, QEventLoop()
        self._redrawn, self._began = False, 0.0
        windows = QApplication.topLevelWidgets()
        canvases = [c for w in windows for c in w.findChildren(QOpenGLWidget)]
        canvases[0].installEventFilter(self)
        viewer.layers.events.inserted.connect(lambda event: self._note("layer"))
        layer_news().redrawn.connect(self._on_redrawn)
        widget.session.ended.connect(lambda outcome: self._loop.quit())

    def press(self) -> dict[str, float]:
        """Press the button, wait for the end, and give the seconds of each moment."""
        self.found, self._redrawn = {}, False
        self._began = time.perf_counter()
        self._widget.panel.upscale.click()
        self._loop.exec()
        self._note("end")
        return self.found

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """After the canvas has painted what was redrawn, note it."""
        if event.type() == QEvent.Type.Paint and self._redrawn:
            QTimer.singleShot(0, lambda: self._note("pixels"))
        return False

    def _on_redrawn(self, layer: object) -> None:
        self._redrawn = True

    def _note(self, moment: str) -> None:
        self.found.setdefault(moment, time.perf_counter() - self._began)


def rest(milliseconds: int) -> None:
    """Let what is under way in the window and in the background come to its end."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def main() -> None:
    """Measure and print."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 720)
    viewer.window.show()
    viewer.add_image(photo(), rgb=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Upscale")
    widget.scout.start()  # torch, the model and the devices, as it does when left alone
    rest(20_000)
    watch, runs = Stopwatch(viewer, widget), []
    for _ in range(REPEATS):
        runs.append(watch.press())
        rest(1000)
    for moment in MOMENTS:
        times = [run[moment] for run in runs]
        Console(highlight=False).print(
            f"{moment}: {statistics.median(times):.2f} s "
            f"({min(times):.2f}-{max(times):.2f})"
        )
    viewer.close()


if __name__ == "__main__":
    main()
