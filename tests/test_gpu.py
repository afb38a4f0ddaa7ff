"""On a GPU with CUDA: the pixels of the CPU, and its memory given back."""

import numpy as np
import pytest
import torch

from napari_edsr import drain, iter_upscale, kept, load_model, samples, upscale
from napari_edsr.accelerator import Recorded
from napari_edsr.device import describe
from napari_edsr.errors import EDSRWarning

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA"),
    pytest.mark.usefixtures("nothing_kept"),
]


@pytest.fixture(scope="module")
def photo():
    return samples.photo_lr()


def exact(image, model):
    return upscale(image, model, device="cpu", precision="fp32")


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("tile", ["auto", "rows", 64])
def test_fp32_is_that_of_the_cpu(dtype, tile, photo):
    image = photo.astype(dtype) / (255 if dtype == "f4" else 1)
    image = image.astype(dtype)
    found = upscale(image, "edsr-light-x2", device="cuda", tile=tile, precision="fp32")
    expected = exact(image, "edsr-light-x2")
    assert found.dtype == expected.dtype
    difference = np.abs(found.astype("f8") - expected)
    assert difference.max() <= (2e-3 / 255 if dtype == "f4" else 1)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_half_cannot_be_seen(scale, precision, photo):
    name = f"edsr-light-x{scale}"
    image = (photo / 255).astype("f4")
    found = upscale(image, name, device="cuda", precision=precision)
    error = (found - exact(image, name)) * 255
    assert np.abs(error).max() <= 0.5
    assert np.sqrt(np.mean(error**2)) <= 0.05


def test_auto_is_half_for_bytes_alone(photo):
    for dtype, precision in (("u1", {"fp16", "fp32"}), ("u2", {"fp32"})):
        image = photo.astype(dtype)
        result = drain(iter_upscale(image, "edsr-light-x2", device="cuda"))
        assert result.metadata["precision"] in precision


def test_a_stack_in_many_batches_is_as_its_planes(photo):
    """Enough batches for a graph to be recorded, and replayed."""
    planes = [np.roll(photo[..., 0], shift, 0) for shift in range(60)]
    options = {"device": "cuda", "precision": "fp32", "tile": 64}
    found = upscale(np.stack(planes), "edsr-light-x2", axes="TYX", **options)
    for number in (0, 31, 59):
        expected = exact(planes[number], "edsr-light-x2")
        assert np.abs(found[number].astype(int) - expected).max() <= 1


@pytest.mark.fault("Devices: GPU memory after a run", "All of it is given back.")
def test_its_memory_is_given_back(photo):
    upscale(photo, "edsr-light-x2", device="cuda")
    kept.release()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    upscale(photo, load_model("edsr-light-x2"), device="cuda", tile=32)
    assert torch.cuda.memory_reserved() <= before


@pytest.mark.fault(
    "Devices: memory of a real GPU runs out",
    "Smaller tiles finish the run; the pixels are the same, and each is written once.",
)
def test_when_memory_runs_out(photo):
    """For real: the process may have little more than it holds already."""
    image = np.pad(photo, ((0, 800), (0, 800), (0, 0)), "symmetric")
    expected = upscale(image, "edsr-light-x2", device="cuda", precision="fp32")
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(0.4e9 / total)
    try:
        with pytest.warns(EDSRWarning, match="Memory ran out"):
            found = upscale(image, "edsr-light-x2", device="cuda", precision="fp32")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("device", ["cuda:1", "cuda:0,cuda:1"])
def test_a_second_device_after_the_first(device, photo):
    stack = np.stack([np.roll(photo[..., 0], shift, 0) for shift in range(60)])
    options = {"precision": "fp32", "tile": 64, "axes": "TYX"}
    first = upscale(stack, "edsr-light-x2", device="cuda:0", **options)
    second = upscale(stack, "edsr-light-x2", device=device, **options)
    assert torch.cuda.current_device() == 0
    assert np.abs(second.astype(int) - first).max() <= 1


def test_what_cannot_be_a_graph_goes_on_as_before():
    def waits(x):
        return x * x.sum().item()  # no graph can wait for the device

    before = torch.cuda.current_stream()
    run, x = Recorded(waits), torch.ones(3, device="cuda")
    assert [run(x).tolist() for _ in range(6)] == [[3.0] * 3] * 6
    assert torch.cuda.current_stream() == before


def test_what_is_replayed_is_computed_anew():
    run = Recorded(lambda x: x.relu() + 1)
    values = [torch.full((4,), float(i), device="cuda") for i in range(-3, 6)]
    found = [run(x).tolist() for x in values]
    assert found == [[max(0.0, i) + 1] * 4 for i in range(-3, 6)]


def test_settings_of_the_caller_are_kept(photo):
    before = torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.benchmark
    upscale(photo, "edsr-light-x2", device="cuda")
    after = torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.benchmark
    assert after == before


def test_it_has_a_name():
    assert torch.cuda.get_device_name(0) in describe(torch.device("cuda", 0))
