"""The table of scores: a line for each candidate, which folds out into its planes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_edsr._qt.evaluate.requests import BICUBIC, Evaluation, Row
from napari_edsr.atomic import replacing
from napari_edsr.metrics import Score

_KEY, _PLACE, _VALUE = (Qt.ItemDataRole.UserRole + i for i in range(3))
_NARROWEST_NAME = 60  # a name is read in its tooltip, a number cut off is not
_INDENTATION = 12  # pixels
_IN_SIGHT = 3  # columns after the name, without scrolling
_FEWEST, _MOST = 3, 8  # lines
_PADDING = 4  # pixels
_ENCODING = "utf-8-sig"  # without the mark Excel takes "×" for two letters


@dataclass(frozen=True)
class Line:
    """A line of the table: a candidate's mean, or one of its planes.

    Attributes
    ----------
    name : str
    place : str
        ``"mean"``, or the indices of the plane, such as ``"3"`` or ``"0, 3"``.
    score : Score
    gain : float
        Decibels more than bicubic has there; NaN where that was not measured.
    shift : (float, float)
        Of the candidate.
    """

    name: str
    place: str
    score: Score
    gain: float
    shift: tuple[float, float]

    @property
    def values(self) -> list[float]:
        """As the columns after the name have them."""
        score = self.score
        figures = [score.psnr, score.ssim, self.gain, score.rmse, score.mae]
        return [*figures, score.range_invariant_psnr]


_COLUMNS = ("Name", "PSNR dB", "SSIM", "Δ bicubic", "RMSE", "MAE", "Range-inv. dB")
_GAIN = _COLUMNS.index("Δ bicubic") - 1
_FORMATS = ("{:.2f}", "{:.4f}", "{:+.2f}", "{:.4g}", "{:.4g}", "{:.2f}")
_CSV = (
    *("name", "plane", "psnr_db", "ssim", "gain_over_bicubic_db", "rmse", "mae"),
    *("range_invariant_psnr_db", "shift_y_px", "shift_x_px", "protocol", "colour"),
    *("border_px", "rounded", "data_range", "unknown_px"),
)


def lines_of(row: Row, bicubic: Row | None) -> list[Line]:
    """The mean of a candidate, and its planes if there are several."""
    names, scores = ["mean"], [row.mean]
    others: list[Score | None] = [bicubic.mean if bicubic else None]
    if len(row.planes) > 1:
        names += [", ".join(map(str, plane.place)) for plane in row.planes]
        scores += [plane.score for plane in row.planes]
        others += (
            [plane.score for plane in bicubic.planes]
            if bicubic
            else [None] * len(row.planes)
        )
    return [
        Line(row.name, name, score, _gain(score, other), row.shift)
        for name, score, other in zip(names, scores, others, strict=True)
    ]


def _gain(score: Score, bicubic: Score | None) -> float:
    if bicubic is None:
        return math.nan
    return 0.0 if score is bicubic else score.psnr - bicubic.psnr


def as_csv(evaluation: Evaluation) -> str:
    """All lines in full, with what the figures depend on."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV)
    for row in evaluation.rows:
        for line in lines_of(row, evaluation.row(BICUBIC)):
            score = line.score
            rules = (score.protocol, score.colour, score.border, score.rounded)
            end = (*line.shift, *rules, score.data_range, score.left_out)
            writer.writerow([line.name, line.place, *line.values, *end])
    return stream.getvalue()


