"""Names and dividers, painted into pictures of the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import (
    QColor,
    QFontMetricsF,
    QImage,
    QPainter,
    QPalette,
    QPen,
    QPolygonF,
)
from superqt.utils import qimage_to_array

from napari_edsr._qt.compare.mode import Look

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GAP = 8.0  # between a name and what it is beside
_PADDING = 5.0
_LEAST = 30.0  # pixels for which a name is still worth writing
_HANDLE = 11.0  # radius
_SHADE = 215  # opacity behind a name, of 255


def painted(
    picture: NDArray[np.uint8], density: float, paint: Callable[[QPainter], None]
) -> NDArray[np.uint8]:
    """A copy of (H, W, 4) with something painted on it, in Qt's pixels."""
    height, width = picture.shape[:2]
    image = QImage(
        picture.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888
    ).convertToFormat(QImage.Format.Format_ARGB32)
    image.setDevicePixelRatio(density)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    paint(painter)
    painter.end()
    return qimage_to_array(image)


def paint_name(painter: QPainter, look: Look, text: str, room: QRectF) -> None:
    """Write a name at the top of `room`, at the side that the room's width points from.

    A room of negative width lies left of its corner, and the name ends there.
    """
    metrics = QFontMetricsF(look.font)
    most = abs(room.width()) - 2 * _PADDING - _GAP
    if most < _LEAST or room.height() < metrics.height() + 2 * _PADDING:
        return
    short = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, most)
    width = metrics.horizontalAdvance(short) + 2 * _PADDING
    left = room.x() + _GAP if room.width() > 0 else room.x() - _GAP - width
    box = QRectF(left, room.y(), width, metrics.height() + _PADDING)
    _paint_box(painter, look, short, box)


def _paint_box(painter: QPainter, look: Look, text: str, box: QRectF) -> None:
    shade = QColor(look.palette.color(QPalette.ColorRole.Window))
    shade.setAlpha(_SHADE)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(shade)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(look.palette.color(QPalette.ColorRole.WindowText))
    painter.setFont(look.font)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def paint_divider(
    painter: QPainter, look: Look, place: float, length: float, *, upright: bool
) -> None:
    """A line that shows on bright and dark, with a handle in its middle."""
    painter.save()
    if not upright:
        painter.rotate(90)
        painter.scale(1, -1)
    dark = look.palette.color(QPalette.ColorRole.Window)
    bright = look.palette.color(QPalette.ColorRole.WindowText)
    ends = QPointF(place, 0), QPointF(place, length)
    for colour, width in ((dark, 3.0), (bright, 1.0)):
        painter.setPen(QPen(colour, width))
        painter.drawLine(*ends)
    middle = QPointF(place, length / 2)
    painter.setPen(QPen(bright, 1.0))
    painter.setBrush(dark)
    painter.drawEllipse(middle, _HANDLE, _HANDLE)
    painter.setBrush(bright)
    for side in (-1, 1):
        tip, base = side * 0.65 * _HANDLE, side * 0.25 * _HANDLE
        corners = ((tip, 0.0), (base, -0.35 * _HANDLE), (base, 0.35 * _HANDLE))
        painter.drawPolygon(QPolygonF([middle + QPointF(x, y) for x, y in corners]))
    painter.restore()
