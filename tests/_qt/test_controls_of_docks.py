"""Whatever can be operated in a dock is reached by Tab and says what it is and does."""

from __future__ import annotations

import importlib
import re

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollBar,
    QWidget,
)
from superqt import QLabeledSlider

KINDS = (
    *(QAbstractButton, QAbstractItemView, QAbstractSlider),
    *(QAbstractSpinBox, QComboBox, QLineEdit),
)
#: What Qt makes for itself within a control.
WHOLES = (QAbstractItemView, QAbstractSpinBox, QComboBox, QLabeledSlider, QLineEdit)
DOCKS = {
    "upscale_widget.UpscaleWidget": 40,
    "finetune.widget.FinetuneWidget": 40,
    "evaluate.widget.EvaluateWidget": 20,
    "compare.widget.CompareWidget": 15,
}


def controls_of(dock):
    """All of them, hidden ones too, but for the parts of others."""
    for control in dock.findChildren(QWidget):
        is_part = isinstance(control, QScrollBar) or any(
            isinstance(whole, WHOLES) for whole in around(control, dock)
        )
        if isinstance(control, KINDS) and not is_part:
            yield control


def around(control, dock):
    """The widgets that a control lies in, up to its dock."""
    while (control := control.parentWidget()) not in (None, dock):
        yield control


@pytest.mark.parametrize("name", DOCKS)
def test_every_control_is_reached_by_tab_and_explains_itself(name, viewer, qtbot):
    module, _, kind = name.rpartition(".")
    dock = getattr(importlib.import_module(f"napari_edsr._qt.{module}"), kind)(viewer)
    qtbot.addWidget(dock)
    controls = list(controls_of(dock))
    assert len(controls) >= DOCKS[name]
    for control in controls:
        label = control.text() if isinstance(control, QAbstractButton) else ""
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, (control, label)
        title = label.partition(":")[0]  # without what a section says of its settings
        assert len(control.toolTip()) > len(title) + 10, (control, label)
        assert re.search(r"\w", read_aloud(control)), (control, control.toolTip())


def read_aloud(control):
    """What a screen reader calls it: its own name, its text, or the label before it."""
    if control.accessibleName():
        return control.accessibleName()
    if isinstance(control, QAbstractButton) and control.text():
        return control.text()
    labels = control.window().findChildren(QLabel)
    return next((label.text() for label in labels if label.buddy() is control), "")


def test_the_folder_section_is_among_them(viewer, qtbot):
    from napari_edsr._qt.upscale_widget import UpscaleWidget

    dock = UpscaleWidget(viewer)
    qtbot.addWidget(dock)
    found = set(controls_of(dock))
    options = dock.controls.folder
    assert {options.pattern, options.skip, options.run, dock.panel.files} <= found
