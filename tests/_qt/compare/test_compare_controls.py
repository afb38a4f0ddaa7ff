"""The dock's controls and keys: how they are reached, and by what."""

from __future__ import annotations

import re

from qtpy.QtWidgets import QLabel, QPushButton


def test_mnemonics_are_unique_and_leave_the_menus_theirs(pair, make_dock):
    dock = make_dock()
    labels = [each for each in dock.findChildren(QLabel) if each.buddy() is not None]
    texts = [each.text() for each in (*dock.findChildren(QPushButton), *labels)]
    letters = [m.lower() for text in texts for m in re.findall(r"&(\w)", text)]

    assert len(letters) == len(set(letters)) == 17
    menus, screenshots = set("fvlpwh"), set("sc")
    assert set(letters) & (menus | screenshots) == set()


def test_mnemonics_stay_unique_when_the_line_turns(pair, make_dock):
    dock = make_dock()
    dock.controls.curtain.direction.button("horizontal").click()

    test_mnemonics_are_unique_and_leave_the_menus_theirs(pair, lambda: dock)
