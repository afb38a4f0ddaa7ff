"""Which model: those of the zoo for the scale asked for, and files of one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_edsr import zoo
from napari_edsr._qt.controls import Caption, Choice
from napari_edsr._qt.wording import in_bytes, model_label, times
from napari_edsr.cards import BUILT_IN, KEPT_SCORES
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ModelError
from napari_edsr.zoo import ModelCard

_FILE = "choose a file"
_FILE_TYPES = "Weights (*.safetensors *.pth *.pt *.zip);;All files (*)"
_STEPS = 1000


@dataclass(frozen=True)
class ModelChoice:
    """A model that can be chosen: a card of the zoo, or a weights file.

    Attributes
    ----------
    key : str
        What the engine takes: a name or a path.
    title, detail : str
        What the list and the line below it say.
    config : EDSRConfig
    available : bool
        Whether the weights are on this computer.
    bytes : int
        Size of a download.
    about : str
        Whom to credit, and the terms.
    """

    key: str
    title: str
    detail: str
    config: EDSRConfig
    available: bool = True
    bytes: int = 0
    about: str = ""

    @classmethod
    def of_card(cls, card: ModelCard) -> ModelChoice:
        """As the zoo knows it."""
        available = zoo.is_available(card)
        where: str = card.kind.replace("-", " ")
        if not available:
            where = f"download {in_bytes(card.size)}"
        title = f"{_short_title(card)} – {where}"
        about = f"{card.title}. {card.credit}. Licence: {card.licence}."
        scores = _scores(card)
        return cls(card.name, title, scores, card.config, available, card.size, about)

    @classmethod
    def of_file(cls, path: str | Path, config: EDSRConfig) -> ModelChoice:
        """As its file was recognised."""
        blocks = "block" if config.n_resblocks == 1 else "blocks"
        shape = f"{config.n_resblocks} {blocks} of {config.n_feats} features"
        return cls(str(path), f"{Path(path).name} – file", shape, config)

    @property
    def label(self) -> str:
        """Short, for layer names."""
        return model_label(self.key)


def _short_title(card: ModelCard) -> str:
    return times(re.sub(r"\s*\(.*\)", "", card.title))


def _scores(card: ModelCard) -> str:
    """Quality in a line, e.g. ``"Set5, Y: 37.5 dB, bicubic 33.7 dB"``."""
    if KEPT_SCORES[0] in card.scores:
        return _kept_scores(card.scores)
    scales = card.config.scales[:1]
    built_in = next(own for own in BUILT_IN if own.config.scales == scales)
    for colour in ("Y", "RGB"):
        measure = f"Set5 PSNR {colour}"
        if measure in card.scores:
            bicubic = built_in.scores[f"{measure}, bicubic"]
            ours = card.scores[measure]
            return f"Set5, {colour}: {ours:.1f} dB, bicubic {bicubic:.1f} dB"
    return card.licence


def _kept_scores(scores: Mapping[str, float]) -> str:
    """On images like those it learned from, which were kept aside."""
    own, *others = (key for key in KEPT_SCORES if key in scores)
    words = [f"{key.rpartition(', ')[2]} {scores[key]:.1f} dB" for key in others]
    return ", ".join([f"Kept aside: {scores[own]:.1f} dB", *words])


def checked_choice(
    choice: ModelChoice | None, scale: int, pending: str = ""
) -> ModelChoice:
    """The model that is to be used, or a `ModelError` saying what to do about it.

    Parameters
    ----------
    choice : ModelChoice or None
    scale : int
    pending : str
        Path of a weights file that is wanted, but not read yet.
    """
    if pending:
        raise ModelError(f"Wait: {Path(pending).name} is being read.")
    if choice is None:
        raise ModelError("Choose a model.")
    if scale not in choice.config.scales:
        offered = " and ".join(f"×{own}" for own in choice.config.scales)
        raise ModelError(f"The model is {offered}; choose that scale or another model.")
    if not choice.available:
        raise ModelError("Download the model first, or choose a built-in one.")
    return choice


def iter_recognise(path: str) -> Generator[None, None, ModelChoice]:
    """Read a weights file to learn what network it holds; the job of a worker."""
    yield
    from napari_edsr.checkpoints import load_model

    return ModelChoice.of_file(path, load_model(path).config)


class ModelChooser(QWidget):
    """The models for a scale; asks for downloads and files, and shows how far they are."""

    changed = Signal()
    download_asked = Signal(str)
    download_stop_asked = Signal()
    file_asked = Signal(str)
    scale_asked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._files: list[ModelChoice] = []
        self._choices: dict[str, ModelChoice] = {}
        self._scale = 2
        self._last = ""
        self._wanted = ""
        self._downloading = False
        self.list = Choice()
        self.list.setAccessibleName("Model")
        self.list.setToolTip(
            "Built-in models work at once and offline; others are downloaded when you ask. "
            "'Choose file…' takes weights of EDSR-PyTorch, mmagic, BasicSR or napari-edsr."
        )
        self.caption = Caption()
        self.download = QPushButton("Download")
        self.download.setToolTip(
            "Fetch the weights from their authors' server and check them."
        )
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.hint = Caption()
        self.take_hint = QPushButton("Use it")
        self.take_hint.setToolTip("Choose the model that is suggested.")
        self._lay_out()
        self.suggest("", "")
        self.refresh()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.download)
        row.addWidget(self.bar, 1)
        suggestion = QHBoxLayout()
        suggestion.addWidget(self.hint, 1)
        suggestion.addWidget(self.take_hint, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.list)
        column.addWidget(self.caption)
        column.addLayout(row)
        column.addLayout(suggestion)
        self.setFocusProxy(self.list)
        self.list.chosen.connect(self._on_chosen)
        self.take_hint.clicked.connect(self._on_hint_taken)
        self.download.clicked.connect(self._on_download)

    def refresh(self) -> None:
        """Ask the zoo again which models there are, and keep the one chosen."""
        cards = [card for card in zoo.list_cards() if self._scale in card.config.scales]
        choices = [ModelChoice.of_card(card) for card in cards]
        choices += [file for file in self._files if self._scale in file.config.scales]
        self._choices = {choice.key: choice for choice in choices}
        entries: list[tuple[str, object]] = [(c.title, c.key) for c in choices]
        self.list.set_options([*entries, ("Choose file…", _FILE)])
        self._last = str(self.list.value())
        self._show_choice()

    def value(self) -> ModelChoice | None:
        """The model chosen."""
        return self._choices.get(str(self.list.value()))

    def checked(self, scale: int) -> ModelChoice:
        """The model chosen, or a `ModelError` saying what to do about it."""
        return checked_choice(self.value(), scale, self.pending)

    def set_value(self, key: str) -> None:
        """Choose a model by its name or path; one that is not known is kept in mind."""
        self._wanted = "" if key in self._choices else key
        self.list.set_value(key)

    @property
    def pending(self) -> str:
        """Path of a remembered file that is still to be recognised; else empty."""
        return self._wanted if os.path.isfile(self._wanted) else ""

    def forget_pending(self, path: str, reason: object = None) -> None:
        """Stay with the model that is shown, if this file is still wanted."""
        if self._wanted == path:
            self._wanted = ""
            self.changed.emit()

    @property
    def remembered(self) -> str:
        """What to choose the next time: the model, or a file not recognised yet."""
        return self._wanted or self._last

    def set_scale(self, scale: int) -> None:
        """Offer the models of another scale, and choose the like of the present one."""
        wanted = _same_kind(str(self.list.value()), self._scale, scale)
        self._scale, self._wanted = scale, ""
        self.refresh()
        keys = (wanted, zoo.default_model(scale))
        self.list.set_value(next(key for key in keys if key in self._choices))
        self.changed.emit()

    def add_file(self, choice: ModelChoice) -> None:
        """Add a recognised weights file to the list, and choose it."""
        others = [file for file in self._files if file.key != choice.key]
        self._files = [*others, choice]
        if self._scale not in choice.config.scales:
            self.scale_asked.emit(choice.config.scales[0])
        self.refresh()
        self.set_value(choice.key)
        self.changed.emit()

    def suggest(self, name: str, reason: str) -> None:
        """Say why a model may be better than the built-in one that is chosen.

        An empty name takes the hint away.
        """
        self._suggested = name
        others = {card.name for card in BUILT_IN} - {name}
        wanted = name in self._choices and self.list.value() in others
        self.hint.show_text(reason if wanted else "")
        self.take_hint.setVisible(wanted)

    def _on_hint_taken(self) -> None:
        self.set_value(self._suggested)

    def show_download(self, share: float | None) -> None:
        """Show how much of a download has arrived; None when it is over."""
        self._downloading = share is not None
        if share is not None:
            self.bar.setValue(round(share * _STEPS))
        else:
            self.refresh()
        self._show_choice()

    def _on_chosen(self, key: object) -> None:
        if key != _FILE:
            self._last, self._wanted = str(key), ""
            self._show_choice()
            self.changed.emit()
            return
        self.list.set_value(self._last)
        path, _ = QFileDialog.getOpenFileName(self, "Choose weights", "", _FILE_TYPES)
        if path:
            self.file_asked.emit(path)

    def _on_download(self) -> None:
        if self._downloading:
            self.download_stop_asked.emit()
        else:
            self.download_asked.emit(str(self.list.value()))

    def _show_choice(self) -> None:
        choice = self.value()
        self.caption.show_text(choice.detail if choice else "")
        self.caption.setToolTip(choice.about if choice else "")
        missing = choice is not None and not choice.available
        self.download.setVisible(missing or self._downloading)
        size = in_bytes(choice.bytes) if choice else ""
        self.download.setText("Stop" if self._downloading else f"Download {size}")
        self.bar.setVisible(self._downloading)


def _same_kind(name: str, scale: int, other: int) -> str:
    """Name of the model of another scale that belongs with `name`."""
    return name.replace(f"x{scale}", f"x{other}")
