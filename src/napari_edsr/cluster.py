"""Upscaling on other processes and machines, by way of dask's scheduler.

The image and the result lie where all workers reach them; over the network go the model,
once for each worker, the plan, and the numbers of units.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from queue import Empty, Queue
from typing import Any

import dask
import numpy as np
from distributed import Client, Future, KilledWorker, LocalCluster

from napari_edsr import workers
from napari_edsr.engines import model_metadata
from napari_edsr.errors import DeviceError, ImageError
from napari_edsr.events import PassDone, TileDone, UpscalePlanned
from napari_edsr.runs import Event
from napari_edsr.stores.plan import Settled
from napari_edsr.stores.result import StoredResult
from napari_edsr.storing import StoredJob, resumed

#: Bytes of an array in memory that may be sent to the workers.
_SENT = 2**26
#: Most units that a worker does in one go: the context above them is computed anew.
_UNITS = 8
#: Tasks for each worker that the scheduler knows of at a time.
_AHEAD = 3
_SECONDS_TO_JOIN = 60
_HEARTBEAT = 0.5
_THREADS = "OMP_NUM_THREADS"
_SUMS = ("tiles", "flop", "tiles_redone_in_fp32")


@dataclass(frozen=True)
class Task:
    """A function of `napari_edsr.workers`, and its arguments after the plan."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@contextmanager
