"""A process for one engine, so that a crash is a row and memory is its own.

It answers each message on a pipe with a dict; ``failed`` is in it if something went wrong.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.engines import memory, problem
from benchmarks.engines.catalogue import ENGINES, PEAK
from benchmarks.engines.engine import Job, NotMeasured

#: A call that takes longer is given up.
PATIENCE = 1800.0
_PRODUCT = 2048


class Worker:
    """An engine in a process of its own.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.job = job
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, what: str) -> dict[str, Any]:
        """Send a word of `_WORDS` and wait for the answer.

        Raises
        ------
        NotMeasured
            If the process died, failed or took too long.
        """
        try:
            self._pipe.send(what)
            if not self._pipe.poll(PATIENCE):
                raise NotMeasured(f"No result within {PATIENCE / 60:.0f} minutes.")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(10)
            code = self._process.exitcode
            raise NotMeasured(f"It crashed with the exit code {code}.") from None
        if "failed" in answer:
            raise NotMeasured(answer["failed"])
        return answer

    def held(self) -> int:
        """Bytes of memory that the process holds."""
        try:
            return psutil.Process(self._process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return 0

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def in_own_process(what: str, job: Job) -> None:
    """Ask once, in a process that ends with it."""
    worker = Worker(job)
    try:
        worker.ask(what)
    finally:
        worker.close()


def _serve(pipe: Connection, job: Job) -> None:
    _silence(job.folder / "log.txt")
    torch.set_num_threads(job.threads)
    measuring = _Measuring(job)
    while True:
        try:
            word = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(getattr(measuring, word)))


def _answer(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except ModuleNotFoundError as error:
        return {"failed": f"{error.name} is not installed."}
    except NotMeasured as error:
        return {"failed": str(error)}
    except Exception as error:  # whatever a peer raises is its row
        text = " ".join(str(error).split())
        return {"failed": f"{type(error).__name__}: {text:.160}"}


def _silence(log: Path) -> None:
    """Send what the libraries print into a file."""
    sys.stdout.flush()
    with log.open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)


class _Measuring:
    """What a worker can be asked."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def ready(self) -> dict[str, Any]:
        """Answer once everything was imported."""
        return {}

    def reference(self) -> dict[str, Any]:
        """Compute what is right."""
        problem.kept_reference(self.job.folder, self.job.scale, self.job.side)
        return {}

    def prepare(self) -> dict[str, Any]:
        """Write the files that the engine needs."""
        ENGINES[self.job.engine].prepare(self.job)
        return {}

    def first(self) -> dict[str, Any]:
        """Make the engine and call it once."""
        job = self.job
        if job.engine == PEAK:
            return self.again()
        self.image = problem.picture(job.side)
        start = memory.reset(job.device)
        self.engine = ENGINES[job.engine].make(job)
        answer = self.again()
        peak = memory.peak(job.device)
        return {**answer, "memory": peak - start, "note": self.engine.note}

    def again(self) -> dict[str, Any]:
        """Seconds of one call, from bytes to bytes."""
        if self.job.engine == PEAK:
            return {"flops": _product_rate(self.job.device)}
        began = time.perf_counter()
        self.result = self.engine.run(self.image)
        return {"seconds": time.perf_counter() - began}

    def error(self) -> dict[str, Any]:
        """How far the last result is from the reference."""
        job = self.job
        truth = problem.kept_reference(job.folder, job.scale, job.side)
        values = self.engine.levels(self.image)
        return problem.deviation(values, self.result, truth)


def _product_rate(device: str) -> float:
    """Operations a second of a product of matrices, in half precision on a GPU."""
    side = _PRODUCT if device == "cpu" else 8192
    dtype = torch.float32 if device == "cpu" else torch.float16
    a = torch.rand(side, side, dtype=dtype, device=device)
    torch.mm(a, a)
    began = _now(device)
    for _ in range(5):
        torch.mm(a, a)
    return 5 * 2 * side**3 / (_now(device) - began)


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()