def write_csv(path: Path, evaluation: Evaluation) -> None:
    """Write all lines to a file, replaced at once.

    Raises
    ------
    EDSRError
        If it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(as_csv(evaluation), encoding=_ENCODING)


def as_text(evaluation: Evaluation) -> str:
    """The table with tabs, as spreadsheets and mails take it."""
    rows = [[_COLUMNS[0], "Plane", *_COLUMNS[1:]]]
    for row in evaluation.rows:
        for line in lines_of(row, evaluation.row(BICUBIC)):
            name = " ".join(line.name.split())  # a tab would begin another cell
            rows.append([name, line.place, *_texts(line)])
    return "\n".join("\t".join(cells) for cells in rows)


def _texts(line: Line) -> list[str]:
    texts = [form.format(x) for form, x in zip(_FORMATS, line.values, strict=True)]
    if math.isnan(line.gain):
        texts[_GAIN] = "–"
    elif line.gain == 0:
        texts[_GAIN] = "0.00"
    return texts


class ScoreTable(QTreeWidget):
    """Sorts by any column, and tells which candidate and plane is chosen.

    Signals
    -------
    plane_chosen(tuple of int)
        The place of a plane whose line was chosen.
    """

    plane_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Scores")
        self.setHeaderLabels(_COLUMNS)
        self.setToolTip(
            "Click a heading to sort. A line of a stack folds out into its planes; choose "
            "one to see it in the viewer."
        )
        self.setIndentation(_INDENTATION)
        self.setUniformRowHeights(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.DescendingOrder)
        header = self.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.itemExpanded.connect(self._fit)
        self.itemCollapsed.connect(self._fit)
        self.currentItemChanged.connect(self._on_current)

    def show_evaluation(self, evaluation: Evaluation) -> None:
        """Replace the lines; what is chosen, sorted and folded out stays so."""
        chosen, open_keys = self.chosen(), self._open_keys()
        self.setSortingEnabled(False)
        self.blockSignals(True)
        self.clear()
        for row in evaluation.rows:
            item = self._add(row, evaluation.row(BICUBIC))
            item.setExpanded(row.key in open_keys)
            if row.key == chosen:
                self.setCurrentItem(item)
        self.blockSignals(False)
        self.setSortingEnabled(True)
        self.setRootIsDecorated(any(len(row.planes) > 1 for row in evaluation.rows))
        self._fit()

    def chosen(self) -> Hashable | None:
        """Key of the candidate whose line, or plane's line, is chosen."""
        item = self.currentItem()
        key: Hashable | None = item.data(0, _KEY) if item else None
        return key

    def _add(self, row: Row, bicubic: Row | None) -> QTreeWidgetItem:
        mean, *planes = lines_of(row, bicubic)
        item = _Item([mean.name, *_texts(mean)])
        _fill(item, row.key, (), mean)
        for line, plane in zip(planes, row.planes, strict=False):
            child = _Item([f"plane {line.place}", *_texts(line)])
            _fill(child, row.key, plane.place, line)
            item.addChild(child)
        self.addTopLevelItem(item)
        return item

    def _items(self) -> Iterable[QTreeWidgetItem]:
        items = (self.topLevelItem(i) for i in range(self.topLevelItemCount()))
        return (item for item in items if item is not None)

    def _open_keys(self) -> set[Hashable]:
        return {item.data(0, _KEY) for item in self._items() if item.isExpanded()}

    def _on_current(self, item: QTreeWidgetItem | None) -> None:
        if item is not None and item.data(0, _PLACE):
            self.plane_chosen.emit(item.data(0, _PLACE))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Leave to the names what the columns that are looked at first do not need."""
        super().resizeEvent(event)
        self._fit_name()

    def _fit_name(self) -> None:
        viewport = self.viewport()
        taken = sum(self.columnWidth(i) for i in range(1, _IN_SIGHT + 1))
        room = viewport.width() - taken if viewport is not None else 0
        self.setColumnWidth(0, max(_NARROWEST_NAME, room))

    def _fit(self) -> None:
        """As high as its lines are, within reason."""
        count = sum(1 + item.childCount() * item.isExpanded() for item in self._items())
        lines = min(max(count, _FEWEST), _MOST)
        line = max(self.sizeHintForRow(0), self.fontMetrics().height() + _PADDING)
        header, bar = self.header(), self.horizontalScrollBar()
        assert header is not None and bar is not None
        extra = header.sizeHint().height() + bar.sizeHint().height()
        self.setFixedHeight(lines * line + extra + 2 * self.frameWidth())
        self._fit_name()


class _Item(QTreeWidgetItem):
    """Sorts by numbers, not by their texts; NaN goes below all others."""

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        tree = self.treeWidget()
        column = tree.sortColumn() if tree is not None else 0
        mine, theirs = (item.data(column, _VALUE) for item in (self, other))
        if mine is None or theirs is None:
            return self.text(column) < other.text(column)
        return bool(_rank(mine) < _rank(theirs))


def _rank(value: float) -> tuple[bool, float]:
    return (False, 0.0) if math.isnan(value) else (True, value)


def _fill(
    item: QTreeWidgetItem, key: Hashable, place: Sequence[int], line: Line
) -> None:
    item.setData(0, _KEY, key)
    item.setData(0, _PLACE, tuple(place))
    item.setToolTip(0, line.name)
    for column, value in enumerate(line.values, start=1):
        item.setData(column, _VALUE, value)
        item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
