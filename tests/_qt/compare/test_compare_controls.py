"""The dock's controls and keys: how they are reached, and by what."""

from __future__ import annotations

import re

import pytest
from napari.layers import Image
from qtpy.QtWidgets import QLabel, QPushButton

from napari_edsr._qt.compare.controls import BLINK, CURTAIN


def test_mnemonics_are_unique_and_leave_the_menus_theirs(pair, make_dock):
    dock = make_dock()
    labels = [each for each in dock.findChildren(QLabel) if each.buddy() is not None]
    texts = [each.text() for each in (*dock.findChildren(QPushButton), *labels)]
    letters = [m.lower() for text in texts for m in re.findall(r"&(\w)", text)]

    assert len(letters) == len(set(letters)) == 17
    menus, screenshots = set("fvlpwh"), set("sc")
    assert set(letters) & (menus | screenshots) == set()


@pytest.mark.promise("the ticked layers in turn, 0.5 to 10 in a second")
@pytest.mark.parametrize(("asked", "pause"), [(0.1, 2000), (4, 250), (50, 100)])
def test_blinking_is_as_quick_as_asked_for(pair, make_dock, asked, pause):
    dock = make_dock()
    dock.controls.blink.rate.setValue(asked)
    dock.controls.modes.buttons[BLINK].click()
    assert dock.mode._clock.interval() == pause


def test_mnemonics_stay_unique_when_the_line_turns(pair, make_dock):
    dock = make_dock()
    dock.controls.curtain.direction.button("horizontal").click()

    test_mnemonics_are_unique_and_leave_the_menus_theirs(pair, lambda: dock)


def test_keys_of_the_curtain_come_before_those_of_the_active_layer(
    pair, viewer, make_dock
):
    before = [dict(layer.keymap) for layer in pair]
    own = set(map(str, Image.class_keymap))
    viewer.layers.selection.active = pair[0]
    dock = make_dock()
    dock.controls.modes.buttons[CURTAIN].click()
    first = {str(key) for key in pair[0].keymap}
    viewer.layers.selection.active = pair[1]
    second = {str(key) for key in pair[1].keymap}
    let_go = dict(pair[0].keymap)
    dock.panel.leave.click()

    assert first == second == {"Left", "Right", "X"}
    assert let_go == before[0]
    assert [dict(layer.keymap) for layer in pair] == before
    assert set(map(str, Image.class_keymap)) == own
