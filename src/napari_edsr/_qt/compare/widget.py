"""The dock "Compare": puts its parts together and connects them with the viewer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QWidget

from napari_edsr._qt import settings
from napari_edsr._qt.compare.blink import Blink
from napari_edsr._qt.compare.controls import (
    BLINK,
    CURTAIN,
    GRID,
    LOUPE,
    CompareControls,
)
from napari_edsr._qt.compare.curtain import Curtain
from napari_edsr._qt.compare.export import FigureWriter, take_shot
from napari_edsr._qt.compare.frame import Frame
from napari_edsr._qt.compare.grid import Grid
from napari_edsr._qt.compare.loupe import Loupe
from napari_edsr._qt.compare.mode import Look, Mode, PaintedMode
from napari_edsr._qt.compare.panel import ComparePanel
from napari_edsr._qt.compare.scores import range_text
from napari_edsr._qt.compare.window import check_view
from napari_edsr._qt.dock import Dock
from napari_edsr._qt.failure import Failure
from napari_edsr._qt.layers import image_layers
from napari_edsr._qt.news import layer_news
from napari_edsr._qt.saving import ask_path, file_name
from napari_edsr.errors import EDSRError

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

_CATEGORY = "compare"
_FILE_TYPES = "PNG (*.png);;SVG (*.svg)"
_FEW = 2  # layers from which there is something to compare
_STATUS = {
    GRID: "Side by side; a move of one moves all.",
    CURTAIN: "Drag the line in the canvas, or move it with the arrow keys; X swaps.",
    LOUPE: "Move the cursor over the canvas.",
}


class CompareWidget(Dock):
    """Tick layers, press a button, and see them side by side.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Also a `napari.components.ViewerModel`, without a window.
    """

    mode: Mode | None = None

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None
    ) -> None:
        controls, panel = CompareControls(), ComparePanel()
        super().__init__(napari_viewer, controls, panel, parent)
        self.controls, self.panel = controls, panel
        self.writer = FigureWriter(self)
        self.active = ""
        self._list_timer = QTimer(self)
        self._list_timer.setSingleShot(True)
        self._list_timer.setInterval(0)
        self.controls.restore(settings.load(_CATEGORY))
        self._connect()
        self.follow_layers()

    def _connect(self) -> None:
        controls, panel, writer = self.controls, self.panel, self.writer
        self._list_timer.timeout.connect(self._on_layers)
        controls.modes.pressed.connect(self.toggle)
        controls.layers_changed.connect(self._on_layers)
        controls.changed.connect(self._on_choices)
        controls.curtain.sides_changed.connect(self._on_sides)
        controls.curtain.turned.connect(self._on_turned)
        controls.curtain.moved.connect(self._on_moved)
        controls.blink.pause_asked.connect(self._on_pause)
        panel.export_asked.connect(self.export)
        panel.leave_asked.connect(self.leave)
        writer.changed.connect(self._update)
        writer.saved.connect(self._on_saved)
        writer.failed.connect(self._on_failure)
        layer_news().to_compare.connect(self._on_handed_over)
        layer_news().comparing.connect(self._on_comparing)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Draw in the colours of another theme as well."""
        super().changeEvent(event)
        is_theme = event is not None and event.type() == QEvent.Type.PaletteChange
        if is_theme and isinstance(self.mode, PaintedMode):
            self.mode.set_look(self._look())

    # what is asked for

    def toggle(self, kind: str) -> None:
        """Begin a way of comparing, or leave it if it is the one at work."""
        was_active = self.active
        self.controls.show_ready(kind)
        if kind != was_active:
            self._begin(kind, self._end())
            self._update()
        else:
            self.leave()

    def leave(self) -> None:
        """Show the layers as they were shown before."""
        if frame := self._end():
            frame.remove()
        self._update()

    def _end(self) -> Frame | None:
        """End the mode; its picture, if it has one, is left in the viewer."""
        mode, self.mode, self.active = self.mode, None, ""
        self.panel.tiles.show_tiles([])
        if mode is None:
            return None
        mode.deleteLater()
        return mode.hand_over()

    def _begin(self, kind: str, frame: Frame | None) -> None:
        """Begin a mode, with the picture that the one before has left."""
        mode = self._make(kind)
        layer_news().comparing.emit(mode.layers)
        if isinstance(mode, PaintedMode) and frame:
            mode.take(frame)
        elif frame:
            frame.remove()
        mode.gave_up.connect(self._on_gave_up)
        self.panel.error.hide()
        self.panel.outcome.show_text("")
        try:
            mode.begin()
        except Exception as error:  # a file that cannot be read, for one
            mode.end()
            self._on_failure(Failure.of(error, "Comparing"))
            return
        self.mode, self.active = mode, kind

    def _make(self, kind: str) -> Mode:
        return {
            GRID: lambda: Grid(self._viewer, self.layers(), self),
            CURTAIN: self._make_curtain,
            BLINK: self._make_blink,
            LOUPE: self._make_loupe,
        }[kind]()

    def _make_curtain(self) -> Curtain:
        options = self.controls.curtain
        curtain = Curtain(
            self._viewer,
            self.sides(),
            self._look(),
            str(options.direction.value()),
            options.position,
            self,
        )
        curtain.moved.connect(options.show_position)
        curtain.swap_asked.connect(options.swap_sides)
        return curtain

    def _make_blink(self) -> Blink:
        options = self.controls.blink
        options.pause.setChecked(False)
        rate = options.rate.value()
        blink = Blink(self._viewer, self.layers(), self._look(), rate, self)
        blink.showing.connect(self._on_showing)
        return blink

    def _make_loupe(self) -> Loupe:
        loupe = Loupe(
            self._viewer,
            self.layers(),
            self.panel.tiles.resolution,
            self.controls.loupe.magnification.value(),
            self.truth(),
            self,
        )
        loupe.seen.connect(self.panel.tiles.show_tiles)
        return loupe

    def _look(self) -> Look:
        return Look(self.palette(), self.font(), self.devicePixelRatioF())

    def export(self) -> None:
        """Ask where to write a figure of what is seen, and write it."""
        try:
            shot = take_shot(self._viewer, self.layers(), self.mode, self.truth())
        except EDSRError as error:
            self._on_failure(Failure.of(error, "Exporting the figure"))
            return
        name = file_name(" and ".join(layer.name for layer in shot.layers[:_FEW]))
        suggestion = str(Path(name).with_suffix(".png"))
        if path := ask_path(self, "Export figure", suggestion, _FILE_TYPES):
            self.writer.write(shot, path)

    def stop_all(self) -> None:
        """Leave the viewer as it was."""
        self.writer.stop()
        self.leave()

    # what is there

    def layers(self) -> list[Image]:
        """The layers that are ticked."""
        return self._found(*self.controls.ticks.ticked(int))

    def sides(self) -> list[Image]:
        """The layers at the two sides of the curtain."""
        keys = self.controls.curtain.sides()
        return [layer for key in keys for layer in self._found(key)]

    def truth(self) -> Image | None:
        """The layer that others are measured against."""
        return next(iter(self._found(self.controls.truth.value())), None)

    def _found(self, *keys: object) -> list[Image]:
        return [
            layer for layer in image_layers(self._viewer.layers) if id(layer) in keys
        ]

    def follow_layers(self) -> None:
        """Follow the viewer's list and selection."""
        offered = image_layers(self._viewer.layers)
        selected = [id(layer) for layer in offered if self._is_selected(layer)]
        names = [(layer.name, id(layer)) for layer in offered]
        every = [key for _, key in names]
        self.controls.set_layers(names, selected if len(selected) >= _FEW else every)
        if self.mode is None:
            self._on_layers()
        else:
            self._list_timer.start()  # napari is not through with its list yet

    def _on_removed(self, layer: Layer) -> None:
        """Leave when someone deletes the picture that is shown."""
        if isinstance(self.mode, PaintedMode) and layer is self.mode.frame.layer:
            self.leave()

    def _on_layers(self) -> None:
        """Begin anew with the layers that are ticked now."""
        ticked = self.layers()
        names = [(layer.name, id(layer)) for layer in ticked]
        self.controls.curtain.set_layers(names)
        if isinstance(self.mode, Loupe):
            self._set_loupe(self.mode)
        if self.mode is not None and self.active != CURTAIN:
            self._begin_anew(ticked)
        self._update()

    def _on_sides(self) -> None:
        mode, sides = self.mode, self.sides()
        if isinstance(mode, Curtain) and sides == mode.layers[::-1]:
            mode.swap()
        elif self.active == CURTAIN:
            self._begin_anew(sides)
        self._update()

    def _begin_anew(self, layers: list[Image]) -> None:
        """Go on with other layers, or leave where there are too few."""
        kind, mode = self.active, self.mode
        if mode is None or layers == mode.layers:
            return
        gone = [each.name for each in mode.layers if each not in self._viewer.layers]
        if not self._reasons()[kind] and not (kind == CURTAIN and gone):
            self._begin(kind, self._end())
            return
        self.leave()
        if gone:
            self.panel.outcome.show_text(f"Left the comparison: {gone[0]} is gone.")

    def _on_choices(self) -> None:
        settings.save(_CATEGORY, **self.controls.settings())
        if isinstance(self.mode, Blink):
            self.mode.set_rate(self.controls.blink.rate.value())
        if isinstance(self.mode, Loupe):
            self._set_loupe(self.mode)

    def _set_loupe(self, loupe: Loupe) -> None:
        loupe.set(
            side=self.panel.tiles.resolution,
            magnification=self.controls.loupe.magnification.value(),
            truth=self.truth(),
        )

    def _on_turned(self, direction: str) -> None:
        if isinstance(self.mode, Curtain):
            self.mode.turn(direction)

    def _on_moved(self, position: float) -> None:
        if isinstance(self.mode, Curtain):
            self.mode.move_to(position)

    def _on_pause(self, paused: bool) -> None:
        if isinstance(self.mode, Blink):
            self.mode.pause(paused)

    def _on_comparing(self, layers: list[Image]) -> None:
        """Make way for another dock of the same viewer."""
        if self.mode is not None and self._found(*map(id, layers)):
            self.leave()

    def _on_handed_over(self, layers: list[Image]) -> None:
        """Tick layers that another dock hands over, and get the curtain ready."""
        keys = [id(layer) for layer in self._found(*map(id, layers))]
        if len(keys) < _FEW:
            return  # another viewer's
        self.leave()
        self.controls.ticks.tick_only(*keys)
        self.controls.curtain.set_sides(id(layers[0]), id(layers[1]))
        self.controls.show_ready(CURTAIN)
        self.controls.modes.buttons[CURTAIN].setFocus()

    # what is said

    def _update(self) -> None:
        """Bring every text up to date with the controls and the viewer."""
        reasons = self._reasons()
        self.controls.modes.show_active(self.active, reasons)
        said = dict.fromkeys(reason for reason in reasons.values() if reason)
        self.controls.reason.show_text("" if self.active else " ".join(said))
        status = _STATUS.get(self.active, "")
        if self.active != BLINK:
            self.panel.status.show_text(status)
        truth = self.truth()
        measured = self.active == LOUPE and truth is not None
        self.panel.note.show_text(range_text(truth) if truth and measured else "")
        self.panel.set_ready(export=self._no_export(), leave=self.mode is not None)

    def _reasons(self) -> dict[str, str]:
        """For each mode why it cannot begin; empty where it can."""
        try:
            check_view(self._viewer)
        except EDSRError as error:
            return dict.fromkeys((GRID, CURTAIN, BLINK, LOUPE), str(error))
        count, verb = len(self.layers()), "Tick"
        if self.controls.ticks.count() < _FEW:
            verb = "Open"
        few = "" if count >= _FEW else f"{verb} at least two images to compare them."
        none = "" if count else few
        return {GRID: few, CURTAIN: few, BLINK: few, LOUPE: none}

    def _no_export(self) -> str:
        if self.writer.is_running:
            return "A figure is being measured."
        return "" if self.layers() else "Tick a layer to export a figure."

    def _on_showing(self, name: str) -> None:
        self.panel.status.show_text(f"Shown now: {name}")

    def _on_gave_up(self, reason: str) -> None:
        self.leave()
        self.panel.outcome.show_text(f"Left the comparison. {reason}")

    def _on_saved(self, path: str) -> None:
        self.panel.error.hide()
        self.panel.outcome.show_text(f"Saved {Path(path).name}.")

    def _on_failure(self, failure: Failure) -> None:
        self.panel.outcome.show_text("")
        self.panel.error.show_error(failure.message, failure.details)
        show_error(failure.message)
