"""What a run of ``napari-edsr upscale`` will take, before or without doing it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.table import Table

from napari_edsr import disk, zoo
from napari_edsr.amounts import duration, in_bytes
from napari_edsr.cli.batch import Manner
from napari_edsr.cli.outcomes import Settings
from napari_edsr.cli.parameters import reason, table_console
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import EDSRError, FileError, legible
from napari_edsr.estimate import Estimate, estimate
from napari_edsr.file_headers import Header, together
from napari_edsr.file_jobs import Job
from napari_edsr.file_runs import is_shared
from napari_edsr.plan import free_memory

_HEADINGS = ("Input", "Size", "Result", "On the disk", "Memory", "Time")


@dataclass(frozen=True)
class Machine:
    """What computes: its kind as torch names it, or MNN; its memory and speed."""

    kind: str
    free_bytes: int
    flops_per_second: float | None


@dataclass(frozen=True)
class Foreseen:
    """What a file will take."""

    header: Header
    run: Estimate

    @property
    def memory(self) -> int:
        """Bytes at its peak; stored results are not held in it."""
        stored = self.run.output_bytes if self.header.stored else 0
        return self.run.memory_bytes - stored


def check_disk(
    jobs: Sequence[Job], output: Path, settings: Settings, manner: Manner
) -> None:
    """Say if the results may be too large for the disk.

    Parameters
    ----------
    jobs, output, settings, manner
        As for `foresee`.

    Raises
    ------
    FileError
        If they surely are.
    """
    headers = []
    for job in jobs:
        with suppress(EDSRError, MemoryError, OSError):  # it is told in its turn
            if not (manner.skip_existing and job.is_done()):
                headers.append(_header(job, settings))
    note = disk.check_room(output, together(headers, manner.n_processes))
    if note:
        typer.echo(note)


def foresee(
    jobs: Sequence[Job],
    output: Path,
    config: EDSRConfig,
    settings: Settings,
    manner: Manner,
) -> None:
    """Print a table of what each file takes, and of all together.

    Parameters
    ----------
    jobs : sequence of Job
    output : Path
        A file or folder, on whose disk all outputs will lie.
    config : EDSRConfig
        Of the model.
    settings : Settings
    manner : Manner

    Raises
    ------
    FileError
        If any file cannot be done, or the disk is too small for all.
    """
    machine = _machine(settings)
    table = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        right = heading not in ("Input", "Size", "Result")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    found: list[Foreseen] = []
    failed: list[str] = []
    for job in jobs:
        if manner.skip_existing and job.is_done():
            table.add_row(legible(job.source), "skipped")
            continue
        try:
            found.append(_foreseen(job, config, settings, machine))
            table.add_row(*map(legible, _row(found[-1])))
        except (EDSRError, MemoryError, OSError) as error:
            failed.append(reason(error))
            table.add_row(legible(job.source), "cannot be done")
    need = together([each.header for each in found], manner.n_processes)
    if len(jobs) > 1:
        table.add_row(*_totals(found, need, manner.n_processes))
    _show(table, failed, need, output)
    if failed:
        raise FileError(
            f"{len(failed)} of {len(jobs)} images cannot be done: {failed[0]}"
        )


def _header(job: Job, settings: Settings) -> Header:
    shared = is_shared(settings.options)
    return Header.of(job, settings.scale, settings.axes, shared=shared)


def _machine(settings: Settings) -> Machine:
    """The device that is asked for, measured for a moment."""
    from napari_edsr import device, fast

    name = settings.options["device"]
    if name == fast.NAME:
        return Machine(name, free_memory(), _speed_by_run(settings))
    devices = device.resolve_devices(name)
    free = min(device.free_memory(each) for each in devices)
    speed = math.fsum(device.measure_speed(each) for each in devices)
    return Machine(devices[0].type, free, speed)


def _speed_by_run(settings: Settings) -> float | None:
    """Of MNN, which is measured with the model itself; None where that is not here."""
    from napari_edsr import drain, fast, iter_upscale, samples

    card = zoo.find_card(settings.model)
    if card is not None and not zoo.is_available(card):
        return None
    picture, scale = samples.photo_lr(), settings.scale
    run = iter_upscale(picture, settings.model, scale=scale, device=fast.NAME)
    metadata = drain(run).metadata
    return float(metadata["flop"] / metadata["seconds"])


def _foreseen(
    job: Job, config: EDSRConfig, settings: Settings, machine: Machine
) -> Foreseen:
    header, options = _header(job, settings), settings.options
    run = estimate(
        header.spec,
        config,
        settings.scale,
        tile=options["tile"],
        device=machine.kind,
        self_ensemble=options["self_ensemble"] or options["uncertainty"],
        free_bytes=machine.free_bytes,
        flops_per_second=machine.flops_per_second,
    )
    return Foreseen(header, run)


def _row(found: Foreseen) -> list[str]:
    header, shape = found.header, found.run.shape
    height, width = (shape[header.spec.axes.index(axis)] for axis in "YX")
    return [
        str(header.job.source),
        header.spec.describe(),
        f"{width} x {height}",
        in_bytes(header.need.most),
        in_bytes(found.memory),
        _time([found]),
    ]


def _time(found: Sequence[Foreseen]) -> str:
    known = [each.run.seconds for each in found if each.run.seconds is not None]
    return duration(math.fsum(known)) if len(known) == len(found) else "unknown"


def _totals(found: Sequence[Foreseen], need: disk.Need, n_processes: int) -> list[str]:
    memory = sum(heapq.nlargest(n_processes, (each.memory for each in found)))
    amounts = [in_bytes(need.most), in_bytes(memory), _time(found)]
    ending = "s" if len(found) != 1 else ""
    return [f"{len(found)} image{ending}", "", "", *amounts]


def _show(table: Table, failed: list[str], need: disk.Need, output: Path) -> None:
    table_console().print(table, markup=False, highlight=False)
    for why in failed:
        typer.echo(f"  {why}")
    typer.echo(f"Free on the disk of {output}: {in_bytes(disk.free_bytes(output))}.")
    note = disk.check_room(output, need)
    if note:
        typer.echo(note)
