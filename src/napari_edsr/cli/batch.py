"""The files of ``napari-edsr upscale``, one after the other or several at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from napari_edsr.amounts import duration
from napari_edsr.cli.outcomes import (
    DONE,
    FAILED,
    SKIPPED,
    Log,
    Outcome,
    Settings,
    attempt,
)
from napari_edsr.cli.progress import BatchBars, run_with_progress
from napari_edsr.cli.upscale_file import RunsJobs, upscale_file
from napari_edsr.errors import FileError
from napari_edsr.file_jobs import Job

if TYPE_CHECKING:
    from napari_edsr.model import EDSR, MDSR


@dataclass(frozen=True)
class Manner:
    """How a batch is done.

    Attributes
    ----------
    n_processes : int
    keep_going : bool
        After a file that failed.
    skip_existing : bool
    """

    n_processes: int = 1
    keep_going: bool = True
    skip_existing: bool = False


def run_single(
    job: Job, network: EDSR | MDSR, settings: Settings, log: Log, manner: Manner
) -> None:
    """Upscale one file.

    Raises
    ------
    Exception
        Whatever it fails with.
    """
    if manner.skip_existing and job.is_done():
        _skip(job, log)
        return
    outcome = _here(job, network, settings, run_with_progress)
    log.add(outcome)
    if outcome.cause is not None:
        raise outcome.cause


def run_batch(
    jobs: Sequence[Job],
    network: EDSR | MDSR,
    settings: Settings,
    log: Log,
    manner: Manner,
) -> None:
    """Upscale several files, and say in the end how many are done.

    Parameters
    ----------
    jobs : sequence of Job
    network : EDSR or MDSR
    settings : Settings
    log : Log
    manner : Manner

    Raises
    ------
    FileError
        If any file failed.
    """
    started, counts = time.perf_counter(), Counter[str]()
    failed: list[Outcome] = []
    with BatchBars(len(jobs)) as bars:
        left = _not_skipped(jobs, log, bars) if manner.skip_existing else list(jobs)
        counts[SKIPPED] = len(jobs) - len(left)
        with closing(_outcomes(left, network, settings, manner, bars)) as outcomes:
            for outcome in outcomes:
                _tell(outcome, log)
                counts[outcome.status] += 1
                bars.advance()
                if outcome.status == FAILED:
                    failed.append(outcome)
                    if not manner.keep_going:
                        break
    _conclude(jobs, counts, failed, time.perf_counter() - started)


def _outcomes(
    jobs: list[Job],
    network: EDSR | MDSR,
    settings: Settings,
    manner: Manner,
    bars: BatchBars,
) -> Generator[Outcome, None, None]:
    n_processes = min(manner.n_processes, len(jobs))
    if n_processes > 1:
        from napari_edsr.cli.pool import iter_in_processes

        yield from iter_in_processes(jobs, settings, n_processes)
        return
    for job in jobs:
        yield _here(job, network, settings, bars.run)


def _here(
    job: Job, network: EDSR | MDSR, settings: Settings, run_job: RunsJobs
) -> Outcome:
    def upscale(job: Job) -> tuple[int, ...]:
        return upscale_file(job, network, settings.axes, settings.options, run_job)

    return attempt(job, upscale)


def _not_skipped(jobs: Sequence[Job], log: Log, bars: BatchBars) -> list[Job]:
    skipped = dict.fromkeys(job for job in jobs if job.is_done())
    for job in skipped:
        _skip(job, log)
        bars.advance()
    return [job for job in jobs if job not in skipped]


def _skip(job: Job, log: Log) -> None:
    typer.echo(f"{job.source}: skipped, {job.target} is there")
    log.add(Outcome(job, SKIPPED))


def _tell(outcome: Outcome, log: Log) -> None:
    typer.echo(outcome.said, nl=False)
    if outcome.status == FAILED:
        typer.echo(f"  left out: {outcome.job.source}: {outcome.error}")
    log.add(outcome)


def _conclude(
    jobs: Sequence[Job], counts: Counter[str], failed: list[Outcome], seconds: float
) -> None:
    """Name what failed, say how many files are done, and fail if any did."""
    failed.sort(key=lambda outcome: outcome.job.source)
    if failed:
        typer.echo("Left out:")
    for outcome in failed:
        typer.echo(f"  {outcome.job.source}: {outcome.error}")
    typer.echo(f"{_counted(len(jobs), counts)}, in {duration(seconds)}")
    if failed:
        raise FileError(
            f"{len(failed)} of {len(jobs)} images were left out: {failed[0].error}"
        )


def _counted(n_jobs: int, counts: Counter[str]) -> str:
    done = counts[DONE]
    words = [f"{done} image{'s' if done != 1 else ''} done"]
    words += [f"{counts[word]} {word}" for word in (SKIPPED, FAILED) if counts[word]]
    not_begun = n_jobs - counts.total()
    return ", ".join([*words, *([f"{not_begun} not done"] if not_begun else [])])
