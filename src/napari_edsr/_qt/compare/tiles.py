"""What the loupe shows: a picture for each layer, painted by Qt."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_edsr._qt.compare.loupe import Tile

SIDE = 128  # pixels of Qt; two rows of them fit into a low window
_COLUMNS = 2
_CROSS = 7.0  # pixels from the middle to the ends of its marks
_HOLE = 3.0
_INDENT = 12  # that the theme puts around the text of a label, and a little more


class Picture(QWidget):
    """A square picture with marks around its middle, where the cursor is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = QImage()
        self.setFixedSize(SIDE, SIDE)

    def show_tile(self, tile: Tile) -> None:
        """Show (H, W, 4) over the widget's whole size."""
        height, width = tile.picture.shape[:2]
        kind = QImage.Format.Format_RGBA8888
        pixels = tile.picture.tobytes()
        self.image = QImage(pixels, width, height, 4 * width, kind).copy()
        self.setAccessibleName(f"{tile.name}, magnified")
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the picture, and marks that show on bright and dark."""
        painter = QPainter(self)
        painter.drawImage(self.rect(), self.image)
        middle = QPointF(SIDE / 2, SIDE / 2)
        for role, width in (
            (QPalette.ColorRole.Window, 3.0),
            (QPalette.ColorRole.WindowText, 1.0),
        ):
            painter.setPen(QPen(QColor(self.palette().color(role)), width))
            for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                way = QPointF(x, y)
                painter.drawLine(middle + way * _HOLE, middle + way * _CROSS)


class TileView(QWidget):
    """A layer's picture with its name and score below."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture, self.name, self.score = Picture(), QLabel(), QLabel()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        for widget in (self.picture, self.name, self.score):
            column.addWidget(widget)
        for label in (self.name, self.score):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setMaximumWidth(SIDE)
        font = self.name.font()
        font.setBold(True)
        self.name.setFont(font)

    def show_tile(self, tile: Tile) -> None:
        """Show what the loupe saw of a layer."""
        metrics = self.name.fontMetrics()
        middle = Qt.TextElideMode.ElideMiddle
        self.picture.show_tile(tile)
        self.name.setText(metrics.elidedText(tile.name, middle, SIDE - _INDENT))
        self.name.setToolTip(tile.name)
        self.score.setText(tile.score)
        self.score.setVisible(bool(tile.score))


class Tiles(QWidget):
    """Pictures of all layers, two in a row."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.views: list[TileView] = []
        self._rows = QGridLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(6)
        self._rows.setColumnStretch(_COLUMNS, 1)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.hide()

    @property
    def resolution(self) -> int:
        """Pixels of the screen along a picture."""
        return round(SIDE * self.devicePixelRatioF())

    def show_tiles(self, tiles: Sequence[Tile]) -> None:
        """Show these, and no others."""
        while len(self.views) < len(tiles):
            view = TileView()
            place = divmod(len(self.views), _COLUMNS)
            self._rows.addWidget(view, *place, Qt.AlignmentFlag.AlignTop)
            self.views.append(view)
        for view in self.views[len(tiles) :]:
            view.hide()
        for view, tile in zip(self.views, tiles, strict=False):
            view.show_tile(tile)
            view.show()
        self.setVisible(bool(tiles))

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as a dock allows; as high as the rows."""
        return QSize(_COLUMNS * SIDE + 6, super().sizeHint().height())
