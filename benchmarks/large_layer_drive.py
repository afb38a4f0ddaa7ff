"""Whether a viewer stays usable while a layer larger than memory is upscaled to a file.

``python benchmarks/large_layer_drive.py --seconds 120 --screenshots shots`` opens a
viewer with a layer of 20,000 x 20,000 px at several resolutions, which is computed
where it is looked at, and pans and zooms in it: first alone, then while napari alone
adds an empty layer, then during a run of edsr-light-x2 to an OME-Zarr that is cancelled
half way and resumed, and then beside what has become of it. It prints how long the
event loop stood still between two ticks of a timer of 10 ms, and how long the calls
into this package took on the main thread, without and with what napari does for them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import dask.array as da
import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, Qt, QTimer
from rich.console import Console

import napari_edsr
from napari_edsr._qt import settings

SIDE, CHUNK, LEVELS = 20_000, 512, 7
MODEL, SCALE = "edsr-light-x2", 2
TICK, STEP = 10, 100  # milliseconds
PACKAGE = str(Path(napari_edsr.__file__).parent)
SHOWN = 6

say = Console(highlight=False).print


class Texture:
    """Stripes and grains that follow from the coordinates, at one of the resolutions."""

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(self, factor: int) -> None:
        self.factor = factor
        self.shape = (SIDE // factor, SIDE // factor)

    def __getitem__(self, parts: tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, columns = (
            np.arange(*part.indices(length), dtype=np.uint32) * self.factor
            for part, length in zip(parts, self.shape, strict=True)
        )
        y, x = rows[:, None], columns[None, :]
        rings = ((y // 8) ** 2 + (x // 8) ** 2) >> 9
        return ((rings & 127) + ((x * 7 + y * 13) >> 2 & 63) + 32).astype(np.uint8)


def levels() -> list[da.Array]:
    """The layer's data, the finest first."""
    return [da.from_array(Texture(2**i), chunks=CHUNK) for i in range(LEVELS)]


class Stalls:
    """Milliseconds by which ticks of a timer came late."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_tick)
        self._timer.start(TICK)

    def _on_tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(0.0, 1000 * (now - self._last) - TICK))
        self._last = now

    @contextmanager
    def blind(self) -> Iterator[None]:
        """Leave out what is done meanwhile, and what is painted for it."""
        self._timer.stop()
        yield
        rest(0.2)
        self._last = time.perf_counter()
        self._timer.start()

    def end(self) -> list[float]:
        """Stop, and give what was seen."""
        self._timer.stop()
        return self.late


class OwnCalls:
    """Milliseconds of each call from outside into the package on the main thread.

    Attributes
    ----------
    spent : dict of str to list of (float, float)
        By the name of what was called: what passed in the package's own code and in what
        is not Python, and what passed in all.
    """

    def __init__(self) -> None:
        self.spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._is_own: list[bool] = []  # of each frame since the call
        self._began = self._last = self._own = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at every call meanwhile."""
        sys.setprofile(self._look)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, value: object) -> None:
        if event not in ("call", "return"):
            return
        now, inside = time.perf_counter(), self._is_own
        if inside and inside[-1]:
            self._own += now - self._last
        self._last = now
        if event == "call":
            is_own = frame.f_code.co_filename.startswith(PACKAGE)
            if is_own and not inside:
                self._began, self._own = now, 0.0
            if is_own or inside:
                inside.append(is_own)
        elif inside:
            inside.pop()
            if not inside:
                passed = 1000 * self._own, 1000 * (now - self._began)
                self.spent[frame.f_code.co_qualname].append(passed)


