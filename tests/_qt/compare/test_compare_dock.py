"""The dock's controls on a viewer without a window: modes, and putting things back."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QApplication

from napari_edsr._qt import handover, settings
from napari_edsr._qt.compare.controls import BLINK, CURTAIN, GRID, LOUPE
from napari_edsr._qt.layers import METADATA_KEY

UNCHECKED = Qt.CheckState.Unchecked
MODES = (GRID, CURTAIN, BLINK, LOUPE)


@pytest.fixture
def dock(pair, make_dock):
    return make_dock()


def press_mode(dock, mode):
    dock.controls.modes.buttons[mode].click()
    return dock


def ticked(dock):
    return [layer.name for layer in dock.layers()]


def pressed(dock):
    buttons = dock.controls.modes.buttons
    return [mode for mode in MODES if buttons[mode].isChecked()]


def test_all_images_are_ticked_until_several_are_selected(dock, pair, viewer, rng):
    third = viewer.add_image(rng.random((5, 5)), name="third")
    viewer.add_labels(np.ones((5, 5), int))
    everything = ticked(dock)
    viewer.layers.selection = {pair[0], third}

    assert everything == ["low", "high", "third"]
    assert ticked(dock) == ["low", "third"]


def test_ticks_made_by_hand_stay(dock, pair, viewer, rng):
    viewer.add_image(rng.random((5, 5)), name="third")
    dock.controls.ticks.item(2).setCheckState(UNCHECKED)
    viewer.layers.selection = {pair[1], viewer.layers[-1]}

    assert ticked(dock) == ["low", "high"]


def test_button_that_cannot_be_pressed_says_why(dock):
    dock.controls.ticks.item(0).setCheckState(UNCHECKED)

    enabled = {m: b.isEnabled() for m, b in dock.controls.modes.buttons.items()}
    assert enabled == {GRID: False, CURTAIN: False, BLINK: False, LOUPE: True}
    assert dock.controls.reason.text() == "Tick at least two images to compare them."


def test_empty_viewer_says_what_to_open(make_dock):
    dock = make_dock()

    assert dock.controls.reason.text() == "Open at least two images to compare them."
    assert dock.panel.reason.text() == "Tick a layer to export a figure."
    assert not dock.panel.export.isEnabled()


@pytest.mark.parametrize("name", ["truth", "nuclei_GT", "my HR image", "ground truth"])
def test_truth_is_recognised_by_its_name(dock, viewer, rng, name):
    layer = viewer.add_image(rng.random((5, 5)), name=name)

    assert dock.truth() is layer


def test_truth_can_be_chosen_and_stays_chosen(dock, pair, viewer, rng):
    dock.controls.truth.set_value(id(pair[0]))
    viewer.add_image(rng.random((5, 5)), name="truth")

    assert dock.truth() is pair[0]


@pytest.mark.promise(
    "Your layers are shown, not changed, and **Leave** puts everything back."
)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["leave", "again", "close", "switch"])
def test_everything_is_as_it_was(dock, pair, viewer, state, mode, how, mouse):
    viewer.layers.selection = {pair[0]}
    pair[0].opacity = 0.5
    pair[0].visible = False
    before = state(viewer)

    press_mode(dock, mode)
    mouse.hover(49.5, 59.5)
    if how == "leave":
        dock.panel.leave.click()
    elif how == "close":
        dock.stop_all()
    elif how == "again":
        press_mode(dock, mode)
    else:
        other = MODES[(MODES.index(mode) + 1) % len(MODES)]
        press_mode(dock, other)
        assert pressed(dock) == [other]
        press_mode(dock, other)

    assert state(viewer) == before
    assert pressed(dock) == []
    assert not dock.panel.leave.isEnabled()


def test_what_the_user_changed_meanwhile_is_kept(dock, pair, viewer):
    press_mode(dock, CURTAIN)
    pair[0].contrast_limits = (10, 20)
    viewer.layers.selection = {pair[1]}
    dock.panel.leave.click()

    assert pair[0].contrast_limits == [10, 20]
    assert set(viewer.layers.selection) == {pair[1]}
    assert [layer.visible for layer in pair] == [True, True]


@pytest.mark.parametrize("mode", MODES)
def test_what_the_user_hid_meanwhile_stays_hidden(dock, pair, viewer, mode):
    labels = viewer.add_labels(np.ones((5, 5), int))
    press_mode(dock, mode)
    labels.visible = mode == GRID  # the grid has hidden it
    dock.panel.leave.click()

    assert labels.visible == (mode == GRID)
    assert [layer.visible for layer in pair] == [True, True]


def test_own_meaning_of_a_key_comes_back(dock, viewer, press):
    called = []
    viewer.bind_key("X", lambda viewer: called.append("own"))
    press_mode(dock, CURTAIN)
    press(viewer, "X")
    dock.panel.leave.click()
    press(viewer, "X")

    assert called == ["own"]


@pytest.mark.fault(
    "Layers and docks: compared layer deleted",
    "The others stay side by side; the last one ends the comparison with a sentence.",
)
def test_a_layer_deleted_meanwhile_is_no_error(dock, pair, viewer, rng):
    third = viewer.add_image(rng.random((5, 5)), name="third")
    dock.controls.ticks.tick_only(id(pair[0]), id(pair[1]), id(third))
    press_mode(dock, GRID)
    viewer.layers.remove(third)
    QApplication.processEvents()
    going_on = pressed(dock)
    viewer.layers.remove(pair[0])
    QApplication.processEvents()

    assert going_on == [GRID]
    assert pressed(dock) == []
    assert not viewer.canvas.grid.enabled
    assert dock.panel.outcome.text() == "Left the comparison: low is gone."


@pytest.mark.promise(
    "the ticked layers side by side under one camera, with their names"
)
def test_grid_shows_the_ticked_layers_with_their_names(dock, pair, viewer, rng):
    other = viewer.add_image(rng.random((5, 5)), name="other")
    dock.controls.ticks.tick_only(*map(id, pair))
    press_mode(dock, GRID)

    grid = viewer.canvas.grid
    assert [layer.visible for layer in (*pair, other)] == [True, True, False]
    assert [layer.name_overlay.visible for layer in pair] == [True, True]
    assert grid.actual_shape(viewer.layers) == (1, 2)
    assert [grid.position(i, viewer.layers) for i in (0, 1)] == [(0, 0), (0, 1)]


def test_grid_keeps_what_is_in_view(dock, viewer):
    press_mode(dock, GRID)
    in_grid = viewer.scene.camera.zoom
    viewer.scene.camera.zoom *= 3
    dock.panel.leave.click()

    assert in_grid == pytest.approx(2 * 197 / 400)
    assert viewer.scene.camera.zoom == pytest.approx(6)


@pytest.mark.promise("the ticked layers in turn")
def test_blink_shows_each_layer_in_turn(dock, pair, qtbot, painted):
    dock.controls.blink.rate.setValue(10)
    press_mode(dock, BLINK)
    shown = []
    for _ in range(3):
        with qtbot.waitSignal(dock.mode.showing) as flip:
            pass
        shown.append((flip.args[0], painted(dock)[-20:, -20:, :3].copy()))

    low = np.rint(pair[0].data / (2**16 - 1) * 255).repeat(4, 0).repeat(4, 1)
    high = pair[1].data.repeat(2, 0).repeat(2, 1)
    assert [name for name, _ in shown] == ["high", "low", "high"]
    np.testing.assert_array_equal(shown[0][1], high[-20:, -20:])
    np.testing.assert_allclose(shown[1][1][..., 0].astype(int), low[-20:, -20:], atol=1)


def test_blink_pauses_and_goes_on(dock, qtbot):
    dock.controls.blink.rate.setValue(10)
    press_mode(dock, BLINK)
    dock.controls.blink.pause.click()
    with qtbot.assertNotEmitted(dock.mode.showing, wait=250):
        pass
    said = dock.panel.status.text()
    with qtbot.waitSignal(dock.mode.showing):
        dock.controls.blink.pause.click()

    assert said == "Shown now: low"
    assert dock.panel.status.text() == "Shown now: high"


def test_another_tick_begins_anew(dock, pair, viewer, rng):
    third = viewer.add_image(rng.random((5, 5)), name="third")
    press_mode(dock, BLINK)
    dock.controls.ticks.item(0).setCheckState(UNCHECKED)

    assert dock.mode.layers == [pair[1], third]
    assert pressed(dock) == [BLINK]


def test_choices_are_remembered(dock, make_dock):
    press_mode(dock, LOUPE)
    dock.controls.loupe.magnification.setValue(12)
    dock.controls.blink.rate.setValue(3.5)
    dock.controls.curtain.direction.button("horizontal").click()
    dock.stop_all()
    other = make_dock()

    assert settings.load("compare") == {
        "mode": LOUPE,
        "direction": "horizontal",
        "rate": 3.5,
        "magnification": 12,
    }
    assert other.controls.settings() == dock.controls.settings()


def test_handed_over_layers_are_ticked_with_the_curtain_ready(dock, pair, viewer, rng):
    stack = viewer.add_image(rng.random((4, 9, 9)), name="stack")
    press_mode(dock, GRID)
    handover.compare(viewer, [stack, pair[0]], place=(2,))

    sides = dock.controls.curtain
    assert ticked(dock) == ["low", "stack"]
    assert (sides.first.currentText(), sides.second.currentText()) == ("stack", "low")
    assert pressed(dock) == []
    assert dock.controls.ready == CURTAIN
    assert viewer.dims.current_step[0] == 2


def test_layers_of_another_viewer_are_not_taken(dock, pair):
    from napari.components import ViewerModel

    other = ViewerModel()
    strangers = [other.add_image(layer.data) for layer in pair]
    dock.controls.ticks.item(0).setCheckState(UNCHECKED)
    handover.compare(other, strangers)

    assert ticked(dock) == ["high"]


def test_previews_are_no_candidates(dock, viewer, rng):
    viewer.add_image(
        rng.random((5, 5)), name="preview", metadata={METADATA_KEY: {"preview": True}}
    )

    assert ticked(dock) == ["low", "high"]


@pytest.mark.parametrize("mode", MODES)
def test_stack_and_its_slider_are_as_they_were(viewer, make_dock, state, rng, mode):
    for name in "ab":
        viewer.add_image(rng.random((4, 20, 20)), name=name, scale=(3, 0.5, 0.5))
    viewer.add_points([[3, 4, 5]])
    viewer.dims.set_current_step(0, 2)
    viewer.canvas.grid.enabled = mode != GRID
    before = state(viewer)
    dock = make_dock()
    press_mode(dock, mode)
    dock.panel.leave.click()

    assert state(viewer) == before


class Broken:
    """An array whose file is damaged from the second reading on."""

    def __init__(self):
        self.array, self.is_broken = np.zeros((20, 20), np.uint8), False
        self.shape, self.dtype, self.ndim = (20, 20), np.dtype("u1"), 2

    def __getitem__(self, index):
        if self.is_broken:
            raise OSError("truncated file")
        return self.array[index]


@pytest.mark.parametrize("mode", [CURTAIN, BLINK, LOUPE])
def test_layer_that_cannot_be_read_is_an_error_in_the_dock(
    viewer, make_dock, mode, errors_shown
):
    broken = Broken()
    for _ in range(2):
        viewer.add_image(broken, contrast_limits=(0, 255), multiscale=False)
    dock = make_dock()
    broken.is_broken = True
    press_mode(dock, mode)
    broken.is_broken = False

    assert "Truncated file." in dock.panel.error.message.text()
    assert errors_shown == [dock.panel.error.message.text()]
    assert pressed(dock) == []
    assert [layer.visible for layer in viewer.layers] == [True, True]
    assert viewer.mouse_move_callbacks == []


@pytest.mark.fault(
    "Layers and docks: compared layer that can no longer be read",
    "The comparison ends with a sentence.",
)
@pytest.mark.parametrize("mode", [CURTAIN, BLINK, LOUPE])
def test_layer_that_can_no_longer_be_read_ends_the_comparison(
    viewer, make_dock, mode, qtbot
):
    broken = Broken()
    for _ in range(2):
        viewer.add_image(broken, contrast_limits=(0, 255), multiscale=False)
    viewer.canvas.size, viewer.scene.camera.center = (100, 100), (10, 10)
    dock = make_dock()
    press_mode(dock, mode)
    broken.is_broken = True
    with qtbot.waitSignal(dock.mode.gave_up):
        viewer.layers[0].gamma = 0.5

    assert pressed(dock) == []
    assert dock.panel.outcome.text() == "Left the comparison. Truncated file."


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("second", MODES)
def test_second_dock_of_a_viewer_takes_over(
    dock, make_dock, viewer, state, first, second
):
    before, other = state(viewer), make_dock()
    press_mode(dock, first)
    press_mode(other, second)
    active = pressed(dock), pressed(other)
    dock.panel.leave.click()
    other.panel.leave.click()

    assert active == ([], [second])
    assert state(viewer) == before


@pytest.mark.parametrize(("first", "second"), [(BLINK, CURTAIN), (CURTAIN, BLINK)])
def test_picture_goes_on_in_the_next_mode(dock, viewer, first, second):
    shown = press_mode(dock, first).mode.frame.layer
    switched = press_mode(dock, second).mode.frame.layer

    assert switched is shown
    assert shown.name == f"Compare: {second}"
    assert list(viewer.layers) == [*dock.layers(), shown]


def test_picture_lies_over_layers_that_join(dock, pair, viewer, rng):
    shown = press_mode(dock, BLINK).mode.frame.layer
    third = viewer.add_image(rng.random((5, 5)), name="third")
    QApplication.processEvents()

    assert list(viewer.layers) == [*pair, third, shown]
    assert dock.mode.frame.layer is shown
    assert not third.visible


def test_names_have_the_colours_of_a_theme_chosen_meanwhile(dock, painted):
    before = painted(press_mode(dock, BLINK)).copy()
    palette = dock.palette()
    palette.setColor(QPalette.ColorRole.Window, QColor("#ff0000"))
    dock.setPalette(palette)
    name = (painted(dock) != before).any(axis=-1)

    assert 0 < name.sum() < 100 * 30 and not name[40:].any()


def test_every_control_is_reached_by_tab_in_every_mode(dock):
    controls, panel = dock.controls, dock.panel
    for mode, widgets in (
        (CURTAIN, ("first", "second", "slider", "swap")),
        (BLINK, ("rate", "pause")),
        (LOUPE, ("magnification",)),
    ):
        controls.show_ready(mode)
        options = controls.options[mode]
        reached = set(_tab_order(dock))
        wanted = {getattr(options, name) for name in widgets}
        wanted |= {controls.ticks, controls.truth, panel.export}
        wanted |= set(controls.modes.buttons.values())
        assert wanted <= reached
        assert all(widget.toolTip() for widget in wanted)


def _tab_order(dock):
    widget = dock
    while True:
        widget = widget.nextInFocusChain()
        if widget is dock:
            return
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisibleTo(dock):
            yield widget
