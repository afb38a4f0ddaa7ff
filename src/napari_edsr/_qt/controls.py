"""Small controls that the docks are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPaintEvent, QResizeEvent, QWheelEvent
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)
from superqt import QCollapsible

QWIDGETSIZE_MAX = 2**24 - 1
_NARROW = 200
_PADDING = 6  # that the theme puts around the text of a list
#: A title, not a button: only what is to be pressed should look like it.
_SECTION_STYLE = (
    "text-align: left; border: none; background: transparent; padding: 3px 0px;"
)


class Caption(QLabel):
    """Text below or beside a control; wraps, and can be selected and copied."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as the text is at this width: Qt would reserve room for a narrower one."""
        return QSize(0, self.heightForWidth(max(self.width(), _NARROW)))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """No text is cut off."""
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Another width may mean another height."""
        super().resizeEvent(event)
        if event is not None and event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def show_text(self, text: str) -> None:
        """Show `text`, or nothing at all where it is empty."""
        self.setText(text)
        self.setVisible(bool(text))


class Choice(QComboBox):
    """A list of words, each standing for a value, that does not widen the dock."""

    chosen = Signal(object)

    def __init__(
        self, options: Iterable[tuple[str, object]] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(8)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.set_options(options)
        self.currentIndexChanged.connect(self._emit)

    def _emit(self) -> None:
        self.chosen.emit(self.value())

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Scroll the dock, and change the choice only once it has been clicked."""
        if event is not None and not self.hasFocus():
            event.ignore()
        else:
            super().wheelEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Show the middle of a long name as dots; Qt would cut a letter in two."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        style = painter.style()
        assert style is not None
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideMiddle, field.width() - _PADDING
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def set_options(self, options: Iterable[tuple[str, object]]) -> None:
        """Replace the list; the value stays chosen if it is still there. Emits nothing."""
        value = self.value()
        with QSignalBlocker(self):
            self.clear()
            for text, data in options:
                self.addItem(text, data)
                self.setItemData(self.count() - 1, text, Qt.ItemDataRole.ToolTipRole)
            self.setCurrentIndex(max(0, self.index_of(value)) if self.count() else -1)

    def index_of(self, value: object) -> int:
        """Place of a value in the list, -1 if it is not there."""
        return next((i for i in range(self.count()) if self.itemData(i) == value), -1)

    def value(self) -> object:
        """What is chosen; None in an empty list."""
        return self.currentData()

    def set_value(self, value: object) -> bool:
        """Choose a value; False if the list does not have it."""
        index = self.index_of(value)
        if index >= 0:
            self.setCurrentIndex(index)
        return index >= 0


class Segments(QWidget):
    """A row of buttons of which one is down."""

    chosen = Signal(object)

    def __init__(
        self,
        options: Sequence[tuple[str, object, str]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._values = [value for _, value, _ in options]
        self._group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for i, (text, _, tip) in enumerate(options):
            button = QPushButton(text)
            button.setCheckable(True)
            button.setToolTip(tip)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            self._group.addButton(button, i)
            row.addWidget(button)
        self._group.buttons()[0].setChecked(True)
        self.setFocusProxy(self._group.buttons()[0])
        self._group.idToggled.connect(self._emit)

    def _emit(self, index: int, checked: bool) -> None:
        if checked:
            self.setFocusProxy(self._group.button(index))
            self.chosen.emit(self._values[index])

    def button(self, value: object) -> QPushButton:
        """The button that stands for `value`."""
        button = self._group.button(self._values.index(value))
        assert isinstance(button, QPushButton)
        return button

    def value(self) -> object:
        """What the button that is down stands for."""
        return self._values[self._group.checkedId()]

    def set_value(self, value: object) -> None:
        """Press the button of `value`; unknown values change nothing."""
        if value in self._values:
            self.button(value).setChecked(True)


class Section(QCollapsible):
    """A part of the dock that folds away and then says in its title what it is set to."""

    def __init__(
        self, title: str, content: QWidget, tip: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(title, parent)
        self.toggleButton().setToolTip(tip)
        self._title, self._summary = title, ""
        self.setContent(content)
        self.setDuration(0)
        self.toggleButton().setStyleSheet(_SECTION_STYLE)
        self.toggleButton().setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed
        )
        layout = self.layout()
        if layout is not None:
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(2)
        self.toggled.connect(self._settle)
        self._settle(False)

    def set_summary(self, text: str) -> None:
        """Say in a few words what is chosen inside."""
        self._summary = text
        self._retitle()

    def set_open(self, is_open: bool) -> None:
        """Fold out or away, at once."""
        self.toggleButton().setChecked(is_open)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Show as much of the summary as there is room for."""
        super().resizeEvent(event)
        self._retitle()

    def _settle(self, is_open: bool) -> None:
        """Let the content be as high as it likes, and keep Tab out while it is away."""
        self.content().setVisible(is_open)
        self.content().setMaximumHeight(QWIDGETSIZE_MAX if is_open else 0)
        self.toggleButton().setIcon(QIcon())  # the title has an arrow
        self._retitle()

    def _retitle(self) -> None:
        if self.isExpanded():
            self.setText(f"▾  {self._title}")
        else:
            tail = f":  {self._summary}" if self._summary else ""
            self.setText(self._elided(f"▸  {self._title}{tail}"))

    def _elided(self, text: str) -> str:
        """As much of a text as there is room for."""
        room = max(self.width(), _NARROW) - 2 * _PADDING
        metrics = self.toggleButton().fontMetrics()
        return metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
