"""What a queue of runs has come to, and what is said of it at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_edsr._qt.requests import UpscaleRequest
from napari_edsr._qt.wording import clock, device_name, duration, model_label, sentence


@dataclass
class Tally:
    """Counts the requests of a queue as they end.

    Parameters
    ----------
    requests : sequence of UpscaleRequest
        In their order.

    Attributes
    ----------
    number : int
        Of the request at work, from 1.
    finished : dict of int to dict
        Provenance of the results that are complete, by number.
    partial : list of (int, int)
        Tiles done, and in all, of results that are kept as far as they got.
    failed : int
        Requests that went wrong.
    deleted : bool
        Whether a result was taken away while it was made.
    """

    requests: Sequence[UpscaleRequest]
    number: int = 0
    finished: dict[int, dict[str, Any]] = field(default_factory=dict)
    partial: list[tuple[int, int]] = field(default_factory=list)
    failed: int = 0
    deleted: bool = False

    def __post_init__(self) -> None:
        self._sizes = [request.values for request in self.requests]

    @property
    def place(self) -> str:
        """Which request of how many, e.g. ``"layer 2 of 3"``; empty for a single one."""
        count = len(self.requests)
        return f"layer {self.number} of {count}" if count > 1 else ""

    def progress(self, share: float, seconds: float) -> tuple[float, str]:
        """Share of the whole queue, and that with the time left in words.

        Parameters
        ----------
        share : float
            Of the request at work, 0-1.
        seconds : float
            That its tiles took so far.
        """
        sizes, at_work = self._sizes, self._sizes[self.number - 1]
        whole = (sum(sizes[: self.number - 1]) + share * at_work) / sum(sizes)
        done = share * at_work + sum(sizes[number - 1] for number in self.finished)
        ahead = (1 - share) * at_work + sum(sizes[self.number :])
        spent = seconds + sum(run["seconds"] for run in self.finished.values())
        left = clock(spent * ahead / done) if done else "?"
        words = f"{whole:.0%}, {left} left"
        return whole, f"{words} – {self.place}" if self.place else words

    def words(self) -> str:
        """What happened, in a line, and what the last run found out."""
        count = len(self.requests)
        if len(self.finished) == count:
            return self._all_done()
        if count > 1:
            parts = [f"{len(self.finished)} of {count} layers are done"]
            parts += [f"{len(self.partial)} in part"] * bool(self.partial)
            parts += [f"{self.failed} failed"] * bool(self.failed)
            return ", ".join(parts) + "."
        if self.partial:
            done, total = self.partial[-1]
            if self.failed:
                return f"What was done is kept: {done} of {total} parts."
            return f"Stopped after {done} of {total} parts; these are kept."
        if self.failed:
            return ""  # the error says it
        if self.deleted:
            return "Stopped, as its result was deleted."
        return "Stopped; nothing was done yet."

    def _all_done(self) -> str:
        request, last = self.requests[-1], self.finished[len(self.requests)]
        seconds = duration(sum(done["seconds"] for done in self.finished.values()))
        device = f"{device_name(last['device'])} {last['precision']}"
        what = "Preview" if request.preview else "Done"
        layers = f" – {len(self.requests)} layers" if self.place else ""
        model = f"{model_label(request.model)} ×{request.scale}"
        notes = [sentence(note) for note in last.get("notes", ())]
        if request.options.get("uncertainty") and not request.preview:
            notes.append("The uncertainty is in a hidden layer above the result.")
        return "\n".join([f"{what}: {seconds}, {device}, {model}{layers}", *notes])
