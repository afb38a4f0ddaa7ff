"""What the docks have in common: how they follow the viewer, and come and go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Shapes
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_edsr._qt import settings
from napari_edsr._qt.background import DevicesFound, TorchScout
from napari_edsr._qt.form import Form
from napari_edsr._qt.model_source import ModelSource
from napari_edsr._qt.news import model_news
from napari_edsr._qt.viewer_link import ViewerLink

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_WIDTH = 360
_NARROWEST = 320
_SETTLES = 150  # milliseconds between a move of the view and what follows from it


class Dock(QWidget):
    """A dock that follows a viewer while it is open, and stops its work when closed.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    controls : Form
    panel : QWidget
        Below it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        controls: Form,
        panel: QWidget,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        settings.apply_system()
        self._viewer = viewer
        self.link = ViewerLink(
            viewer, self.follow_layers, self._on_view, self._on_removed, self._on_data
        )
        self._view_timer = QTimer(self)
        self._view_timer.setSingleShot(True)
        self._view_timer.setInterval(_SETTLES)
        self._view_timer.timeout.connect(self._update)
        self._lay_out(controls, panel)
        self.link.connect()
        self.destroyed.connect(self.link.disconnect)

    def _lay_out(self, controls: Form, panel: QWidget) -> None:
        column = QVBoxLayout(self)
        column.setSpacing(10)
        column.addWidget(controls)
        column.addWidget(panel)
        column.addStretch(1)
        self.setMinimumWidth(_NARROWEST)

    # what a dock says of itself

    def follow_layers(self) -> None:
        """Bring everything up to date with the layer list and its selection."""
        raise NotImplementedError

    def stop_all(self) -> None:
        """End whatever runs, each after the step at work."""
        raise NotImplementedError

    def _update(self) -> None:
        """Bring every text up to date with the controls and the viewer."""
        raise NotImplementedError

    def _on_removed(self, layer: Layer) -> None:
        """Let go of a layer that is gone."""

    def _on_data(self, layer: Layer) -> None:
        """Heed that a watched image has other pixels now."""

    # what all of them do

    def _watch(self, layers: Iterable[Image]) -> None:
        """Hear of changes of these images, and of what is drawn."""
        shapes = [layer for layer in self._viewer.layers if isinstance(layer, Shapes)]
        self.link.watch([*layers, *shapes])

    def _is_selected(self, layer: Image) -> bool:
        return layer in self._viewer.layers.selection

    def _on_view(self) -> None:
        self._view_timer.start()

    # coming and going

    def sizeHint(self) -> QSize:  # noqa: N802
        """Wide enough for the texts, and within a small screen."""
        return QSize(_WIDTH, super().sizeHint().height())

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Stop all work when the dock is closed: napari then only takes the widget out."""
        super().changeEvent(event)
        if event is None or event.type() != QEvent.Type.ParentChange:
            return
        if self.parent() is None:
            self.stop_all()
            self.link.disconnect()
        else:
            self.link.connect()
            self.follow_layers()


class ModelDock(Dock):
    """A dock that runs a model: what its chooser asks for, and where torch can compute.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    controls : Form
        With a model chooser as `models`, and `set_devices`.
    panel : QWidget
        Below it.
    measures : bool
        Whether the speed of devices is of interest.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        controls: Any,
        panel: QWidget,
        parent: QWidget | None = None,
        *,
        measures: bool = True,
    ) -> None:
        super().__init__(viewer, controls, panel, parent)
        self._form = controls
        controls.models.refresh()  # of the cache folder that the Preferences name
        self.scout = TorchScout(self, measures=measures)
        self.model_source = ModelSource(controls.models, self)
        self.model_source.updated.connect(self._update)
        self.scout.devices_found.connect(self._on_devices)
        model_news().added.connect(self._on_model_added)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Ask for torch, which takes seconds, only after the dock is there."""
        super().showEvent(event)
        self.scout.start_when_idle()

    def _on_devices(self, found: DevicesFound) -> None:
        self._offer(found)
        if self._form.models.pending:
            self.model_source.restore(self._form.models.pending)
        self._update()

    def _offer(self, found: DevicesFound) -> None:
        self._form.set_devices(found.names, found.auto)

    def _on_model_added(self, name: str) -> None:
        self._form.models.refresh()
        self._update()
