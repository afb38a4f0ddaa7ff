"""What is seen as a labelled figure: pictures, names, numbers and a scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QMarginsF, QPointF, QRectF, QSize, QSizeF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen
from qtpy.QtSvg import QSvgGenerator

from napari_edsr._qt.compare.grid import best_shape
from napari_edsr._qt.layers import has_unit
from napari_edsr._qt.ticks import nice_ticks
from napari_edsr.atomic import replacing
from napari_edsr.errors import FileError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pint import Unit

_PAGE = (3.0, 4.0)  # height and width that a figure is to come near
_MARGIN, _GAP = 24.0, 16.0
_NARROWEST = 240.0  # for the titles of each side of a panel
_PARTS = 6  # of a panel, of which the scale bar is longer than one
_BAR = 5.0  # thickness of the scale bar
_PAPER, _INK, _SOFT_INK = "#ffffff", "#202020", "#606060"


@dataclass(frozen=True)
class Title:
    """A layer's name and, below it, its numbers; both may be empty."""

    name: str
    numbers: str = ""


@dataclass(frozen=True)
class Panel:
    """A picture with a title over it; with two titles, one at each side.

    Attributes
    ----------
    picture : ndarray of uint8, (H, W, 4)
    titles : tuple of Title
    """

    picture: NDArray[np.uint8]
    titles: tuple[Title, ...]


@dataclass(frozen=True)
class ScaleBar:
    """A round length: its share of a panel's width, and in words."""

    share: float
    text: str

    @classmethod
    def of(cls, width: float, unit: Unit) -> ScaleBar | None:
        """For panels of some width in the world; None where nothing was calibrated."""
        if not has_unit(unit):
            return None
        shown = (width * unit).to_compact()
        length = nice_ticks(0, float(shown.magnitude), _PARTS)[1]
        text = f"{(length * shown.units).to_compact():g~P}"
        return cls(length / float(shown.magnitude), text)


