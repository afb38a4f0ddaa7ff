"""What the dock says before it measures, what it remembers, how it can be operated."""

from __future__ import annotations

import re

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton

from napari_edsr._qt import settings


def candidates(dock):
    shown = dock.controls.candidates
    return {
        shown.item(i).text(): shown.item(i).checkState() == Qt.CheckState.Checked
        for i in range(shown.count())
    }


def test_without_a_truth_it_says_what_to_do(dock, viewer, truth, noisy):
    dock.follow_layers()
    assert dock.panel.reason.text() == (
        "Open the truth and the images to be compared with it."
    )
    viewer.add_image(noisy(), name="mine")
    assert not dock.panel.measure.isEnabled()
    assert dock.panel.reason.text() == "Choose the layer that holds the truth."
    viewer.layers.clear()
    viewer.add_image(truth, name="truth")
    assert dock.panel.reason.text() == "Open the images to be compared with truth."


@pytest.mark.parametrize(
    "name", ["cells gt", "Truth", "HR", "city (truth)", "baby_HR", "reference 2"]
)
def test_truth_is_told_by_its_name(dock, viewer, truth, noisy, name):
    viewer.add_image(noisy(), name="through")
    viewer.add_image(truth, name=name)
    assert dock.controls.truth.currentText() == name
    assert candidates(dock) == {"through": True}
    assert dock.panel.measure.isEnabled()


def test_chosen_truth_stays(dock, viewer, truth, noisy):
    viewer.add_image(noisy(), name="mine")
    dock.controls.truth.set_value(id(viewer.layers["mine"]))
    viewer.add_image(truth, name="truth")
    assert dock.controls.truth.currentText() == "mine"


def test_layers_that_fit_are_ticked(dock, viewer, truth, low, noisy):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    viewer.add_image(low, name="low")
    viewer.add_image(np.zeros((3, 5, 5)), name="other")
    assert candidates(dock) == {"mine": True, "low": False, "other": False}
    assert dock.controls.low.currentText() == "automatic: low"


def test_ticked_layer_that_does_not_fit_is_left_out_with_a_reason(
    dock, viewer, truth, low, noisy
):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    viewer.add_image(low, name="low")
    item = dock.controls.candidates.item(1)
    item.setCheckState(Qt.CheckState.Checked)
    assert dock.panel.measure.isEnabled()
    assert (
        "Low shows truth in low resolution; choose it as the low-resolution layer."
        in dock.controls.described.text()
    )


@pytest.mark.promise(
    "bicubic interpolation and repeated pixels of the low-resolution layer as baselines"
)
def test_low_layer_alone_gives_baselines(dock, viewer, truth, low):
    viewer.add_image(truth, name="truth")
    viewer.add_image(low, name="low")
    assert dock.panel.measure.isEnabled()
    dock.controls.bicubic.setChecked(False)
    assert dock.panel.reason.text() == "Tick the layers that are to be measured."


def test_nothing_is_offered_before_there_are_figures(dock, viewer, press, truth, noisy):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    panel = dock.panel
    buttons = (panel.error_map, panel.ssim_map, panel.copy, panel.csv, panel.table)
    assert all(button.isHidden() for button in buttons)
    press(dock)
    assert not any(button.isHidden() for button in buttons)


def test_rules_are_remembered(dock, viewer, qtbot):
    from napari_edsr._qt.evaluate.widget import EvaluateWidget

    controls = dock.controls
    controls.protocol.set_value("edsr-y")
    controls.rules.border.setValue(3)
    controls.rules.data_range.set_value("given")
    controls.rules.white.setValue(4095)
    controls.rules.register.setChecked(True)
    controls.nearest.setChecked(True)
    controls.sections["rules"].set_open(True)

    another = EvaluateWidget(viewer)
    qtbot.addWidget(another)
    rules = another.controls.rules.value("edsr-y")
    assert (rules.border, rules.data_range, rules.registers) == (3, 4095, True)
    assert another.controls.protocol.value() == "edsr-y"
    assert another.controls.baselines() == ["bicubic", "nearest"]
    assert another.controls.sections["rules"].isExpanded()
    assert settings.load("evaluate")["white"] == 4095


def test_a_given_range_of_nothing_is_refused(dock, viewer, truth, noisy):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    dock.controls.rules.data_range.set_value("given")
    dock.controls.rules.white.setValue(1e-6)
    assert dock.panel.measure.isEnabled()
    dock.controls.rules.white.setValue(0)
    assert not dock.panel.measure.isEnabled()
    assert "White minus black must be more than 0" in dock.panel.reason.text()


def test_colour_is_left_to_protocols_that_say_which(dock):
    dock.controls.protocol.set_value("edsr-y")
    assert not dock.controls.rules.colour.isEnabled()
    assert dock.controls.rules.value("edsr-y").colour is None


def test_protocol_without_a_scale_asks_for_the_border(
    dock, viewer, press, truth, noisy
):
    viewer.add_image(truth, name="truth")
    viewer.add_image(noisy(), name="mine")
    dock.controls.protocol.set_value("mmagic")
    assert not dock.panel.measure.isEnabled()
    assert "set the border under 'How to measure'" in dock.panel.reason.text()
    dock.controls.rules.border.setValue(32)
    assert dock.panel.reason.text() == (
        "Nothing of 96 × 64 px is left inside a border of 32 px; set a smaller one under "
        "'How to measure'."
    )
    dock.controls.rules.border.setValue(2)
    press(dock)
    assert dock.evaluation.rows[0].mean.border == 2


def test_mnemonics_are_unique_and_leave_the_menus_theirs(dock):
    texts = [
        w.text() for kind in (QPushButton, QCheckBox) for w in dock.findChildren(kind)
    ]
    texts += [
        label.text() for label in dock.findChildren(QLabel) if label.buddy() is not None
    ]
    letters = [m.lower() for text in texts for m in re.findall(r"&(\w)", text)]
    assert len(letters) == len(set(letters)) == 13
    menus, screenshots = set("fvlpwh"), set("sc")
    assert set(letters) & (menus | screenshots) == set()
