"""What cannot be: one clear sentence each, of an error of ours, before any work."""

import threading

import numpy as np
import pytest
import torch

from napari_edsr import EDSRError, EDSRWarning, upscale
from napari_edsr.device import exact_fp32
from napari_edsr.errors import DeviceError, ImageError, ModelError

IMAGE = np.arange(30, dtype=np.uint8).reshape(5, 6)
READ_ONLY = np.zeros((10, 12), np.uint8)
READ_ONLY.flags.writeable = False


@pytest.mark.fault(
    "Images: senseless arguments",
    "One sentence says what is wrong with it, before any work.",
)
@pytest.mark.parametrize(
    ("image", "options", "error", "words"),
    [
        ([[1, 2], [3]], {}, ImageError, "not an image"),
        (torch.ones(5, 6, requires_grad=True), {}, ImageError, "not an image"),
        (IMAGE, {"model": None}, ModelError, "not NoneType"),
        (IMAGE, {"model": torch.nn.Identity()}, ModelError, "not Identity"),
        (IMAGE, {"device": None}, DeviceError, "There is no device None"),
        (IMAGE, {"axes": 5}, ImageError, "named by letters"),
        (IMAGE, {"region": {"Y": 5}}, ImageError, r"is a pair \(start, stop\)"),
        (IMAGE, {"region": {"Y": (0, None)}}, ImageError, "is a pair"),
        (IMAGE, {"out": READ_ONLY}, ImageError, "can be written to"),
        (IMAGE, {"out": [[0] * 12] * 10}, ImageError, "must be a numpy array"),
        *(
            (
                IMAGE,
                {"normalize": "contrast-limits", "contrast_limits": limits},
                ImageError,
                "pairs of numbers",
            )
            for limits in [(5,), "x", [(0, 1), (2,)]]
        ),
        (np.array([[-1.7e308, 1.7e308]] * 9), {}, ImageError, "span more than"),
    ],
)
def test_senseless_arguments(tiny, image, options, error, words):
    options = {"model": tiny, **options}
    with pytest.raises(error, match=words) as caught:
        upscale(image, options.pop("model"), **options)
    assert isinstance(caught.value, EDSRError)
    assert "\n" not in str(caught.value)


def test_channels_that_go_together_can_not_be_cut(tiny_model):
    image = np.zeros((2, 8, 8), np.uint8)
    model = tiny_model(n_colors=2)
    assert upscale(image, model, axes="CYX").shape == (2, 16, 16)
    with pytest.raises(ImageError, match="cannot be cut along 'C'"):
        upscale(image, model, axes="CYX", region={"C": (0, 1)})


@pytest.mark.fault(
    "Images: saturated 64-bit images",
    "They stay saturated, and a warning names the limit of precision.",
)
@pytest.mark.parametrize("dtype", ["u8", "i8"])
def test_saturated_64_bit_images(tiny, dtype):
    top = np.iinfo(dtype).max
    with pytest.warns(EDSRWarning, match=r"beyond 2\*\*53"):
        result = upscale(np.full((8, 8), top, dtype), tiny)
    assert result.min() >= top - 2048
    image = np.full((60, 60), top, dtype)
    image[0, :3] = 1
    with pytest.warns(EDSRWarning, match=r"beyond 2\*\*53"):
        assert upscale(image, tiny).shape == (120, 120)


def test_an_opaque_alpha_stays_opaque(tiny, rng):
    image = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    image[..., 3] = 255
    result = upscale(image, tiny, axes="YXS", tile=16)
    assert set(result[..., 3].ravel().tolist()) == {255}
    colours = upscale(image[..., :3], tiny, axes="YXS", tile=16)
    np.testing.assert_array_equal(result[..., :3], colours)


def test_uncertainty_is_nan_where_the_image_is(tiny, rng):
    from napari_edsr import drain, iter_upscale

    image = rng.random((12, 12)).astype(np.float32)
    image[3, 4] = np.nan
    with pytest.warns(EDSRWarning, match="NaN"):
        result = drain(iter_upscale(image, tiny, uncertainty=True))
    np.testing.assert_array_equal(np.isnan(result.uncertainty), np.isnan(result.image))


def test_autocast_around_a_run_changes_nothing(rng):
    image = rng.integers(0, 256, (24, 24), dtype=np.uint8)
    plain = upscale(image, "edsr-light-x2")
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(upscale(image, "edsr-light-x2"), plain)


@pytest.fixture
def conv():
    """Torch's settings of convolutions on a CPU, given back as they were."""
    settings = torch.backends.mkldnn.conv
    before = settings.fp32_precision
    yield settings
    settings.fp32_precision = before


def test_settings_of_torch_come_back_after_threads_that_overlap(conv):
    conv.fp32_precision = "tf32"
    cpu, inside, seen = torch.device("cpu"), threading.Barrier(2), []

    def work(leaves_first):
        with exact_fp32(cpu):
            inside.wait(10)
            seen.append(conv.fp32_precision)
            if leaves_first:
                return
            first.join(10)
            seen.append(conv.fp32_precision)

    first = threading.Thread(target=work, args=[True])
    second = threading.Thread(target=work, args=[False])
    first.start()
    second.start()
    second.join(10)
    assert seen == ["ieee"] * 3
    assert conv.fp32_precision == "tf32"
