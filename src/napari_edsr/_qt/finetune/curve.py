"""Curves of a training run while it goes on: how good the network is, and its loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from qtpy.QtCore import QEvent, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_edsr._qt.finetune.plot import Look, Mark, Plot, load_pyqtgraph
from napari_edsr._qt.ticks import log_ticks, nice_ticks, step_label

_PAUSE = 200  # ms between two redraws
_MOST_POINTS = 400  # of the loss: about one for each pixel of a dock's width
_LINES_HIGH = 16  # lines of text that both plots are high
_MARGIN = 6  # pixels around the curves
_LEAST_SPAN = 1.0  # dB; less would blow up noise
_LEAST_DECADES = 0.3
_LOOK_CHANGES = (
    QEvent.Type.PaletteChange,
    QEvent.Type.StyleChange,
    QEvent.Type.FontChange,
)


class Means:
    """Points of an endless row, kept few: neighbours are merged to their mean.

    Parameters
    ----------
    most : int
        Points to keep, an even number; from half as many on each stands for as many
        values as the others.
    """

    def __init__(self, most: int = _MOST_POINTS) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget all points."""
        self._full: list[tuple[float, float]] = []
        self._per_point = 1
        self._open: list[tuple[float, float]] = []

    def add(self, x: float, y: float) -> None:
        """Add a value behind the others."""
        self._open.append((x, y))
        if len(self._open) < self._per_point:
            return
        self._full.append(_mean(self._open))
        self._open = []
        if len(self._full) == self._most:
            halves = zip(self._full[::2], self._full[1::2], strict=True)
            self._full = [_mean(pair) for pair in halves]
            self._per_point *= 2

    @property
    def points(self) -> list[tuple[float, float]]:
        """Position and value of each point, in order."""
        return [*self._full, _mean(self._open)] if self._open else list(self._full)


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    xs, ys = zip(*points, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


class LiveCurve(QWidget):
    """PSNR of the validations above, loss of the steps below, over the same steps.

    It only shows: the mouse passes through to what it lies in. What is added is drawn a
    moment later, together with what came meanwhile.
    """

    drawn = Signal()  # what was added before can be seen

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps = 0
        self._psnr: list[tuple[float, float]] = []
        self._loss = Means()
        self._lines: dict[str, float] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._draw)
        self._build()
        self._dress()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Above, how near the network comes to the images kept aside (more is "
            "better); below, the loss on those it learns from (less is better)."
        )

    def _build(self) -> None:
        view = load_pyqtgraph().GraphicsLayoutWidget()
        view.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        view.setMinimumSize(0, 0)
        self._upper = Plot(view, 0, "PSNR (dB)", with_steps=False, dots=True)
        self._lower = Plot(view, 1, "loss", with_steps=True, dots=False)
        self._marks = {
            "bicubic": Mark(self._upper, "bicubic", Qt.PenStyle.DotLine),
            "before": Mark(self._upper, "before", Qt.PenStyle.DashLine),
        }
        self._view, self._grid = view, view.ci.layout
        self._grid.setSpacing(_MARGIN)
        self._grid.setRowStretchFactor(0, 2)
        self._grid.setRowStretchFactor(1, 1)
        for plot in (self._upper, self._lower):
            plot.box.sigResized.connect(self._draw_soon)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(view)

    def begin(self, steps: int, bicubic: float, before: float) -> None:
        """Clear everything for a run.

        Parameters
        ----------
        steps : int
            Of the whole run; the axis goes from 0 to it.
        bicubic, before : float
            PSNR in dB of bicubic interpolation and of the network it starts from, for
            lines to beat; NaN for none.
        """
        self._steps = steps
        self._psnr.clear()
        self._loss.clear()
        values = {"bicubic": float(bicubic), "before": float(before)}
        self._lines = {k: v for k, v in values.items() if math.isfinite(v)}
        self._draw_soon()

    def add_psnr(self, step: int, psnr: float) -> None:
        """Add a validation after `step` steps, in dB; what is not finite is left out."""
        if math.isfinite(psnr):
            self._psnr.append((float(step), float(psnr)))
            self._draw_soon()

    def add_loss(self, step: int, loss: float) -> None:
        """Add the loss of a step; what is not finite is left out."""
        if math.isfinite(loss):
            self._loss.add(step, loss)
            self._draw_soon()

    @property
    def psnr_points(self) -> list[tuple[float, float]]:
        """Step and PSNR in dB of each validation."""
        return list(self._psnr)

    @property
    def loss_points(self) -> list[tuple[float, float]]:
        """Step and loss, each the mean of as many steps as keeps the points few."""
        return self._loss.points

    @property
    def lines(self) -> dict[str, float]:
        """PSNR in dB of each horizontal line, by its name."""
        return dict(self._lines)

    @property
    def step_ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """First and last step that the upper and the lower plot show."""
        return self._upper.ranges[0], self._lower.ranges[0]

    @property
    def psnr_range(self) -> tuple[float, float]:
        """Lowest and highest PSNR in dB that the upper plot shows."""
        return self._upper.ranges[1]

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as the dock, and as high as both plots need to be read."""
        return QSize(0, _LINES_HIGH * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Half of that: squeezed, but a curve still."""
        return self.sizeHint() / 2

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Follow the theme and the size of its text."""
        super().changeEvent(event)
        if event is not None and event.type() in _LOOK_CHANGES:
            self._dress()
            self.updateGeometry()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Draw what came while nobody could see it."""
        super().showEvent(event)
        self._draw_soon()

    def _dress(self) -> None:
        self._look = Look.of(self)
        self._view.setBackground(self._look.back)
        self._upper.dress(self._look, width=2)
        self._lower.dress(self._look, width=1)
        for mark in self._marks.values():
            mark.dress(self._look)
        self._draw_soon()

    def _draw_soon(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _draw(self) -> None:
        if not self.isVisible():
            return
        loss = [(x, math.log10(y)) for x, y in self._loss.points if y > 0]
        ends = [x for x, _ in (*self._psnr[-1:], *loss[-1:])]
        last = max(1, self._steps, *ends)
        words = [*self._draw_psnr(last), *self._draw_loss(loss, last)]
        self._draw_steps(last)
        self._align(words)
        self.drawn.emit()

    def _draw_psnr(self, last: float) -> list[str]:
        """Draw the upper plot; returns the numbers beside it."""
        low, high = _span([*(y for _, y in self._psnr), *self._lines.values()])
        below, above = self._room_for_labels(low, high)
        self._upper.show(self._psnr, last, low - below, high + above)
        top = max(self._lines, key=lambda name: self._lines[name], default="")
        for name, mark in self._marks.items():
            mark.show(self._lines.get(name), last, is_above=name == top)
        ticks = nice_ticks(*self._inside(self._upper), self._most_lines(self._upper))
        self._upper.label_values([(value, f"{value:g}") for value in ticks])
        return [f"{value:g}" for value in ticks]

    def _room_for_labels(self, low: float, high: float) -> tuple[float, float]:
        """What to add below and above, in dB: the labels of the lines are in the plot."""
        room = self._look.metrics.height() + _MARGIN
        height = max(1.0, self._upper.size[1] - 2 * room)
        a_pixel = (high - low) / height
        lines = self._lines.values()
        under = min((y - low for y in lines), default=high) if len(lines) > 1 else high
        over = min((high - y for y in lines), default=high)
        below, above = (
            max(_MARGIN * a_pixel, room * a_pixel - gap) for gap in (under, over)
        )
        return below, above

    def _draw_loss(
        self, points: Sequence[tuple[float, float]], last: float
    ) -> list[str]:
        """Draw the lower plot, of logarithms; returns the numbers beside it."""
        values = [y for _, y in points] or [-2.0, -1.0]
        middle, half = (max(values) + min(values)) / 2, (max(values) - min(values)) / 2
        half = max(1.1 * half, _LEAST_DECADES / 2)
        low, high = middle - half, middle + half
        self._lower.show(points, last, low, high)
        low, high = self._inside(self._lower)
        ticks = log_ticks(10**low, 10**high, self._most_lines(self._lower))
        ticks = ticks if points else []
        self._lower.label_values([(math.log10(v), f"{v:g}") for v in ticks])
        return [f"{value:g}" for value in ticks]

    def _draw_steps(self, last: float) -> None:
        widest = self._look.metrics.horizontalAdvance(step_label(last, last))
        most = int(self._lower.size[0] / (1.5 * widest + 3 * _MARGIN))
        ticks = [(x, step_label(x, last)) for x in nice_ticks(0, last, max(2, most))]
        for plot in (self._upper, self._lower):
            plot.label_steps(ticks)
        # Half of the last number, and the foot of the name, reach beyond the axis.
        self._grid.setContentsMargins(0, _MARGIN, round(widest / 2) + 2, _MARGIN)

    def _align(self, words: Iterable[str]) -> None:
        """Begin both plots at the same place, right of the widest number."""
        metrics = self._look.metrics
        widest = max(map(metrics.horizontalAdvance, words), default=0.0)
        for plot in (self._upper, self._lower):
            plot.set_axis_width(widest + metrics.height() + 2 * _MARGIN)

    def _most_lines(self, plot: Plot) -> int:
        """How many numbers can stand above one another."""
        return max(2, int(plot.size[1] / (1.4 * self._look.metrics.height())))

    def _inside(self, plot: Plot) -> tuple[float, float]:
        """Values at which a number does not reach beyond its plot."""
        low, high = plot.ranges[1]
        height = self._look.metrics.height()
        edge = (high - low) * min(0.25, height / 2 / max(1.0, plot.size[1]))
        return low + edge, high - edge


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest, not too near to one another; something without values."""
    if not values:
        return 0.0, _LEAST_SPAN
    middle = (min(values) + max(values)) / 2
    half = max(max(values) - min(values), _LEAST_SPAN) / 2
    return middle - half, middle + half
