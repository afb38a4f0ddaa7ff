"""One curve over the steps of a run, in the colours of the dock."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF
from qtpy.QtWidgets import QWidget

_SMALLER = 0.9  # than the dock's own text
_QUIET = 0.6  # of the text's colour, the rest is background
_GRID = 40  # of 255
#: Sky blue and blue of Okabe and Ito, told apart from grey by everyone.
_ON_DARK, _ON_LIGHT = "#56b4e9", "#0072b2"
_DOT = 5  # pixels across
_GAP = 3  # pixels between an axis and its numbers

Points = Sequence[tuple[float, float]]


def load_pyqtgraph() -> Any:
    """Import it when it is needed, without its hook in the place of Python's own."""
    hook = sys.excepthook
    try:
        import pyqtgraph
    finally:
        sys.excepthook = hook
    return pyqtgraph


@dataclass(frozen=True)
class Look:
    """Colours and font that suit what a widget lies in.

    Attributes
    ----------
    back : QColor
        Behind everything.
    text, quiet : QColor
        For words, and for axes and marks.
    accent : QColor
        For the curve.
    font : QFont
        A little smaller than the widget's own.
    """

    back: QColor
    text: QColor
    quiet: QColor
    accent: QColor
    font: QFont

    @classmethod
    def of(cls, widget: QWidget) -> Look:
        """Take it from a widget; its palette knows the colours of a stylesheet."""
        palette, font = widget.palette(), QFont(widget.font())
        back = palette.color(widget.backgroundRole())
        text = palette.color(widget.foregroundRole())
        if font.pointSizeF() > 0:
            font.setPointSizeF(font.pointSizeF() * _SMALLER)
        else:
            font.setPixelSize(round(font.pixelSize() * _SMALLER))
        accent = QColor(_ON_DARK if back.lightnessF() < 0.5 else _ON_LIGHT)
        return cls(back, text, _mixed(text, back, _QUIET), accent, font)

    @property
    def metrics(self) -> QFontMetricsF:
        """Sizes of the font in pixels."""
        return QFontMetricsF(self.font)


def _mixed(one: QColor, other: QColor, share: float) -> QColor:
    parts = zip(one.getRgbF()[:3], other.getRgbF()[:3], strict=True)
    return QColor.fromRgbF(*(share * a + (1 - share) * b for a, b in parts))


class Plot:
    """A curve between two axes that only shows.

    Parameters
    ----------
    layout : pyqtgraph.GraphicsLayoutWidget
    row : int
        Of the layout.
    label : str
        Of the vertical axis.
    with_steps : bool
        Whether numbers and name of the horizontal axis are shown.
    dots : bool
        Whether each point is marked.
    """

    def __init__(
        self, layout: Any, row: int, label: str, *, with_steps: bool, dots: bool
    ) -> None:
        pg = load_pyqtgraph()
        self._with_steps = with_steps
        item = layout.addPlot(row, 0)
        item.setMenuEnabled(False)
        item.hideButtons()
        item.disableAutoRange()
        self._left, self._bottom = item.getAxis("left"), item.getAxis("bottom")
        self._left.setLabel(label)
        self._left.setStyle(tickLength=0, tickTextOffset=_GAP)
        self._left.setGrid(_GRID)
        self._bottom.setStyle(tickLength=-_GAP, tickTextOffset=_GAP)
        for axis in (self._left, self._bottom):
            axis.setStyle(hideOverlappingLabels=False)  # those at the ends as well
        if with_steps:
            self._bottom.setLabel("step")
        else:
            self._bottom.setStyle(showValues=False)
        self.box = item.getViewBox()
        self.box.setMouseEnabled(False, False)
        self._curve = pg.PlotDataItem(antialias=True, symbol="o" if dots else None)
        self.add(self._curve)

    def add(self, item: Any) -> None:
        """Draw something more in the coordinates of the curve."""
        self.box.addItem(item, ignoreBounds=True)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels, without the axes."""
        return self.box.width(), self.box.height()

    @property
    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """First and last step, lowest and highest value that are shown."""
        steps, values = self.box.viewRange()
        return (steps[0], steps[1]), (values[0], values[1])

    def show(self, points: Points, last: float, low: float, high: float) -> None:
        """Draw a curve over the steps from 0 to `last` and the values between two."""
        self._curve.setData(
            *zip(*points, strict=True)
        ) if points else self._curve.clear()
        self.box.setRange(xRange=(0, last), yRange=(low, high), padding=0)

    def label_values(self, ticks: Sequence[tuple[float, str]]) -> None:
        """Write words beside the vertical axis."""
        self._left.setTicks([list(ticks), []])

    def label_steps(self, ticks: Sequence[tuple[float, str]]) -> None:
        """Write words below the horizontal axis."""
        self._bottom.setTicks([list(ticks), []])

    def set_axis_width(self, width: float) -> None:
        """Make room for what is beside the vertical axis, so that plots can align."""
        self._left.setWidth(round(width))

    def dress(self, look: Look, width: float) -> None:
        """Put on colours and a font; the curve's line is `width` pixels wide."""
        for axis in (self._left, self._bottom):
            axis.setPen(look.quiet)
            axis.setTextPen(look.text)
            axis.setTickFont(look.font)
            axis.label.setFont(look.font)
        if self._with_steps:
            self._bottom.setHeight(round(2 * look.metrics.height()) + 2 * _GAP)
        self._curve.setPen(color=look.accent, width=width)
        self._curve.setSymbolSize(_DOT)
        self._curve.setSymbolBrush(look.accent)
        self._curve.setSymbolPen(None)


class Mark:
    """A horizontal line at a value to beat, with its name at the right end."""

    def __init__(self, plot: Plot, name: str, style: Qt.PenStyle) -> None:
        pg = load_pyqtgraph()
        self._name, self._style = name, style
        self._line, self._label = pg.InfiniteLine(angle=0), pg.TextItem()
        self._label.textItem.document().setDocumentMargin(1)
        for item in (self._line, self._label):
            item.setZValue(-1)
            plot.add(item)

    def show(self, value: float | None, last: float, *, is_above: bool) -> None:
        """Show it with its label above or below, or not at all."""
        for item in (self._line, self._label):
            item.setVisible(value is not None)
        if value is None:
            return
        self._line.setValue(value)
        self._label.setText(f"{self._name} {value:.2f} dB")
        self._label.setAnchor((1, 1 if is_above else 0))
        self._label.setPos(last, value)

    def dress(self, look: Look) -> None:
        """Put on colours and a font."""
        pg = load_pyqtgraph()
        self._line.setPen(pg.mkPen(look.quiet, width=1, style=self._style))
        self._label.setColor(look.text)
        self._label.setFont(look.font)
