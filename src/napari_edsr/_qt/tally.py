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
    finished : list of dict
        Provenance of the results that are complete.
    partial : tuple of (int, int) or None
        Tiles done, and in all, of a result that is kept as far as it got.
    deleted : bool
        Whether a result was taken away while it was made.
    """

    requests: Sequence[UpscaleRequest]
    number: int = 0
    finished: list[dict[str, Any]] = field(default_factory=list)
    partial: tuple[int, int] | None = None
    deleted: bool = False

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
        sizes = [request.pixels for request in self.requests]
        before = sum(sizes[: self.number - 1])
        whole = (before + share * sizes[self.number - 1]) / sum(sizes)
        spent = seconds + sum(done["seconds"] for done in self.finished)
        left = clock(spent * (1 - whole) / whole) if whole else "?"
        words = f"{whole:.0%}, {left} left"
        return whole, f"{words} – {self.place}" if self.place else words

    def words(self) -> str:
        """What happened, in a line, and what the last run found out."""
        if len(self.finished) == len(self.requests):
            return self._all_done()
        if len(self.requests) > 1:
            tail = f", one in part ({self._tiles()})" if self.partial else ""
            return (
                f"{len(self.finished)} of {len(self.requests)} layers are done{tail}."
            )
        if self.partial:
            return f"Stopped after {self._tiles()}; these are kept."
        if self.deleted:
            return "Stopped, as its result was deleted."
        return "Stopped; nothing was done yet."

    def _tiles(self) -> str:
        done, total = self.partial or (0, 0)
        return f"{done} of {total} tiles"

    def _all_done(self) -> str:
        request, last = self.requests[-1], self.finished[-1]
        seconds = duration(sum(done["seconds"] for done in self.finished))
        device = f"{device_name(last['device'])} {last['precision']}"
        what = "Preview" if request.preview else "Done"
        layers = f" – {len(self.requests)} layers" if self.place else ""
        model = f"{model_label(request.model)} ×{request.scale}"
        notes = [sentence(note) for note in last.get("notes", ())]
        if request.options.get("uncertainty") and not request.preview:
            notes.append("The uncertainty is in a hidden layer above the result.")
        return "\n".join([f"{what}: {seconds}, {device}, {model}{layers}", *notes])