class Hand:
    """Pans and zooms, the same way each time."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._camera = viewer.scene.camera
        self._began = time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._on_step)
        self._timer.start(STEP)

    def _on_step(self) -> None:
        """Over the first rows, where a run has something to show, from near and far."""
        angle = (time.perf_counter() - self._began) / 3
        reach = SIDE * 0.02
        self._camera.center = (
            0,
            reach * (1.2 + np.sin(angle)),
            reach * (3 + 2 * np.cos(angle / 2)),
        )
        self._camera.zoom = 0.5 * 2 ** (2 * np.sin(angle / 4))

    def end(self) -> None:
        """Let go."""
        self._timer.stop()


def rest(seconds: float) -> None:
    """Let the event loop run."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def until(signal: object, do: Callable[[], object]) -> None:
    """Do something, and let the event loop run until a signal comes of it."""
    loop = QEventLoop()
    signal.connect(loop.quit)  # type: ignore[attr-defined]
    do()
    loop.exec()


def told(late: list[float]) -> str:
    """Median, 99th percentile and maximum of delays."""
    return (
        f"median {statistics.median(late):.0f} ms, 99 % {np.percentile(late, 99):.0f} ms, "
        f"longest {max(late):.0f} ms"
    )


def panned(viewer: napari.Viewer, seconds: float) -> str:
    """Delays while nothing but panning goes on."""
    hand, stalls = Hand(viewer), Stalls()
    rest(seconds)
    hand.end()
    return told(stalls.end())


def added(viewer: napari.Viewer, seconds: float) -> str:
    """Delays of panning while napari alone adds an empty layer of the result's size."""
    shapes = [(SCALE * SIDE // 2**i,) * 2 for i in range(LEVELS)]
    empty = [da.zeros(shape, dtype=np.uint8, chunks=CHUNK) for shape in shapes]
    hand, stalls = Hand(viewer), Stalls()
    rest(seconds)
    layer = viewer.add_image(empty, multiscale=True, scale=(1 / SCALE,) * 2)
    rest(seconds)
    viewer.layers.remove(layer)
    hand.end()
    return told(stalls.end())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--screenshots", type=Path)
    options = parser.parse_args()
    with settings.set_aside(), tempfile.TemporaryDirectory() as folder:
        drive(options.seconds, Path(folder), options.screenshots)


def drive(seconds: float, folder: Path, screenshots: Path | None) -> None:
    """Do what a user would do."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 720)
    viewer.window.show()
    viewer.add_image(levels(), name="scan", multiscale=True, contrast_limits=(0, 255))
    _, widget = viewer.window.add_plugin_dock_widget("napari-edsr", "Upscale")
    until(widget.scout.devices_found, widget.scout.start)
    rest(5)

    def take(name: str) -> None:
        if screenshots is not None:
            screenshots.mkdir(parents=True, exist_ok=True)
            viewer.screenshot(
                str(screenshots / f"{name}.png"), canvas_only=False, flash=False
            )

    say(f"panning alone:        {panned(viewer, seconds / 2)}")
    say(f"adding an empty layer: {added(viewer, seconds / 4)}")
    output = widget.controls.output
    output.where.button("file").click()
    output.path.setText(str(folder / "scan_x2.ome.zarr"))
    output.path.textEdited.emit(output.path.text())
    rest(1)
    take("before")
    session, panel = widget.session, widget.panel
    hand, stalls = Hand(viewer), Stalls()
    panel.upscale.click()
    rest(seconds / 2)
    with stalls.blind():
        take("running")
    until(session.ended, panel.progress.cancel.click)
    say(f"panning beside a run: {told(stalls.end())}")
    rest(1)
    take("stopped")
    label = panel.upscale.text().replace("&", "")
    own = OwnCalls()
    with own.watched():  # which slows down all that is Python
        panel.upscale.click()
        rest(seconds / 2)
        until(session.ended, panel.progress.cancel.click)
    hand.end()
    say(f"panning its result:   {panned(viewer, seconds / 2)}")
    say(f"resumed by: {label}; at the end: {panel.upscale.text().replace('&', '')}")
    rest(1)
    take("end")
    for name, spent in sorted(own.spent.items(), key=lambda p: -max(p[1])[0])[:SHOWN]:
        alone, in_all = zip(*spent, strict=True)
        say(
            f"  {name}: longest {max(alone):.0f} ms (with napari {max(in_all):.0f} ms), "
            f"median {statistics.median(alone):.1f} ms of {len(spent)}"
        )
    viewer.close()


if __name__ == "__main__":
    main()
