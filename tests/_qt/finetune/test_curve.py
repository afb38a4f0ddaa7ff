from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QPalette, QWheelEvent
from qtpy.QtWidgets import QWidget

from napari_edsr._qt.finetune.curve import LiveCurve, Means
from napari_edsr._qt.ticks import log_ticks, nice_ticks, step_label

WAIT = 5000  # ms
NAN = math.nan

IMPORT_AND_LOOK = """
import sys
from napari_edsr._qt.finetune import curve
assert "pyqtgraph" not in sys.modules, "importing the module loads pyqtgraph"
from qtpy.QtWidgets import QApplication
app, hook = QApplication([]), sys.excepthook
widget = curve.LiveCurve()
assert "pyqtgraph" in sys.modules
assert sys.excepthook is hook, "pyqtgraph's hook is in the place of Python's"
"""


@pytest.fixture
def curve(qtbot):
    widget = LiveCurve()
    qtbot.addWidget(widget)
    widget.resize(320, 230)
    with qtbot.waitSignal(widget.drawn, timeout=WAIT):
        widget.show()
    return widget


@pytest.fixture
def draw(qtbot, curve):
    """`draw(add)`: what the widget looks like with what `add` adds to it."""

    def after(add=lambda: None):
        with qtbot.waitSignal(curve.drawn, timeout=WAIT):
            add()
        return curve.grab().toImage()

    return after


def colours(picture):
    """Names of all colours in a picture."""
    places = itertools.product(range(picture.width()), range(picture.height()))
    return {picture.pixelColor(x, y).name() for x, y in places}


def test_pyqtgraph_is_imported_late_and_leaves_the_process_alone():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_AND_LOOK],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_what_was_added_is_there(curve):
    curve.begin(1000, 29.8, 30.1)
    for step, psnr in ((100, 31.5), (200, NAN), (300, 33.0), (400, math.inf)):
        curve.add_psnr(step, psnr)
    for step, loss in ((1, 0.5), (2, NAN), (3, math.inf), (4, 0.25)):
        curve.add_loss(step, loss)

    assert curve.lines == {"bicubic": 29.8, "before": 30.1}
    assert curve.psnr_points == [(100, 31.5), (300, 33.0)]
    assert curve.loss_points == [(1, 0.5), (4, 0.25)]


def test_next_run_begins_empty(curve):
    curve.begin(1000, 29.8, 30.1)
    curve.add_psnr(100, 31.5)
    curve.add_loss(100, 0.1)

    curve.begin(50, NAN, 25.5)

    assert (curve.psnr_points, curve.loss_points) == ([], [])
    assert curve.lines == {"before": 25.5}


@pytest.mark.parametrize("before", [30.1, 29.8, 25.5, 40, NAN])
def test_lines_and_points_lie_within_the_plot(curve, draw, before):
    def add():
        curve.begin(1000, 29.8, before)
        curve.add_psnr(500, 28.0)
        curve.add_psnr(1000, 36.0)

    draw(add)

    low, high = curve.psnr_range
    values = [28.0, 36.0, *curve.lines.values()]
    margin = 0.02 * (high - low)
    assert low + margin < min(values) <= max(values) < high - margin
    assert curve.step_ranges == ((0, 1000), (0, 1000))


@pytest.mark.parametrize("lines", [(30.0, 30.0), (NAN, 30.0), (NAN, NAN)])
def test_without_points_there_is_still_a_range(curve, draw, lines):
    draw(lambda: curve.begin(10, *lines))

    low, high = curve.psnr_range
    assert high - low >= 1
    assert all(low < value < high for value in curve.lines.values())


def test_steps_beyond_the_end_widen_both_plots(curve, draw):
    def add():
        curve.begin(10, NAN, NAN)
        curve.add_loss(25, 0.5)

    draw(add)

    assert curve.step_ranges == ((0, 25), (0, 25))


