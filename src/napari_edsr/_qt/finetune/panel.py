"""The foot of the Fine-tune dock: buttons, the curve, and what came of it."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_edsr._qt.controls import Caption
from napari_edsr._qt.finetune.blending import BlendSlider
from napari_edsr._qt.finetune.curve import LiveCurve
from napari_edsr._qt.run_panel import ErrorView, ProgressRow

_PAUSE, _RESUME = "Pa&use", "Res&ume"


class FinetunePanel(QWidget):
    """Emits what is asked for, and shows what it is told."""

    start_asked = Signal()
    adapt_asked = Signal()
    pause_asked = Signal()
    finish_asked = Signal()
    use_asked = Signal()
    save_asked = Signal()
    yaml_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.estimate = Caption()
        self.adapt = QPushButton("&Adapt to this layer")
        self.adapt.setToolTip(
            "Fine-tune on the very layer that you want to upscale, if you have no "
            "sharper images of its kind: details repeat at other sizes."
        )
        self.start = QPushButton("Sta&rt")
        self.start.setToolTip("Fine-tune; the model you start from stays as it is.")
        self.start.setStyleSheet("font-weight: bold; padding: 7px;")
        self.adapt.setStyleSheet("padding: 7px;")
        self.reason = Caption()
        self.progress = ProgressRow()
        self.progress.cancel.setText("Stop and &keep the best")
        self.progress.cancel.setToolTip(
            "End now; the weights that did best on what is kept aside become a model."
        )
        self.pause = QPushButton(_PAUSE)
        self.pause.setToolTip("Wait after this step, or go on where it was.")
        self.curve: LiveCurve | None = None
        self.outcome = Caption()
        self.saved = Caption()
        self.blend = BlendSlider()
        self.use = QPushButton("Use in Upscal&e")
        self.use.setToolTip("Choose the new model in the Upscale dock.")
        self.save = QPushButton("Save mo&del…")
        self.save.setToolTip("Write the new model to a file, to give it away.")
        self.yaml = QPushButton("Save &YAML…")
        self.yaml.setToolTip(
            "Write this run as a configuration, with its images beside it, to repeat it "
            "with 'napari-edsr train', on a cluster for one."
        )
        self.error = ErrorView()
        self._lay_out()
        self._connect()
        self.show_ready()
        self.show_outcome("")

    def _lay_out(self) -> None:
        buttons, ending = QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self.adapt, 1)
        buttons.addWidget(self.start, 1)
        for button in (self.use, self.save, self.yaml):
            button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            ending.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        ending.addStretch(1)
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.estimate)
        column.addLayout(buttons)
        column.addWidget(self.pause)
        column.addWidget(self.reason)
        column.addWidget(self.progress)
        self._curve_place = column.count()
        column.addWidget(self.outcome)
        column.addWidget(self.blend)
        column.addLayout(ending)
        column.addWidget(self.saved)
        column.addWidget(self.error)

    def _connect(self) -> None:
        self.start.clicked.connect(self.start_asked)
        self.adapt.clicked.connect(self.adapt_asked)
        self.pause.clicked.connect(self.pause_asked)
        self.progress.cancel.clicked.connect(self.finish_asked)
        self.use.clicked.connect(self.use_asked)
        self.save.clicked.connect(self.save_asked)
        self.yaml.clicked.connect(self.yaml_asked)

    def make_curve(self) -> LiveCurve:
        """The curve, made at the first run, as pyqtgraph takes a moment to load."""
        if self.curve is None:
            self.curve = LiveCurve()
            self._column.insertWidget(self._curve_place, self.curve)
        return self.curve

    def set_ready(self, reason: str, *, can_adapt: bool) -> None:
        """Free Start, or say why it is not; an empty reason frees it."""
        self.start.setEnabled(not reason)
        self.adapt.setEnabled(can_adapt)
        self.reason.show_text(reason)

    def set_saving(self, *, has_run: bool, is_free: bool) -> None:
        """Offer to save a run where there is one, and nothing while something is saved."""
        self.yaml.setVisible(has_run)
        for button in (self.yaml, self.save):
            button.setEnabled(is_free)

    def show_ready(self, resumable: str = "") -> None:
        """Offer to start, and to go on with the run of this name that was stopped."""
        self.progress.hide()
        for button in (self.start, self.adapt):
            button.show()
        self.pause.setText(f"{_RESUME} {resumable}")
        self.pause.setVisible(bool(resumable))

    def begin(self, status: str) -> None:
        """Show the bar, and take away what an earlier run left."""
        self.error.hide()
        self.show_outcome("")
        for button in (self.start, self.adapt, self.yaml):
            button.hide()
        self.reason.show_text("")
        self.estimate.show_text("")
        self.pause.show()
        self.show_paused(False)
        self.progress.begin(status)

    def show_paused(self, paused: bool) -> None:
        """Let the button say what it does next."""
        self.pause.setText(_RESUME if paused else _PAUSE)
        self.progress.status.setText("Paused." if paused else "Going on…")

    def show_outcome(self, text: str, *, has_model: bool = False) -> None:
        """Say what came of the run; with a model, what can be done with it."""
        self.outcome.show_text(text)
        self.saved.show_text("")
        for widget in (self.blend, self.use, self.save):
            widget.setVisible(has_model)
