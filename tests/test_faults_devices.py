"""GPUs that are lost, absent or hidden."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from test_training import PHOTO, assert_same, config, weights

from napari_edsr import drain, iter_upscale, plan, upscale
from napari_edsr.errors import DeviceError
from napari_edsr.events import StepDone, TileDone
from napari_edsr.streaming import RowStream
from napari_edsr.training import _Run, iter_train, train

pytestmark = pytest.mark.usefixtures("one_thread")

LOST = "CUDA error: unspecified launch failure\nCompile with `TORCH_USE_CUDA_DSA`"
FAILURES = [torch.AcceleratorError(LOST), RuntimeError(LOST)]


@pytest.fixture
def lose(monkeypatch):
    """`lose(cls, method, after, error)`: let a device fail at one of its calls."""

    def make(cls, method, after, error):
        works, calls = getattr(cls, method), []

        def fails_once(self, *arguments, **options):
            calls.append(arguments)
            if len(calls) == after:
                raise error
            return works(self, *arguments, **options)

        monkeypatch.setattr(cls, method, fails_once)

    return make


@pytest.mark.fault(
    "Devices: GPU lost mid-run (injected)",
    "An error says what failed, and to start again or choose another device; what is done "
    "is kept.",
)
@pytest.mark.parametrize("error", FAILURES, ids=["as such", "in words"])
def test_a_device_that_is_lost(error, lose, tiny_model, rng, monkeypatch):
    monkeypatch.setattr(plan, "_BAND_PIXELS", 8 * 40)
    image = rng.integers(1, 255, (40, 40)).astype("u1")
    expected = upscale(image, tiny_model())
    out, done = np.zeros_like(expected), np.zeros(expected.shape, bool)
    lose(RowStream, "push", 5, error)
    with pytest.raises(DeviceError, match="cpu failed .CUDA error: .* failure.; start"):
        for event in iter_upscale(image, tiny_model(), out=out):
            if isinstance(event, TileDone):
                done[event.region] = True
    assert 0 < done.mean() < 1
    np.testing.assert_array_equal(out, np.where(done, expected, 0))
    np.testing.assert_array_equal(upscale(image, tiny_model()), expected)


@pytest.mark.fault(
    "Devices: GPU lost while a result is written to a file (injected)",
    "What is done is kept; started again, it goes on.",
)
def test_a_device_that_is_lost_on_the_way_to_a_file(
    lose, tiny_model, rng, tmp_path, monkeypatch
):
    monkeypatch.setattr(plan, "_BAND_PIXELS", 8 * 40)
    image = rng.integers(1, 255, (90, 40)).astype("u1")
    out = tmp_path / "r.ome.zarr"
    lose(RowStream, "push", 9, FAILURES[0])
    with pytest.raises(DeviceError, match="start the program again"):
        upscale(image, tiny_model(), out=out)
    np.testing.assert_array_equal(
        upscale(image, tiny_model(), out=out), upscale(image, tiny_model())
    )


@pytest.mark.fault(
    "Devices: GPU lost in training (injected)",
    "An error says what failed; the run goes on from its last measurement or later.",
)
def test_a_device_that_is_lost_in_training(lose, tmp_path):
    lose(_Run, "_step", 5, FAILURES[0])
    steps = []
    with pytest.raises(DeviceError, match="start the program again"):
        drain(iter_train(config(), [PHOTO], folder=tmp_path), steps.append)
    assert [e.done for e in steps if isinstance(e, StepDone)] == [1, 2, 3, 4]
    result = train(config(), [PHOTO], folder=tmp_path)
    assert_same(weights(train(config(), [PHOTO]).model), weights(result.model))


@pytest.mark.fault(
    "Devices: GPU lost in a command (injected)", "One line says what to do."
)
def test_a_device_that_is_lost_in_a_command(lose, run, tiny, tmp_path):
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    lose(RowStream, "push", 1, FAILURES[0])
    code, _, err = run(
        "upscale", tmp_path / "a.png", tmp_path / "b.png", "--model", tiny
    )
    assert (code, err.count("\n")) == (1, 1)
    assert "choose another device, such as cpu" in err
    assert not (tmp_path / "b.png").exists()


@pytest.mark.fault(
    "Devices: GPU hidden by CUDA_VISIBLE_DEVICES, or without a driver",
    "A run that asks for it says that it is not available, and where to read why.",
)
def test_a_device_that_is_hidden(tiny, tmp_path):
    Image.new("L", (9, 8)).save(tmp_path / "a.png")
    words = ["upscale", "a.png", "b.png", "--model", tiny, "--device", "cuda"]
    done = subprocess.run(
        [sys.executable, "-m", "napari_edsr", *words],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "The device cuda is not available (torch sees: cpu" in done.stderr
    assert "`napari-edsr devices` says why" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "b.png").exists()
