"""When windows are painted."""

from qtpy.QtWidgets import QWidget

from napari_edsr._qt.painting import painting_put_off


class Painted(QWidget):
    """Counts how often it is."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def paintEvent(self, event):
        self.count += 1


def shown(qtbot):
    widget = Painted()
    qtbot.addWidget(widget)
    widget.show()
    qtbot.waitUntil(lambda: widget.count > 0)
    return widget


def test_a_change_is_painted_once_the_time_is_over(qtbot):
    widget = shown(qtbot)
    before = widget.count
    with painting_put_off(50):
        widget.repaint()
    widget.repaint()
    assert widget.count == before
    qtbot.waitUntil(lambda: widget.count > before)


def test_twice_at_once(qtbot):
    widget = shown(qtbot)
    with painting_put_off(10), painting_put_off(10):
        pass
    qtbot.waitUntil(widget.updatesEnabled)


def test_a_window_that_is_gone_meanwhile(qtbot):
    gone, stays = shown(qtbot), shown(qtbot)
    with painting_put_off(10):
        gone.deleteLater()
    qtbot.waitUntil(stays.updatesEnabled)


def test_a_window_whose_updates_were_off_keeps_them_off(qtbot):
    still, other = shown(qtbot), shown(qtbot)
    still.setUpdatesEnabled(False)
    with painting_put_off(10):
        pass
    qtbot.waitUntil(other.updatesEnabled)
    assert not still.updatesEnabled()
