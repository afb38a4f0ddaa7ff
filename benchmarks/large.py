"""What results on disk cost: memory, time, interruptions, workers and their scheduler.

``python -m benchmarks.large`` prints each figure as it is found, and writes them all into
``docs/large.md``. ``--full`` adds 16 gigapixels, and a million tiles; a gigapixel takes some
minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
from rich.console import Console

from napari_edsr import drain, iter_upscale, samples
from napari_edsr.config import EDSRConfig
from napari_edsr.events import TileDone
from napari_edsr.model import build_model
from napari_edsr.targets import Grid

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "large.md"
LIGHT = "edsr-light-x2"
_REPEATS = 3


class Virtual:
    """A grey texture of any size, which is made when it is asked for.

    Parameters
    ----------
    height, width : int
    """

    def __init__(self, height: int, width: int) -> None:
        self.shape, self.ndim, self.dtype = (height, width), 2, np.dtype("u1")

    def __getitem__(self, index: tuple[slice, slice]) -> Any:
        """Some rows and columns."""
        rows, columns = (
            np.arange(n)[i] for n, i in zip(self.shape, index, strict=True)
        )
        return ((rows[:, None] * 7 ^ columns * 5) >> 2 & 255).astype("u1")


def one_block() -> Any:
    """The smallest network there is."""
    config = EDSRConfig(scales=(2,), n_resblocks=1, n_feats=4)
    return build_model(config).eval()


def photo(side: int) -> Any:
    """A photograph of any size, grey: the bundled one again and again."""
    grey = samples.photo_lr().mean(-1).astype("u1")
    times = [-(-side // n) for n in grey.shape]
    return np.tile(grey, times)[:side, :side]


def in_own_process(case: str, *arguments: object, threads: int = 0) -> dict[str, Any]:
    """Run a function of this module whose name is given, and return what it returns."""
    environment = dict(os.environ)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-m", "benchmarks.large", "--case", case]
    ended = subprocess.run(
        [*command, *map(str, arguments)],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def memory(gigapixels: str) -> dict[str, Any]:
    """Memory that a result of so many pixels adds."""
    side = round((float(gigapixels) * 1e9 / 4) ** 0.5)
    with tempfile.TemporaryDirectory() as folder:
        warm = iter_upscale(Virtual(600, 600), one_block(), out=f"{folder}/w.ome.zarr")
        drain(warm)
        start, peak = psutil.Process().memory_info().rss, 0
        out = f"{folder}/r.ome.zarr"
        for _ in iter_upscale(Virtual(side, side), one_block(), out=out):
            peak = max(peak, psutil.Process().memory_info().rss)
    return {"added": peak - start}


def memories(sizes: Sequence[float]) -> Iterator[str]:
    """Whether memory grows with the result; two at a time, as no time is compared."""
    added, order = {}, sorted(sizes, reverse=True)
    with ThreadPoolExecutor(2) as pool:
        cases = pool.map(partial(in_own_process, "memory", threads=1), order)
        for size, found in zip(order, cases, strict=True):
            added[size] = found["added"] / 1e6
            yield f"Memory added, {size:g} gigapixel of output | {added[size]:.0f} MB"
    slope = np.polyfit(list(added), list(added.values()), 1)[0]
    yield f"Slope | {slope:.1f} MB a gigapixel"


def hundred_megapixels(folder: Path) -> Iterator[str]:
    """One run with a model that is of use."""
    began = time.perf_counter()
    drain(iter_upscale(photo(5000), LIGHT, out=folder / "r.ome.zarr"))
    seconds = time.perf_counter() - began
    yield f"100 megapixels of output, {LIGHT} | {seconds:.0f} s"


def timed(run: Callable[[], object]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def overhead(folder: Path) -> Iterator[str]:
    """Time to an OME-Zarr against that in memory, by turns."""
    image, numbers = photo(2048), itertools.count()
    ways: dict[str, Callable[[], object]] = {
        "memory": lambda: drain(iter_upscale(image, LIGHT)),
        "OME-Zarr": lambda: drain(
            iter_upscale(image, LIGHT, out=folder / f"{next(numbers)}.ome.zarr")
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_REPEATS):
        for name, run in ways.items():
            times[name].append(timed(run))
    ratios = [z / m for z, m in zip(times["OME-Zarr"], times["memory"], strict=True)]
    yield (
        f"Time to OME-Zarr against memory, 2048², median of {_REPEATS} | "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
    )


def interruption(folder: Path) -> Iterator[str]:
    """Pixels that are computed again after a SIGKILL, in units of what is stored."""
    image, out = folder / "image.npy", folder / "r.ome.zarr"
    np.save(image, photo(2048))
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.large", "--case", "killed", image, out],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stdout is not None
    done = int(child.stdout.readlines()[-1])
    child.wait()
    again = 0

    def count(event: object) -> None:
        nonlocal again
        again += _pixels(event)

    drain(iter_upscale(np.load(image), LIGHT, out=out), count)
    units = (done + again - 4 * 2048**2) / 4 / (256 * 2048)
    yield f"Computed again after SIGKILL | {units:.2f} units of 256 rows"


def killed(image: str, out: str) -> None:
    """Be killed after two thirds, having said how many pixels were done."""
    done = 0
    for event in iter_upscale(np.load(image), LIGHT, out=out):
        done += _pixels(event)
        if done > 8 / 3 * 2048**2:
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def _pixels(event: object) -> int:
    if not isinstance(event, TileDone):
        return 0
    return int(np.prod([part.stop - part.start for part in event.region]))


def sharing(folder: Path) -> Iterator[str]:
    """Two workers against one on the same cores, and one that is killed."""
    from napari_edsr.cluster import connected

    image = photo(2048)
    seconds = {}
    for count in (1, 2):
        with connected(None, count) as client:
            address = client.scheduler.address
            options = {"scheduler": address, "out": folder / f"{count}.ome.zarr"}
            # Torch is loaded then, by each of them.
            drain(iter_upscale(photo(1024), LIGHT, **options))
            options["overwrite"] = True
            seconds[count] = _watched(image, options, lambda event: None)
            if count == 2:
                lost, longer = _with_a_kill(client, image, options)
    faster, cores = seconds[1] / seconds[2], os.cpu_count()
    yield f"Two workers against one, {cores} cores, 2048² | {faster:.2f} times as fast"
    share = longer / seconds[2]
    yield f"Tasks that a killed worker had at hand | {lost}; {share:.2f} of the time"


def _with_a_kill(client: Any, image: Any, options: dict[str, Any]) -> tuple[int, float]:
    """Kill a worker at the third unit; tasks that it had, and the seconds of the run."""
    lost = 0

    def watch(event: object) -> None:
        nonlocal lost
        if isinstance(event, TileDone) and event.done == 3:
            worker, pid = next(iter(client.run(os.getpid).items()))
            lost = len(client.processing()[worker])
            os.kill(pid, signal.SIGKILL)

    seconds = _watched(image, options, watch)  # which counts `lost`
    return lost, seconds


def _watched(
    image: Any, options: dict[str, Any], watch: Callable[[object], None]
) -> float:
    """Seconds of a run."""
    return timed(lambda: drain(iter_upscale(image, LIGHT, **options), watch))


def scheduler_load(tiles: str) -> dict[str, Any]:
    """Time of a task, and memory, at the beginning and the end of very many tiles."""
    from distributed import Client, LocalCluster

    from napari_edsr.cluster import Run, Task

    edges = tuple(range(math.isqrt(int(tiles)) + 1))
    store = SimpleNamespace(
        grid=Grid((), edges, edges, 1), n_done=0, has=lambda n: False
    )
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            resources={"simulated": 1},
            dashboard_address="127.0.0.1:0",
        ) as own,
        Client(own, set_as_default=False) as client,
    ):
        run = Run(client, "simulated", None, store)
        count = sum(1 for _ in run.unit_tasks())
        todo = (Task(_nothing, task.arguments) for task in run.unit_tasks())
        quarters = []
        for _ in range(4):
            part = itertools.islice(todo, count // 4)
            spent = timed(partial(drain, run.iter_results(part))) / (count // 4)
            quarters.append([spent, psutil.Process().memory_info().rss])
    return {"tasks": count, "quarters": quarters}


def _nothing(plan: str, numbers: list[int]) -> None:
    """What a task does that is only counted."""


def loads(full: bool) -> Iterator[str]:
    """Whether the scheduler bears very many tiles."""
    tiles = 10**6 if full else 10**5
    found = in_own_process("scheduler_load", tiles)
    (first, before), *_, (last, after) = found["quarters"]
    yield (
        f"Scheduler, {tiles} tiles in {found['tasks']} tasks, first and last quarter | "
        f"{first * 1e3:.1f} and {last * 1e3:.1f} ms a task, "
        f"{before / 1e6:.0f} and {after / 1e6:.0f} MB"
    )


def times() -> Iterator[str]:
    """What takes how long; the machine must have nothing else to do."""
    for measure in (hundred_megapixels, overhead, interruption, sharing):
        with tempfile.TemporaryDirectory() as folder:
            yield from measure(Path(folder))


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large")
    parser.add_argument("--full", action="store_true", help="16 gigapixels, 10⁶ tiles")
    parser.add_argument("--gigapixels", nargs="+", type=float, default=[1, 2, 4])
    parser.add_argument(
        "--only", choices=["memory", "time", "load"], help="keep the others"
    )
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        name, *arguments = asked.case
        sys.stdout.write(f"{json.dumps(globals()[name](*arguments))}\n")
        return
    console = Console(highlight=False, markup=False)
    sizes = [*asked.gigapixels, *([16] if asked.full else [])]
    parts = {
        "memory": lambda: memories(sizes),
        "time": times,
        "load": lambda: loads(asked.full),
    }
    for part in [asked.only] if asked.only else parts:
        lines = []
        for line in parts[part]():
            console.print(line)
            lines.append(f"| {line} |")
            _write(part, lines)


def _write(part: str, lines: Sequence[str]) -> None:
    """Put the figures of a part that were found so far into the page."""
    begin, end = (f"<!-- {part}: {word} -->" for word in ("begin", "end"))
    table = "\n".join(
        [begin, "", "| figure | measured |", "|---|---|", *lines, "", end]
    )
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(before + table + after, encoding="utf-8")


if __name__ == "__main__":
    main()