def connected(scheduler: str | None, n_workers: int) -> Iterator[Client]:
    """Reach a scheduler, or start one with workers on this machine.

    Parameters
    ----------
    scheduler : str or None
        Address, such as ``"tcp://host:8786"``.
    n_workers : int
        Processes to start without it, which share the cores.

    Raises
    ------
    DeviceError
        If none answers.
    """
    if scheduler is None:
        with (
            _own_workers(n_workers) as own,
            Client(own, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"No scheduler answers at {scheduler}; start one with 'dask scheduler'."
        ) from error
    with client:
        yield client


@contextmanager
def _own_workers(count: int) -> Iterator[LocalCluster]:
    threads = max(1, (os.cpu_count() or 1) // max(1, count))
    before = os.environ.get(_THREADS)
    environment = {_THREADS: before or str(threads)}
    settings = {"distributed.nanny.pre-spawn-environ": environment}
    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    try:
        with dask.config.set(settings), LocalCluster(n_workers=count, **options) as own:
            yield own
    finally:  # dask sets it in this process as well, and others would inherit it
        os.environ.pop(_THREADS, None)
        if before is not None:
            os.environ[_THREADS] = before


class Cluster:
    """Does jobs on the workers of a scheduler.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def settle(self, job: StoredJob) -> Settled:
        """Choose what holds from the first tile to the last, on one of the workers."""
        with self._planned(job, None) as plan:
            _refusals(self._client, plan)
            options = {"resources": {plan: 1}, "pure": False}
            return self._client.submit(workers.settle, plan, **options).result()

    def iter_units(
        self, job: StoredJob, settled: Settled, store: StoredResult
    ) -> Generator[Event, None, dict[str, Any]]:
        """Fill the store, and return how."""
        with self._planned(job, settled) as plan:
            run = Run(self._client, plan, settled, store)
            facts = yield from run.events()
        return {**facts, **model_metadata(job.kept.model)}

    @contextmanager
    def _planned(self, job: StoredJob, settled: Settled | None) -> Iterator[str]:
        """Ship a job to all workers, and to those that are yet to come."""
        _check_sent(job.image)
        _wait_for_workers(self._client)
        model = f"napari-edsr-model-{job.kept.key}"
        plan = f"napari-edsr-plan-{uuid.uuid4().hex}"
        self._client.register_plugin(workers.Model(model, job.kept.model))
        self._client.register_plugin(workers.Plan(plan, model, job, settled))
        try:
            yield plan
        finally:
            self._client.unregister_worker_plugin(plan)


def _wait_for_workers(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_JOIN)
    except TimeoutError as error:
        address = client.scheduler_info()["address"]
        raise DeviceError(
            f"There is no worker at {address}; start some with 'dask worker {address} "
            "--nthreads 1', and go on with the same command."
        ) from error


def _refusals(client: Client, plan: str) -> list[str]:
    """Which workers do not take part.

    Raises
    ------
    EDSRError
        That of one of them, if none does.
    """
    answers = client.run(workers.refusal, plan)
    reasons = {worker: reason for worker, reason in answers.items() if reason}
    if reasons and len(reasons) == len(answers):
        raise next(iter(reasons.values()))
    return [f"{worker} takes no part: {why}" for worker, why in reasons.items()]


def _check_sent(image: Any) -> None:
    if isinstance(image, np.ndarray) and image.nbytes > _SENT:
        raise ImageError(
            f"Workers read large images themselves, and this one of "
            f"{image.nbytes / 1e6:.0f} MB is in memory; give it as an array of dask or zarr."
        )


class Run:
    """The units of a store that are missing, shared among workers."""

    def __init__(
        self, client: Client, plan: str, settled: Settled, store: StoredResult
    ) -> None:
        self._client, self._plan, self._settled = client, plan, settled
        self._store, self._grid = store, store.grid
        self._began, self._done = time.perf_counter(), 0
        self._total = len(store.grid) - store.n_done
        self._facts: dict[str, Any] = {}

    def events(self) -> Generator[Event, None, dict[str, Any]]:
        """Do them, and return how."""
        notes = [*resumed(self._store), *_refusals(self._client, self._plan)]
        yield from self.iter_results([Task(workers.do, ([],))])  # for the facts alone
        yield self._planned(notes)
        self._store.fall_behind()
        yield from self.iter_results(self.unit_tasks())
        for places in self._store.coarser():
            yield from self.iter_results(Task(workers.coarsen, at) for at in places)
        seconds = round(time.perf_counter() - self._began, 3)
        notes = [*self._facts["notes"], *notes]
        return {**self._facts, "notes": notes, "seconds": seconds}

    def _planned(self, notes: list[str]) -> UpscalePlanned:
        return UpscalePlanned(
            total=self._total,
            tile=self._settled.tiling.label,
            halo=self._settled.tiling.halo,
            device=self._facts["device"],
            precision=self._settled.precision,
            notes=(*self._facts["notes"], *notes),
        )

    def unit_tasks(self) -> Iterator[Task]:
        """Units that are missing, some that lie below one another in each task."""
        share = math.ceil(self._total / (2 * _AHEAD * self._n_workers()))
        most = max(1, min(_UNITS, share))
        for stripe in self._grid.stripes():
            missing = (number for number in stripe if not self._store.has(number))
            while numbers := list(islice(missing, most)):
                yield Task(workers.do, (numbers,))

    def iter_results(self, tasks: Iterable[Task]) -> Generator[Event, None, None]:
        """Have tasks done, a few of which are on their way at a time."""
        running: dict[Future, Task] = {}
        done: Queue[Future] = Queue()
        tasks = iter(tasks)
        try:
            while True:
                room = _AHEAD * self._n_workers() - len(running)
                for task in islice(tasks, max(0, room)):
                    self._submit(task, running, done)
                if not running:
                    return
                for future in self._wait_for_some(running, done):
                    yield from self._taken(running.pop(future), _result(future))
                yield PassDone(self._done, self._total, self._spent)
        finally:
            self._client.cancel(list(running), force=True)

    def _wait_for_some(
        self, running: dict[Future, Task], done: Queue[Future]
    ) -> list[Future]:
        """Those that are done, of which there may be none; a moment to cancel."""
        found = []
        with suppress(Empty):
            found.append(done.get(timeout=_HEARTBEAT))
            while True:
                found.append(done.get_nowait())
        if not found and not any(self._client.processing().values()):
            self._submit_anew(running, done)
        return [future for future in found if future in running]

    def _submit_anew(self, running: dict[Future, Task], done: Queue[Future]) -> None:
        """Hand over again what nobody is at work on.

        The scheduler does not look at such tasks again when a worker takes part later
        than it has joined.
        """
        _wait_for_workers(self._client)
        waiting = [future for future in running if future.status == "pending"]
        self._client.cancel(waiting, force=True)
        for future in waiting:
            self._submit(running.pop(future), running, done)

    def _n_workers(self) -> int:
        return max(1, len(self._client.scheduler_info()["workers"]))

    def _submit(
        self, task: Task, running: dict[Future, Task], done: Queue[Future]
    ) -> None:
        options = {"resources": {self._plan: 1}, "pure": False}
        submit = self._client.submit
        future = submit(task.function, self._plan, *task.arguments, **options)
        running[future] = task
        future.add_done_callback(done.put)

    def _taken(self, task: Task, facts: dict[str, Any] | None) -> Iterator[TileDone]:
        """Remember what a task has done."""
        if facts is None:  # a coarser level
            return
        (numbers,) = task.arguments
        self._note(facts)
        self._store.mark(numbers)
        for number in numbers:
            self._done += 1
            where = self._store.opened.where(self._grid.unit(number))
            yield TileDone(self._done, self._total, where, self._spent)

    def _note(self, facts: dict[str, Any]) -> None:
        """Add up what workers say of their tasks."""
        known = self._facts or facts | dict.fromkeys(_SUMS, 0)
        sums = {key: known[key] + facts[key] for key in _SUMS}
        notes = list(dict.fromkeys([*known["notes"], *facts["notes"]]))
        self._facts = {**known, **sums, "notes": notes}

    @property
    def _spent(self) -> float:
        return time.perf_counter() - self._began


def _result(future: Future) -> Any:
    try:
        return future.result()
    except KilledWorker as error:
        raise DeviceError(
            f"Several workers ended at the same part ({error}); give them more memory, or "
            "choose a smaller tile."
        ) from error
