"""In the place of `iter_upscale`: parts that come when the test lets them."""

from __future__ import annotations

import threading

from napari_edsr import inference
from napari_edsr.events import TileDone, UpscalePlanned
from napari_edsr.inference import UpscaleResult


class Engine:
    """Stands in for the engine: does a tile, one row of it, whenever it is let on."""

    def __init__(self, error_after=None, error=None):
        self.gate = threading.Semaphore(0)
        self.closed = threading.Event()
        self.error_after, self.error = error_after, error
        self.tiles_begun = 0

    def __call__(self, image, model, *, scale, axes, region, out, **options):
        try:
            total = out.shape[0]
            yield UpscalePlanned(total, 8, 4, "cpu", "fp32", ("A note.",))
            for row in range(total):
                self.tiles_begun += 1
                assert self.gate.acquire(timeout=20)
                if row == self.error_after:
                    raise self.error
                out[row] = 7
                yield TileDone(row + 1, total, (slice(row, row + 1), slice(None)))
            return UpscaleResult(
                out, axes, {"device": "cpu", "precision": "fp32", "seconds": 0.1}
            )
        finally:
            self.closed.set()

    def let_on(self, tiles=1):
        for _ in range(tiles):
            self.gate.release()


class Gate:
    """The engine itself, which waits at each of its events."""

    def __init__(self, monkeypatch):
        self.semaphore, self.closed = threading.Semaphore(0), threading.Event()
        self.real = inference.iter_upscale
        monkeypatch.setattr(inference, "iter_upscale", self.run)

    def run(self, *args, **options):
        try:
            job = self.real(*args, **options)
            while True:
                try:
                    event = next(job)
                except StopIteration as stop:
                    return stop.value
                yield event
                assert self.semaphore.acquire(timeout=20)
        finally:
            self.closed.set()

    def let_on(self, steps=1):
        for _ in range(steps):
            self.semaphore.release()
