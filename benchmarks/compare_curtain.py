"""What a step of the curtain costs on large images and on small ones.

``python benchmarks/compare_curtain.py`` opens a viewer and drags the divider over a pair
of 4096 x 4096 px and one of 1024 x 1024 px in turn. A step is what happens from the move
of the mouse until the canvas has been drawn. It prints the median of each, their ratio,
and the bytes handed to the renderer in a step; and how long a flip of *Blink* takes
beside showing and hiding the layers themselves, or making them opaque.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import napari
import numpy as np
from napari.layers import Image
from qtpy.QtCore import QEvent, QEventLoop, QObject, QTimer
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication, QWidget
from rich.console import Console

from napari_edsr._qt.compare.blink import Blink
from napari_edsr._qt.compare.curtain import Curtain
from napari_edsr._qt.compare.mode import Look

SIDES = (1024, 4096)
STEPS, ROUNDS = 25, 3


@dataclass(frozen=True)
class Drag:
    """Milliseconds of each step of a drag, and the bytes handed over in one."""

    costs: list[float]
    size: int


def add_pair(viewer: napari.Viewer, side: int) -> list[Image]:
    """Two noisy layers, of `side` and of half as many rows, over the same place."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2**16, (side // 2, side // 2), np.uint16)
    second = rng.integers(0, 2**16, (side, side), np.uint16)
    placed = {"scale": (2, 2), "translate": (0.5, 0.5)}
    limits = {"contrast_limits": (0, 2**16 - 1)}
    return [
        viewer.add_image(first, name="low resolution", **placed, **limits),
        viewer.add_image(second, name="result", **limits),
    ]


class Drawn(QObject):
    """Waits until the canvas has been drawn."""

    def __init__(self) -> None:
        super().__init__()
        windows = QApplication.topLevelWidgets()
        canvases = [c for w in windows for c in w.findChildren(QOpenGLWidget)]
        self._loop, self._canvas = QEventLoop(), canvases[0]
        self._canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """After the canvas has painted, wait no longer."""
        if event.type() == QEvent.Type.Paint:
            QTimer.singleShot(0, self._loop.quit)
        return False

    def milliseconds(self, step: Callable[[], object]) -> float:
        """From a step until it is drawn."""
        began = time.perf_counter()
        step()
        self._loop.exec()
        return (time.perf_counter() - began) * 1000

    def settle(self) -> None:
        """Let everything be drawn that there is to draw."""
        for _ in range(3):
            self.milliseconds(self._canvas.update)


def drag(viewer: napari.Viewer, drawn: Drawn, pair: list[Image], look: Look) -> Drag:
    """Medians of some steps over a pair of layers, and the bytes in one."""
    curtain = Curtain(viewer, pair, look)
    curtain.begin()
    drawn.settle()
    places = np.linspace(0.3, 0.7, STEPS)
    costs = [drawn.milliseconds(lambda x=x: curtain.move_to(x)) for x in places]
    layer = curtain.frame.layer
    size = layer.data.nbytes if layer else 0
    curtain.end()
    drawn.settle()
    return Drag(costs, size)


def flips(
    viewer: napari.Viewer, drawn: Drawn, pair: list[Image], look: Look
) -> dict[str, float]:
    """Median of a flip by each of three ways."""
    first, second = pair
    blink = Blink(viewer, pair, look)
    blink.begin()
    blink.pause(True)

    def show() -> None:
        first.visible, second.visible = second.visible, first.visible

    def fade() -> None:
        second.opacity = 1 - second.opacity

    costs = {"picture": [drawn.milliseconds(blink.flip) for _ in range(STEPS)]}
    blink.end()
    second.visible = False
    costs["visible"] = [drawn.milliseconds(show) for _ in range(STEPS)]
    first.visible = second.visible = True
    costs["opacity"] = [drawn.milliseconds(fade) for _ in range(STEPS)]
    return {name: statistics.median(values) for name, values in costs.items()}


def main() -> None:
    """Measure and print; the two sizes take turns, so that both meet the same load."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 720)
    viewer.window.show()
    drawn, widget, out = Drawn(), QWidget(), Console()
    look = Look(widget.palette(), widget.font())
    found: dict[int, list[Drag]] = {side: [] for side in SIDES}
    ways: dict[int, dict[str, float]] = {}
    for turn in range(ROUNDS):
        for side in SIDES:
            others = list(viewer.layers)
            pair = add_pair(viewer, side)
            for layer in others:
                viewer.layers.remove(layer)
            viewer.fit_to_view()
            drawn.settle()
            found[side].append(drag(viewer, drawn, pair, look))
            if turn == 0:
                ways[side] = flips(viewer, drawn, pair, look)
    medians = {}
    for side, drags in found.items():
        medians[side] = statistics.median(ms for one in drags for ms in one.costs)
        size = max(one.size for one in drags)
        out.print(f"{side} px: {medians[side]:.1f} ms a step, {size} bytes in it")
    small, large = SIDES
    out.print(f"ratio: {medians[large] / medians[small]:.2f} (at most 1.5)")
    for side, costs in ways.items():
        text = ", ".join(f"{name} {ms:.1f}" for name, ms in costs.items())
        out.print(f"{side} px: a flip in ms: {text}")
    viewer.close()


if __name__ == "__main__":
    main()
