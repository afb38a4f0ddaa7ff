"""What a queue of runs has come to, and what is said of it at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
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
    opened : set of int
        Requests whose result was complete before, by number.
    failed : int
        Requests that went wrong.
    deleted : bool
        Whether a result was taken away while it was made.
    """

    requests: Sequence[UpscaleRequest]
    number: int = 0
    finished: dict[int, dict[str, Any]] = field(default_factory=dict)
    partial: list[tuple[int, int]] = field(default_factory=list)
    opened: set[int] = field(default_factory=set)
    failed: int = 0
    deleted: bool = False

    def __post_init__(self) -> None:
        self._sizes = [request.values for request in self.requests]
        self._left = [
            size * (1 - request.done_before)
            for size, request in zip(self._sizes, self.requests, strict=True)
        ]

    @property
    def place(self) -> str:
        """Which request of how many, e.g. ``"layer 2 of 3"``; empty for a single one."""
        count = len(self.requests)
        return f"layer {self.number} of {count}" if count > 1 else ""

    @property
    def _spent(self) -> float:
        """Seconds of the runs that are complete, without those of earlier sittings."""
        runs = self.finished.items()
        return sum(run["seconds"] for number, run in runs if number not in self.opened)

    def progress(self, share: float, seconds: float) -> tuple[float, str]:
        """Share of the whole queue, and that with the time left in words.

        Parameters
        ----------
        share : float
            Of what was left of the request at work, 0-1.
        seconds : float
            That its tiles took so far.
        """
        left, at_work = self._left, self._left[self.number - 1]
        ahead = (1 - share) * at_work + sum(left[self.number :])
        whole = 1 - ahead / sum(self._sizes)
        done = share * at_work + sum(left[number - 1] for number in self.finished)
        spent = seconds + self._spent
        time_left = clock(spent * ahead / done) if done else "?"
        words = f"{whole:.0%}, {time_left} left"
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
        if self.partial and self.requests[-1].out:
            file = Path(self.requests[-1].out).name
            return f"Stopped. {file} keeps what is done; Resume goes on from there."
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
        if len(self.opened) == len(self.requests):
            return self._all_opened()
        seconds = duration(self._spent)
        device = f"{device_name(last['device'])} {last['precision']}"
        what = "Preview" if request.preview else "Done"
        layers = f" – {len(self.requests)} layers" if self.place else ""
        model = f"{model_label(request.model)} ×{request.scale}"
        notes = [sentence(note) for note in last.get("notes", ())]
        if request.options.get("uncertainty") and not request.preview:
            notes.append("The uncertainty is in a hidden layer above the result.")
        return "\n".join([f"{what}: {seconds}, {device}, {model}{layers}", *notes])

    def _all_opened(self) -> str:
        files = [Path(request.out).name for request in self.requests]
        verb = "was" if len(files) == 1 else "were"
        return f"{', '.join(files)} {verb} complete already, and {verb} opened."
