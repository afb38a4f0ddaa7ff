"""Two hundred runs in one viewer: what they leave behind must not add up."""

from __future__ import annotations

import gc
import logging

import numpy as np
import psutil
import pytest

RUNS, WARM = 200, 50
#: Bytes that a run may leave: a result's pixels are ten times as much.
MOST = 20_000
WAIT = 30_000
_log = logging.getLogger(__name__)


def held(process):
    """Memory, threads and open files of this process."""
    gc.collect()
    files = process.num_handles() if psutil.WINDOWS else process.num_fds()
    return process.memory_info().rss, process.num_threads(), files


def cancel(qtbot, widget):
    """Begin a run, and stop it before it has come to its end."""
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.panel.upscale.click()
        widget.panel.progress.cancel.click()


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_runs_leave_neither_memory_nor_threads_nor_files(
    qtbot, widget, viewer, run, rng
):
    process, seen = psutil.Process(), []
    widget.controls.speed.tile.setValue(64)
    for number in range(RUNS):
        side = 128 + 8 * (number % 5)
        pixels = rng.integers(0, 2**16, (side, side), np.uint16)
        viewer.add_image(pixels, name=f"cells {number}")
        if number % 4 == 1:
            run(widget, widget.panel.preview)
        if number % 10 == 2:
            cancel(qtbot, widget)
        else:
            run(widget)
            assert viewer.layers[-1].data.shape == (2 * side, 2 * side)
        viewer.layers.clear()
        seen.append(held(process))
    memory, threads, files = np.array(seen[WARM:], float).T
    slope = np.polyfit(np.arange(len(memory)), memory, 1)[0]
    report = f"{slope:.0f} bytes a run, threads {set(threads)}, files {set(files)}"
    _log.info("%d runs: %s", RUNS, report)
    assert slope < MOST, report
    assert threads[-50:].max() <= threads[:50].max(), report
    assert files[-50:].max() <= files[:50].max(), report
