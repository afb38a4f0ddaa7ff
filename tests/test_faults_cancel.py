"""Every long job closed at each of its yields: nothing is half done, and it can go on."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import closing
from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
from http_faults import BODY
from PIL import Image
from stored_files import files_of
from test_training import PHOTO, assert_same, config, weights

from napari_edsr import drain, iter_upscale, plan, upscale, zoo
from napari_edsr.evaluation import iter_evaluate
from napari_edsr.events import TileDone
from napari_edsr.stores import plan as store_plan
from napari_edsr.training import iter_train, train
from napari_edsr.trust import iter_consistency

pytestmark = pytest.mark.usefixtures("one_thread")


def closed_at_each_yield(begin):
    """Begin a job, close it after 1, 2, 3 ... of its yields, and say what it had yielded.

    The last is closed at its end, of which it knows nothing.
    """
    for most in count(1):
        with closing(begin()) as job:
            events = list(islice(job, most))
        yield events
        if len(events) < most:
            return


@pytest.mark.fault(
    "Stopping: a run in memory cancelled at every moment",
    "What is done is kept, nothing else is touched; the next run is as if none had been.",
)
@pytest.mark.parametrize(
    "options",
    [{}, {"tile": 10}, {"uncertainty": True}],
    ids=["rows", "tiles", "ensemble"],
)
def test_a_run_in_memory(options, tiny, rng, monkeypatch):
    monkeypatch.setattr(plan, "_BAND_PIXELS", 4 * 12)
    image = rng.integers(1, 255, (20, 12), np.uint8)
    expected = upscale(image, tiny, **options)
    out = np.zeros_like(expected)

    def begin():
        out[:] = 0
        return iter_upscale(image, tiny, out=out, **options)

    for events in closed_at_each_yield(begin):
        done = np.zeros(out.shape, bool)
        for event in events:
            if isinstance(event, TileDone):
                done[event.region] = True
        np.testing.assert_array_equal(out, np.where(done, expected, 0))
    assert done.all()
    np.testing.assert_array_equal(upscale(image, tiny, **options), expected)


@pytest.mark.fault(
    "Stopping: a run to a file cancelled at every moment",
    "Started again, it goes on and ends with the same bytes as a run in one go.",
)
@pytest.mark.parametrize("name", ["r.ome.zarr", "r.tif"])
def test_a_run_to_a_file(name, tiny, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_BAND_PIXELS", 16 * 20)
    monkeypatch.setattr(store_plan, "UNIT_PIXELS", 32 * 20)
    image = rng.integers(0, 255, (70, 20), np.uint8)
    whole, expected = tmp_path / "whole" / name, upscale(image, tiny)
    whole.parent.mkdir()
    upscale(image, tiny, out=whole)
    out = tmp_path / "out" / name

    def begin():
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir()
        return iter_upscale(image, tiny, out=out)

    for _ in closed_at_each_yield(begin):
        again = upscale(image, tiny, out=out)
        np.testing.assert_array_equal(again, expected)
        assert [path.name for path in out.parent.iterdir()] == [name]
        if whole.is_dir():
            assert files_of(out) == files_of(whole)


@pytest.mark.fault(
    "Stopping: training cancelled at every moment",
    "Started again, it goes on and ends with exactly the same weights.",
)
def test_a_training(tmp_path):
    short = config(steps=4, validate_every=2)
    expected = weights(train(short, [PHOTO]).model)

    def begin():
        return iter_train(short, [PHOTO], folder=tmp_path)

    for _ in closed_at_each_yield(begin):  # each goes on from the one before
        names = [path.name for path in tmp_path.iterdir()]
        assert names in ([], ["state.safetensors"])
    assert_same(expected, weights(drain(begin()).model))


@pytest.mark.fault(
    "Stopping: a download cancelled at every moment",
    "What is there is kept, and the next try asks for the rest alone.",
)
def test_a_download(server, own_cache):
    card = replace(
        zoo.get_card("snu/edsr_baseline_x2"),
        url=f"{server.url}/weights.pt",
        filename="weights.pt",
        sha256=hashlib.sha256(BODY).hexdigest(),
        bytes=len(BODY),
    )
    part, sizes = own_cache / "weights.pt.part", [0]
    for events in closed_at_each_yield(lambda: zoo.iter_download(card)):
        if card.path.exists():
            break
        assert events[0].done == sizes[-1]  # it began where it was left
        assert BODY.startswith(part.read_bytes() if part.exists() else b"")
        sizes.append(events[-1].done)
    assert card.path.read_bytes() == BODY
    assert not part.exists()
    asked = [int((span or "bytes=0-")[6:-1]) for _, span in server.requests]
    # What was closed after its last byte is there, and asks for nothing.
    assert asked == [size for size in sizes if size < len(BODY)]


@pytest.mark.fault(
    "Stopping: measurements cancelled at every moment",
    "Nothing is written or changed; the next ones give the same figures.",
)
@pytest.mark.parametrize("kind", ["files", "consistency"])
def test_a_measurement(kind, rng, tmp_path):
    low, high = (rng.integers(0, 255, (3, n, n), np.uint8) for n in (24, 48))
    for name, plane in zip("abc", high, strict=True):
        Image.fromarray(plane).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    pairs = list(zip(paths, paths[::-1], strict=True))
    jobs = {
        "files": lambda: iter_evaluate(pairs, scale=2),
        "consistency": lambda: iter_consistency(high, low, scale=2, axes="ZYX"),
    }
    expected = repr(drain(jobs[kind]()))
    closed = list(closed_at_each_yield(jobs[kind]))
    assert len(closed) > 3
    assert repr(drain(jobs[kind]())) == expected
    assert sorted(tmp_path.iterdir()) == paths
