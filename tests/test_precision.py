"""What "auto" takes: half where it is quicker and cannot be seen, once and for all."""

import numpy as np
import pytest
import torch

from napari_edsr import cache, drain, iter_upscale, load_model, precision
from napari_edsr.device import describe
from napari_edsr.engine import Engine
from napari_edsr.errors import DeviceError
from napari_edsr.kept import KeptModel

CPU = torch.device("cpu")
BYTE, WORD = np.dtype("u1"), np.dtype("u2")


@pytest.fixture
def bf16(monkeypatch):
    """A CPU with bf16, twice as quick with it; `tried` are the runs that were timed."""
    tried = []

    def seconds(run):
        tried.append(run)
        return 0.5 if len(tried) % 2 else 1.0

    monkeypatch.setattr(precision, "fast_half", lambda device: "bf16")
    monkeypatch.setattr(precision, "_seconds", seconds)
    monkeypatch.setattr(precision, "_known", {})
    return tried


@pytest.fixture(scope="module")
def light():
    return load_model("edsr-light-x2")


def auto(model, dtype=BYTE):
    return precision.resolve_precision("auto", KeptModel(model), 2, CPU, dtype)


def test_half_is_for_images_of_8_bits_alone(bf16, light):
    assert auto(light) == "bf16"
    assert [auto(light, np.dtype(t)) for t in ("u2", "f4", "f2")] == ["fp32"] * 3


def test_a_gpu_is_tried_on_more_than_takes_to_start_it(light):
    small, large = (
        precision._picture(light, 2, torch.device(name)) for name in ("cpu", "cuda")
    )
    assert large.shape == (3, 1024, 1024)
    work = light.config.folded_flops(2)
    assert 2e10 < work * small.shape[1] * small.shape[2] < 4e10
    np.testing.assert_array_equal(large[:, : small.shape[1], : small.shape[2]], small)


def test_without_a_fast_half_nothing_is_tried(light, monkeypatch):
    monkeypatch.setattr(precision, "_pays", lambda *_: pytest.fail("tried"))
    assert auto(light) == "fp32"


def test_what_is_not_quicker_does_not_pay(bf16, light, monkeypatch):
    monkeypatch.setattr(precision, "_seconds", lambda run: 1.0)
    assert auto(light) == "fp32"


@pytest.mark.parametrize("bound", ["LARGEST_ERROR", "RMS_ERROR"])
def test_what_can_be_seen_does_not_pay(bound, bf16, light, monkeypatch):
    monkeypatch.setattr(precision, bound, 1e-4)
    assert auto(light) == "fp32"
    assert bf16 == []


def test_a_trial_without_memory_is_made_another_time(bf16, light, monkeypatch):
    def pays(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as short:
        short.setattr(precision, "_pays", pays)
        assert auto(light) == "fp32"
    assert cache.recorded("precision") == {}
    assert auto(light) == "bf16"


def test_a_network_that_gives_no_numbers_is_left_to_the_run(bf16, tiny_model):
    model = tiny_model()
    model.conv_last.weight.fill_(float("nan"))
    assert auto(model) == "fp32"


def test_it_is_tried_once_for_a_model_on_a_machine(
    bf16, light, tiny_model, monkeypatch
):
    assert auto(light) == "bf16"
    count = len(bf16)
    assert auto(light) == "bf16"
    (key,) = cache.recorded("precision")
    assert describe(CPU) in key
    precision._known.clear()  # as another program would find it
    assert auto(light) == "bf16"
    assert len(bf16) == count
    monkeypatch.setattr(precision, "RMS_ERROR", 1e9)
    monkeypatch.setattr(precision, "LARGEST_ERROR", 1e9)
    assert auto(tiny_model()) == "bf16"
    assert len(bf16) == 2 * count


def test_a_folder_that_cannot_be_written_does_not_stop_it(bf16, light, own_cache):
    own_cache.rmdir()
    own_cache.write_text("no folder")
    assert auto(light) == "bf16"


def test_a_preview_takes_what_the_run_takes(bf16, light, rng):
    image = rng.integers(0, 255, (40, 30, 3)).astype("u1")
    whole = drain(iter_upscale(image, light))
    part = drain(iter_upscale(image, light, region={"Y": (3, 20), "X": (5, 9)}))
    assert whole.metadata["precision"] == part.metadata["precision"] == "bf16"
    np.testing.assert_array_equal(part.image, whole.image[6:40, 10:18])


def test_a_number_too_large_for_half_is_redone_in_fp32(tiny_model, rng):
    model = tiny_model()
    model.body[1].conv1.weight.mul_(1e4)
    model.body[1].conv2.weight.mul_(1e4)
    image = rng.random((3, 40, 12)).astype("f4")
    whole = slice(None), slice(None)
    half, full = (Engine(model, 2, CPU, p) for p in ("fp16", "fp32"))
    expected = drain(full.iter_run(image, whole))[0]
    np.testing.assert_array_equal(drain(half.iter_run(image, whole))[0], expected)
    assert half.redone == 1
    picture = (image.transpose(1, 2, 0) * 255).astype("u1")
    rows, exact = (
        drain(iter_upscale(picture, model, precision=p)) for p in ("fp16", "fp32")
    )
    assert rows.metadata["tiles_redone_in_fp32"] == 1
    np.testing.assert_array_equal(rows.image, exact.image)


def test_unknown_names_are_refused(light):
    with pytest.raises(
        DeviceError, match="'fp8' is unknown; choose one of: auto, fp32"
    ):
        precision.resolve_precision("fp8", KeptModel(light), 2, CPU, WORD)