@dataclass(frozen=True)
class Figure:
    """Panels of one size, and what stands below them."""

    panels: tuple[Panel, ...]
    bar: ScaleBar | None = None
    note: str = ""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as SVG if its name ends so, else as PNG.

    Raises
    ------
    FileError
        If it cannot be written there.
    """
    layout = _Layout(figure)
    with replacing(path) as partial:
        if path.suffix.lower() == ".svg":
            _write_svg(layout, partial)
        elif not _drawn(layout).save(str(partial), "PNG"):
            raise FileError(f"{path} cannot be written; choose another folder.")


def _drawn(layout: _Layout) -> QImage:
    image = QImage(layout.size, QImage.Format.Format_RGB32)
    image.fill(QColor(_PAPER))
    painter = QPainter(image)
    layout.paint(painter)
    painter.end()
    return image


def _write_svg(layout: _Layout, path: Path) -> None:
    target = QSvgGenerator()
    target.setFileName(str(path))
    target.setSize(layout.size)
    target.setViewBox(QRectF(QPointF(0, 0), QSizeF(layout.size)))
    target.setTitle("Comparison of layers")
    painter = QPainter(target)
    painter.fillRect(QRectF(QPointF(0, 0), QSizeF(layout.size)), QColor(_PAPER))
    layout.paint(painter)
    painter.end()


class _Layout:
    """Where everything of a figure stands.

    Parameters
    ----------
    figure : Figure
    """

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        height, width = figure.panels[0].picture.shape[:2]
        self._panel = QSizeF(width, height)
        sides = max(len(panel.titles) for panel in figure.panels)
        self._column = max(self._panel.width(), _NARROWEST * max(sides, 1))
        self._rows, self._columns = best_shape(
            len(figure.panels), _PAGE, (height, self._column)
        )
        self._name = _font(max(15.0, self._panel.width() / 36), bold=True)
        self._text = _font(max(13.0, self._panel.width() / 42))
        self._head = self._height_of_titles()
        self.size = self._whole()

    def _height_of_titles(self) -> float:
        titles = [c for panel in self._figure.panels for c in panel.titles]
        height = QFontMetricsF(self._name).height() if titles else 0.0
        if any(title.numbers for title in titles):
            height += QFontMetricsF(self._text).height()
        return height + _GAP / 2

    def _whole(self) -> QSize:
        width = self._columns * (self._column + _GAP) - _GAP
        height = self._rows * (self._head + self._panel.height() + _GAP) - _GAP
        if self._figure.bar or self._figure.note:
            height += _GAP + self._foot_height()
        return QSize(round(width + 2 * _MARGIN), round(height + 2 * _MARGIN))

    def _foot_height(self) -> float:
        lines = bool(self._figure.note) + 1 if self._figure.bar else 1
        extra = _BAR + _GAP / 2 if self._figure.bar else 0
        return lines * QFontMetricsF(self._text).height() + extra

    def paint(self, painter: QPainter) -> None:
        """Paint all of it."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for i, panel in enumerate(self._figure.panels):
            row, column = divmod(i, self._columns)
            x = _MARGIN + column * (self._column + _GAP)
            y = _MARGIN + row * (self._head + self._panel.height() + _GAP)
            self._paint_titles(painter, panel.titles, QPointF(x, y))
            self._paint_picture(painter, panel.picture, QPointF(x, y + self._head))
        self._paint_foot(painter)

    def _paint_titles(
        self, painter: QPainter, titles: Sequence[Title], corner: QPointF
    ) -> None:
        width = self._column / len(titles) - (_GAP if titles[1:] else 0)
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight)
        for i, (title, side) in enumerate(zip(titles, sides, strict=False)):
            x = corner.x() + i * (self._column - width)
            y = corner.y()
            for font, ink, text in (
                (self._name, _INK, title.name),
                (self._text, _SOFT_INK, title.numbers),
            ):
                line = QRectF(x, y, width, QFontMetricsF(font).height())
                _write(painter, font, ink, text, line, side)
                y += line.height()

    def _paint_picture(
        self, painter: QPainter, picture: NDArray[np.uint8], corner: QPointF
    ) -> None:
        height, width = picture.shape[:2]
        kind = QImage.Format.Format_RGBA8888
        image = QImage(picture.tobytes(), width, height, 4 * width, kind)
        painter.drawImage(corner, image)

    def _paint_foot(self, painter: QPainter) -> None:
        y = self.size.height() - _MARGIN - self._foot_height()
        line = QFontMetricsF(self._text).height()
        width = self.size.width() - 2 * _MARGIN
        left = Qt.AlignmentFlag.AlignLeft
        bar = self._figure.bar
        if bar is not None:
            length = bar.share * self._panel.width()
            painter.fillRect(QRectF(_MARGIN, y, length, _BAR), QColor(_INK))
            y += _BAR + _GAP / 4
            box = QRectF(_MARGIN, y, width, line)
            _write(painter, self._text, _INK, bar.text, box, left)
            y += line + _GAP / 4
        box = QRectF(_MARGIN, y, width, line)
        _write(painter, self._text, _SOFT_INK, self._figure.note, box, left)


def _font(pixels: float, *, bold: bool = False) -> QFont:
    font = QFont()
    font.setPixelSize(round(pixels))
    font.setBold(bold)
    return font


def _write(
    painter: QPainter,
    font: QFont,
    ink: str,
    text: str,
    line: QRectF,
    side: Qt.AlignmentFlag,
) -> None:
    if not text:
        return
    middle = Qt.TextElideMode.ElideMiddle
    painter.setFont(font)
    painter.setPen(QPen(QColor(ink)))
    short = QFontMetricsF(font).elidedText(text, middle, line.width())
    painter.drawText(line.marginsAdded(QMarginsF(0, 0, 1, 0)), side, short)