def test_points_are_seen(curve, draw):
    curve.begin(10, 30, 31)
    empty = draw()

    def add():
        curve.add_psnr(5, 32)
        curve.add_loss(1, 0.1)
        curve.add_loss(9, 0.2)

    assert draw(add) != empty


def test_loss_that_is_not_positive_is_kept_but_not_drawn(curve, draw):
    def add():
        curve.begin(10, NAN, NAN)
        curve.add_loss(1, 0.0)
        curve.add_loss(2, 0.5)

    draw(add)

    assert curve.loss_points == [(1, 0), (2, 0.5)]


def test_many_steps_stay_few_points():
    means, n = Means(100), 12_345
    for x in range(n):
        means.add(x, 2.0 * x)

    points = means.points
    steps = [x for x, _ in points]
    assert 50 <= len(points) <= 101
    assert steps == sorted(steps)
    assert points[0] == (127 / 2, 127)  # the mean of 128 steps
    assert all(y == 2 * x for x, y in points)
    assert steps[-1] > n - 129


def test_few_steps_stay_as_they_are():
    means = Means(100)
    for x in range(99):
        means.add(x, -x)
    assert means.points == [(x, -x) for x in range(99)]


def test_colours_follow_the_palette(curve, draw):
    def add():
        curve.begin(10, NAN, NAN)
        curve.add_psnr(2, 30)
        curve.add_psnr(8, 31)

    def darken():
        palette = QPalette(curve.palette())
        palette.setColor(QPalette.ColorRole.Window, QColor("#23242b"))
        palette.setColor(QPalette.ColorRole.WindowText, QColor("#f0f1f2"))
        curve.setPalette(palette)

    light, dark = colours(draw(add)), colours(draw(darken))

    assert "#0072b2" in light - dark
    assert "#56b4e9" in dark - light
    assert "#23242b" in dark - light


def test_text_grows_with_the_font(curve, draw):
    before = curve.sizeHint().height()

    def enlarge():
        font = curve.font()
        font.setPointSizeF(2 * font.pointSizeF())
        curve.setFont(font)

    draw(enlarge)

    assert curve.sizeHint().height() > 1.5 * before


def test_mouse_passes_through(curve):
    """The wheel scrolls the dock, and a drag moves no curve."""
    place = curve.rect().center()
    wheel = QWheelEvent(
        QPointF(place),
        QPointF(curve.mapToGlobal(place)),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )

    curve.wheelEvent(wheel)

    assert curve.childAt(place) is None
    assert not wheel.isAccepted()


def test_deleted_with_a_redraw_under_way(qtbot):
    outer = QWidget()
    curve = LiveCurve(outer)
    curve.begin(10, 30, 31)
    curve.add_psnr(1, 32)
    with qtbot.waitSignal(curve.destroyed, timeout=WAIT):
        outer.deleteLater()


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0, 1000, 5, [0, 500, 1000]),
        (0, 1000, 6, [0, 200, 400, 600, 800, 1000]),
        (29.3, 36.6, 4, [30, 32, 34, 36]),
        (29.97, 30.12, 3, [30, 30.05, 30.1]),
        (0, 1, 1, [0]),
        (5, 5, 3, [5]),
    ],
)
def test_ticks_are_round_and_few(low, high, most, ticks):
    assert nice_ticks(low, high, most) == ticks


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0.009, 0.06, 3, [0.01, 0.02, 0.05]),
        (0.015, 0.06, 3, [0.02, 0.05]),
        (1e-4, 2, 3, [1e-4, 1e-2, 1]),
        (0.05, 2, 2, [0.1, 1]),
        (0.021, 0.027, 3, [0.022, 0.024, 0.026]),
    ],
)
def test_logarithmic_ticks(low, high, most, ticks):
    assert log_ticks(low, high, most) == ticks


@pytest.mark.parametrize(
    ("step", "last", "words"),
    [(0, 20_000, "0"), (500, 900, "500"), (20_000, 99_000, "20k"), (2500, 1e4, "2.5k")],
)
def test_steps_in_words(step, last, words):
    assert step_label(step, last) == words
