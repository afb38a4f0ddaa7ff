"""A form with sections that fold: what the controls of each dock are laid out in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_edsr._qt.controls import Section

_FRAME = QSize(4, 4)
_RESIZING = (QEvent.Type.LayoutRequest, QEvent.Type.Resize)
#: Of the text of locked controls; the theme's own is too faint to be read.
_LOCKED_OPACITY = 0.7
_CHOSEN_OPACITY = 0.25  # of the same colour behind the choice made
_LOCKED_STYLE = """
*:disabled {{ color: {color}; }}
QPushButton:checked:disabled {{ background-color: {shade}; }}
"""


class Form(QScrollArea):
    """A form that scrolls when the dock is low; it knows no viewer."""

    sections_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sections: dict[str, Section] = {}
        self._opened: Section | None = None
        self.form = QWidget()
        self.rows = QFormLayout(self.form)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setVerticalSpacing(8)
        self.rows.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )
        self.rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.setWidget(self.form)
        self.form.installEventFilter(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def add_sections(self, sections: Mapping[str, Section]) -> None:
        """Put sections into the form, close to one another; their names are remembered."""
        folding = QVBoxLayout()
        folding.setSpacing(2)
        for name, section in sections.items():
            self.sections[name] = section
            section.toggled.connect(self.sections_changed)
            section.toggled.connect(partial(self._note_opened, section))
            folding.addWidget(section)
        self.rows.addRow(folding)

    def sizeHint(self) -> QSize:  # noqa: N802
        """All of the form, if the dock is high enough."""
        layout, viewport = self.form.layout(), self.viewport()
        size = self.form.sizeHint()
        if layout is not None and viewport is not None and layout.hasHeightForWidth():
            wrapped = layout.totalHeightForWidth(viewport.width())
            size.setHeight(max(self.form.minimumSizeHint().height(), wrapped))
        return size + _FRAME

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Grow and shrink with the form as its sections fold."""
        if event is not None and event.type() in _RESIZING:
            self.updateGeometry()
        is_done = super().eventFilter(watched, event)
        if event is not None and event.type() == QEvent.Type.Resize:
            self._reveal()
        return is_done

    def _note_opened(self, section: Section, is_open: bool) -> None:
        self._opened = section if is_open and self.isVisible() else None

    def _reveal(self) -> None:
        """Scroll to a section that was folded out where there was no room for it."""
        if self._opened is not None:
            self.ensureWidgetVisible(self._opened, 0, 0)
            self._opened = None

    def lock(self, locked: bool) -> None:
        """Keep the choices as they are while a run goes on; they stay readable."""
        self.form.setEnabled(not locked)
        self._keep_locked_texts_readable()

    def _keep_locked_texts_readable(self) -> None:
        """Style them beforehand: a style set with the lock would move the form."""
        red, green, blue, _ = self.palette().windowText().color().getRgb()
        text = f"rgba({red}, {green}, {blue}, "
        style = _LOCKED_STYLE.format(
            color=f"{text}{_LOCKED_OPACITY:.0%})", shade=f"{text}{_CHOSEN_OPACITY:.0%})"
        )
        if self.form.styleSheet() != style:
            self.form.setStyleSheet(style)

    def open_sections(self) -> str:
        """Names of the sections that are folded out, with spaces between them."""
        return " ".join(key for key, part in self.sections.items() if part.isExpanded())

    def restore_sections(self, names: str) -> None:
        """Fold out the sections that were."""
        for key in names.split():
            if key in self.sections:
                self.sections[key].set_open(True)
