"""MNN in the place of torch: nearly the same pixels, only when asked for, never in the way."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_edsr import cache, drain, fast, iter_upscale, load_model, precision, upscale
from napari_edsr.errors import DeviceError, EDSRWarning
from napari_edsr.fast import FastNetwork

pytestmark = pytest.mark.usefixtures("nothing_kept")
#: Grey levels that MNN may be off by, before rounding.
TOLERANCE = 0.05 / 255


def exact(model, image, scale):
    with torch.inference_mode():
        wide = torch.from_numpy(image)[None].double()
        return model.double()(wide, scale)[0].numpy()


@pytest.mark.promise(
    "runs the same network with an error of a few hundredths of a grey level"
)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_built_in_models_are_off_by_hundredths_of_a_grey_level(scale, photo_planes):
    model = load_model(f"edsr-light-x{scale}")
    image = photo_planes.astype("f4")
    result = FastNetwork(model, scale)(torch.from_numpy(image)[None])[0].numpy()
    difference = np.abs(result - exact(model, image, scale))
    assert 0 < difference.max() < TOLERANCE


@pytest.mark.parametrize("shape", [(3, 3), (3, 40), (37, 4)])
@pytest.mark.parametrize(
    "changes",
    [
        {"n_colors": 1},
        {"scales": (2, 3, 4), "multi_scale": True, "rgb_range": 255.0},
        {"res_scale": 0.1, "n_feats": 5},
    ],
)
def test_edges_and_every_network(shape, changes, tiny_model, rng):
    model = tiny_model(**changes)
    image = rng.random((model.config.n_colors, *shape)).astype("f4")
    result = FastNetwork(model, 2)(torch.from_numpy(image)[None])[0].numpy()
    assert np.abs(result - exact(model, image, 2)).max() < TOLERANCE


@pytest.mark.parametrize("shape", [(40, 50, 3), (40, 50), (1, 7), (2, 40)])
@pytest.mark.parametrize("tile", ["auto", 16])
def test_an_image_by_tiles(shape, tile, tiny_model, rng):
    image = rng.integers(0, 255, shape).astype("u1")
    job = iter_upscale(image, tiny_model(), device="mnn", tile=tile)
    result = drain(job)
    assert result.metadata["device"] == "mnn"
    assert (
        result.metadata["notes"]
        == drain(iter_upscale(image, tiny_model(), tile=tile)).metadata["notes"]
    )
    difference = result.image.astype(int) - upscale(image, tiny_model())
    assert np.abs(difference).max() <= 1  # a tie may round either way


def test_a_network_is_converted_once(tiny_model, own_cache):
    FastNetwork(tiny_model(), 2)
    (made,) = (own_cache / "mnn").iterdir()
    before = made.stat()
    FastNetwork(tiny_model(), 2)
    assert made.stat().st_mtime_ns == before.st_mtime_ns
    FastNetwork(tiny_model(seed=1), 2)
    assert len(list((own_cache / "mnn").iterdir())) == 2


def test_the_error_is_measured_once(own_cache, monkeypatch):
    error = precision.fast_error("edsr-light-x2", 2)
    assert 0 < error < 0.05
    assert list(cache.recorded("precision").values()) == [error]
    monkeypatch.setattr(precision, "FastNetwork", lambda *_: pytest.fail("measured"))
    assert precision.fast_error("edsr-light-x2", 2) == error


def test_without_mnn_the_cpu_runs_and_it_is_said(tiny_model, rng, monkeypatch):
    monkeypatch.setattr(fast, "is_installed", lambda: False)
    image = rng.integers(0, 255, (9, 8)).astype("u1")
    with pytest.warns(EDSRWarning, match=r"MNN is not installed .* The CPU runs"):
        result = drain(iter_upscale(image, tiny_model(), device="mnn"))
    assert result.metadata["device"] == "cpu"
    assert any("MNN is not installed" in note for note in result.metadata["notes"])
    np.testing.assert_array_equal(result.image, upscale(image, tiny_model()))


@pytest.mark.parametrize(
    "command", ["raise SystemExit('no such operator')", "import os; os.abort()"]
)
def test_a_converter_that_fails_does_not_end_the_run(
    command, tiny_model, rng, monkeypatch, own_cache
):
    monkeypatch.setattr(fast, "_CONVERT", command)
    image = rng.integers(0, 255, (9, 8)).astype("u1")
    with pytest.warns(EDSRWarning, match="MNN cannot take this network"):
        result = drain(iter_upscale(image, tiny_model(), device="mnn"))
    np.testing.assert_array_equal(result.image, upscale(image, tiny_model()))
    assert list((own_cache / "mnn").iterdir()) == []


def test_what_fails_on_the_way_goes_on_without_it(tiny_model, rng, monkeypatch):
    image = rng.integers(0, 255, (20, 18)).astype("u1")
    run, calls = FastNetwork._run, []

    def fails_later(self, tile):
        calls.append(tile.shape)
        if len(calls) == 3:
            raise DeviceError("MNN gave no result.")
        return run(self, tile)

    monkeypatch.setattr(FastNetwork, "_run", fails_later)
    with pytest.warns(EDSRWarning, match="MNN gave no result. The CPU went on"):
        result = upscale(image, tiny_model(), device="mnn", tile=8)
    assert len(calls) == 3
    difference = result.astype(int) - upscale(image, tiny_model())
    assert np.abs(difference).max() <= 1


def test_what_mnn_raises_is_a_device_error(tiny_model, monkeypatch):
    def forward(given):
        raise ValueError("input shape error")

    network = FastNetwork(tiny_model(), 2)
    monkeypatch.setattr(network, "_module", SimpleNamespace(forward=forward))
    with pytest.raises(DeviceError, match=r"MNN failed \(input shape error\)"):
        network(torch.zeros(1, 3, 8, 8))


def test_it_computes_in_fp32_alone(tiny_model):
    with pytest.raises(DeviceError, match="MNN computes in fp32, not in fp16"):
        upscale(np.zeros((8, 8)), tiny_model(), device="mnn", precision="fp16")


def test_nothing_is_written_to_the_terminal(tiny):
    script = (
        "import numpy as np; from napari_edsr import upscale\n"
        f"upscale(np.zeros((9, 9), 'u1'), {tiny!r}, device='mnn')\n"
        "print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("done\n", 0)


@pytest.mark.promise(
    'MNN, which `pip install "napari-edsr[fast]"` brings',
    "`napari-edsr devices` says how far off",
)
def test_the_list_of_devices_names_its_error(run, monkeypatch):
    code, out, err = run("devices")
    assert (code, err) == (0, "")
    assert "MNN on the CPU, off by up to 0.0" in " ".join(out.split())
    monkeypatch.setattr(fast, "is_installed", lambda: False)
    assert "To use mnn: pip install 'napari-edsr[fast]'" in run("devices")[1]
