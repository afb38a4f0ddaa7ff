"""Measures engines by turns, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.engines.catalogue import (
    CHOP,
    EAGER,
    ENGINES,
    IN_FP32,
    OPENVINO,
    OURS,
    OURS_FAST,
    PEAK,
)
from benchmarks.engines.engine import Job, NotMeasured
from benchmarks.engines.machine import version_of
from benchmarks.engines.results import Results, Row, Size, best, is_done
from benchmarks.engines.worker import Worker, in_own_process

SHORT: tuple[Size, ...] = ((2, 256), (2, 512))
FULL: tuple[Size, ...] = (*SHORT, (3, 512), (4, 512), (2, 1024), (2, 2048))
#: Larger pictures are for a few engines only.
_LARGE = 1024
Tell = Callable[[str], None]
_SHARE_OF_FREE_MEMORY = 0.7
#: Bytes a pixel before any of an engine were measured: an untiled network's.
_GUESS = 4000
#: Calls that are timed of an engine whose first took longer than so many seconds.
_FEWER = ((20.0, 3), (60.0, 2))


@dataclass(frozen=True)
class Settings:
    """What is the same for all sizes.

    Parameters
    ----------
    device : str
    threads : int
    repeats : int
        Calls of each engine that are timed, after its first.
    folder : Path
        For converted networks and references.
    engines : tuple of str
        Those to measure.
    full : bool
        Whether other implementations of EDSR-PyTorch's network, and OpenVINO's own choice
        where that is fp32, are measured at every size, and not at the smallest alone.
    """

    device: str
    threads: int
    repeats: int
    folder: Path
    engines: tuple[str, ...]
    full: bool = True


def engines_for(size: Size, settings: Settings, results: Results) -> list[str]:
    """Those that are measured at a size: all, or a few on large pictures."""
    here = [e for e in settings.engines if settings.device in ENGINES[e].devices]
    if not settings.full and size != SHORT[0]:
        here = [e for e in here if not _is_told_by_the_smallest(e, results)]
    if size[1] < _LARGE:
        return here
    always = [OURS, OURS_FAST, EAGER, CHOP]
    rows = results.of((size[0], SHORT[-1][1]))
    ours = ("torch", "napari-edsr")
    peers = [e for e in here if ENGINES[e].package not in ours and e != OURS_FAST]
    return [e for e in here if e in always + best(rows, peers)]


def _is_told_by_the_smallest(name: str, results: Results) -> bool:
    """Whether another size tells no more of an engine beside the others."""
    notes = {row["engine"]: row.get("note") for row in results.of(SHORT[0])}
    return ENGINES[name].same_network or (
        name == OPENVINO and notes.get(name) == IN_FP32
    )


def measure(size: Size, settings: Settings, results: Results, tell: Tell) -> None:
    """Measure what is missing at a size."""
    rows = {
        name: results.row(name, size, version_of(ENGINES[name].package))
        for name in engines_for(size, settings, results)
    }
    rows = {name: row for name, row in rows.items() if not is_done(row)}
    needed = {name: _expected(name, size, results) for name in rows}
    room = _SHARE_OF_FREE_MEMORY * psutil.virtual_memory().available
    for group in groups(needed, room):
        round_ = _Round(size, settings, results, tell)
        round_.measure({name: rows[name] for name in group}, results.row(PEAK, size))


def repeats_of(first: float, asked: int) -> int:
    """How many calls are timed of an engine whose first took so many seconds."""
    return min([asked, *(count for limit, count in _FEWER if first > limit)])


def groups(needed: dict[str, float], room: float) -> Iterator[list[str]]:
    """Engines that fit into memory side by side, to take turns; in their order."""
    group: list[str] = []
    for name in needed:
        if group and sum(needed[each] for each in [*group, name]) > room:
            yield group
            group = []
        group.append(name)
    if group:
        yield group


def _expected(name: str, size: Size, results: Results) -> float:
    """Bytes that an engine will need, as far as can be told beforehand."""
    return results.expected_memory(name, size) or _GUESS * size[1] ** 2


class _Round:
    """Some engines at one size, taking turns."""

    def __init__(
        self, size: Size, settings: Settings, results: Results, tell: Tell
    ) -> None:
        device, threads = settings.device, settings.threads
        self.job = Job(OURS, *size, device, threads, settings.folder)
        self.repeats, self.results, self.tell = settings.repeats, results, tell
        self.label = f"x{size[0]}, {size[1]} px"
        self.rows: dict[str, Row] = {}
        self.workers: dict[str, Worker] = {}

    def measure(self, rows: dict[str, Row], peak: Row) -> None:
        """Fill rows, and that of the product of matrices."""
        self.tell(f"{self.label}: reference")
        in_own_process("reference", self.job)
        self.rows = {PEAK: peak, **rows}
        try:
            self._each(self._launch)
            self._each(lambda name, _: self.workers[name].ask("ready"))
            self._each(self._start)
            for _ in range(self.repeats):
                self._each(self._again)
            self._each(self._finish)
        finally:
            for worker in self.workers.values():
                worker.close()

    def _each(self, step: Callable[[str, Row], None]) -> None:
        """Do it for every engine that has not failed, and write down what came of it."""
        for name, row in self.rows.items():
            if "failed" in row:
                continue
            try:
                step(name, row)
            except NotMeasured as error:
                row["failed"] = str(error)
                self.tell(f"{self.label}: {name}: {error}")
                self._end(name)
            self.results.save()

    def _launch(self, name: str, row: Row) -> None:
        """Let all of them import what they need at the same time."""
        job = replace(self.job, engine=name)
        if name != PEAK and ENGINES[name].missing(job):
            in_own_process("prepare", job)
        self.workers[name] = Worker(job)

    def _start(self, name: str, row: Row) -> None:
        if name != PEAK:
            size = self.job.scale, self.job.side
            self._check_memory(_expected(name, size, self.results))
        answer = self.workers[name].ask("first")
        row["first"] = answer.pop("seconds", None)
        row.update(answer)
        self.tell(f"{self.label}: {name}: first call {row['first'] or 0:.2f} s")

    def _again(self, name: str, row: Row) -> None:
        if name == PEAK:
            row["flops"] = max(row["flops"], self.workers[name].ask("again")["flops"])
        elif len(row.get("seconds", [])) < repeats_of(row["first"], self.repeats):
            worker = self.workers[name]
            self._check_memory(row.get("memory", 0) - worker.held())
            row.setdefault("seconds", []).append(worker.ask("again")["seconds"])

    def _finish(self, name: str, row: Row) -> None:
        if name != PEAK:
            row.update(self.workers[name].ask("error"))
        self._end(name)

    def _end(self, name: str) -> None:
        if name in self.workers:
            self.workers.pop(name).close()

    def _check_memory(self, needed: float) -> None:
        free = psutil.virtual_memory().available
        if self.job.device == "cpu" and needed > _SHARE_OF_FREE_MEMORY * free:
            raise NotMeasured(
                f"It would need about {needed / 1e9:.1f} GB, over 70 % of the "
                f"{free / 1e9:.1f} GB free."
            )
