"""What became of each file of ``napari-edsr upscale``, and the log of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_edsr.atomic import check_place
from napari_edsr.cli.parameters import reason
from napari_edsr.errors import EDSRError, FileError
from napari_edsr.file_jobs import Job

DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclass(frozen=True)
class Settings:
    """What holds for all files.

    Attributes
    ----------
    model : str
        Name or weights file.
    scale : int
    axes : str or None
    options : dict
        As for `napari_edsr.iter_upscale`.
    """

    model: str
    scale: int
    axes: str | None
    options: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes
    ----------
    job : Job
    status : str
        `DONE`, `SKIPPED` or `FAILED`.
    seconds : float
    shape : tuple of int or None
        Of the result.
    error : str or None
        Why it failed, in a sentence.
    cause : Exception or None
        The same, as it was raised in this process.
    said : str
        What was printed of it in another process.
    """

    job: Job
    status: str
    seconds: float = 0.0
    shape: tuple[int, ...] | None = None
    error: str | None = None
    cause: Exception | None = None
    said: str = ""


def attempt(job: Job, upscale: Callable[[Job], tuple[int, ...]]) -> Outcome:
    """Do a job; what it raises is an outcome as well, unless it is the terminal's."""
    started = time.perf_counter()
    try:
        shape = upscale(job)
    except BrokenPipeError:
        raise
    except Exception as error:
        expected = isinstance(error, EDSRError | MemoryError | OSError)
        if not expected and os.environ.get("NAPARI_EDSR_TRACEBACK"):
            raise
        seconds = time.perf_counter() - started
        return Outcome(job, FAILED, seconds, error=reason(error), cause=error)
    return Outcome(job, DONE, time.perf_counter() - started, shape)


class Log:
    """A file to which a line of JSON is added for each file, as soon as it is done.

    Parameters
    ----------
    path : Path or None
        Without one nothing is written.
    settings : Settings
    """

    def __init__(self, path: Path | None, settings: Settings) -> None:
        self._path, self._settings = path, settings
        if path is None:
            return
        if path.suffix.lower() != ".jsonl":  # an image is never added to
            raise FileError(f"{path.name} must end in .jsonl.")
        check_place(path)

    def add(self, outcome: Outcome) -> None:
        """Write a line.

        Raises
        ------
        FileError
            If that cannot be done.
        """
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._entry(outcome)) + "\n")
        except OSError as error:
            raise FileError(
                f"{self._path} cannot be written: {error.strerror}. Name another --log, "
                "and go on with --skip-existing."
            ) from error

    def _entry(self, outcome: Outcome) -> dict[str, Any]:
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "input": str(outcome.job.source),
            "output": str(outcome.job.target),
            "status": outcome.status,
            "seconds": round(outcome.seconds, 3),
            "shape": outcome.shape,
            "model": self._settings.model,
            "scale": self._settings.scale,
            "error": outcome.error,
        }
