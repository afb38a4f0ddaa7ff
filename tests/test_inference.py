"""Upscaling arrays: the untiled result, for every kind of image, from any tiles."""

import copy
import json
import re

import numpy as np
import pytest
import torch

from napari_edsr import drain, iter_upscale, plan, upscale
from napari_edsr.errors import DeviceError, EDSRWarning, ImageError, ModelError
from napari_edsr.events import TileDone, UpscalePlanned
from napari_edsr.streaming import RowStream

GREY_LEVEL = 1 / 255


def untiled(model, planes, scale=None):
    """The whole image through the network at once, in double precision."""
    wide = copy.deepcopy(model).double()
    with torch.inference_mode():
        return wide(torch.from_numpy(np.asarray(planes, float))[None], scale)[0].numpy()


def untiled_grey(model, plane):
    return untiled(model, np.stack([plane] * 3)).mean(0)


@pytest.mark.promise(
    "in tiles that overlap by the network's receptive field: the result is "
    "the untiled one"
)
@pytest.mark.fault(
    "Images: images of 1×1, 1×N and N×1 pixels", "They are upscaled as any other."
)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 2), (33, 47), (16, 17)])
def test_tiles_give_the_untiled_image(scale, shape, tiny_model, rng):
    model = tiny_model(scale)
    image = rng.random((*shape, 3)).astype("f4")
    expected = untiled(model, image.transpose(2, 0, 1)).transpose(1, 2, 0)
    for tile in (7, 16, "auto"):
        result = upscale(
            image, model, scale=scale, axes="YXS", tile=tile, normalize=(0, 1)
        )
        assert result.shape == (scale * shape[0], scale * shape[1], 3)
        assert np.abs(result - expected).max() < 2e-3 * GREY_LEVEL


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_one_multi_scale_network_does_all_scales(scale, tiny_model, rng):
    model = tiny_model(scales=(2, 3, 4), multi_scale=True)
    image = rng.random((30, 41)).astype("f4")
    expected = untiled(model, np.stack([image] * 3), scale).mean(0)
    result = upscale(image, model, scale=scale, tile=9, normalize=(0, 1))
    assert np.abs(result - expected).max() < 2e-3 * GREY_LEVEL


@pytest.mark.promise("Every integer and float type comes back as it was")
@pytest.mark.fault(
    "Images: every data type and byte order",
    "The result has the same type and the right values.",
)
@pytest.mark.parametrize(
    "dtype",
    [
        "?",
        "u1",
        "i1",
        "u2",
        ">u2",
        "i2",
        "u4",
        "i4",
        "u8",
        "i8",
        "f2",
        "f4",
        ">f4",
        "f8",
    ],
)
def test_every_type_comes_back_as_it_was(dtype, tiny_model, rng):
    image = rng.integers(0, 2 if dtype == "?" else 120, (12, 9)).astype(dtype)
    limits = (0.0, 1.0) if dtype == "?" else (0.0, 120.0)
    result = upscale(image, tiny_model(), normalize=limits)
    assert result.dtype == image.dtype
    unit = image.astype(float) / limits[1]
    expected = untiled_grey(tiny_model(), unit) * limits[1]
    if dtype == "?":
        np.testing.assert_array_equal(result, expected >= 0.5)
    elif image.dtype.kind == "f":
        tolerance = 0.1 if dtype == "f2" else 1e-3
        np.testing.assert_allclose(result.astype("f8"), expected, atol=tolerance)
    else:
        info = np.iinfo(image.dtype)
        rounded = np.clip(np.rint(expected), float(info.min), float(info.max))
        assert (
            np.abs(result.astype(float) - rounded).max() <= 1
        )  # a tie may round either way


@pytest.mark.fault(
    "Images: reversed, Fortran-ordered and read-only arrays",
    "The result is that of the same pixels in a plain array.",
)
def test_strides_order_and_read_only_do_not_matter(tiny_model, rng):
    image = rng.integers(0, 255, (20, 14, 3)).astype("u1")
    image.flags.writeable = False
    expected = upscale(image, tiny_model())
    for same in (np.asfortranarray(image), image.copy()[::-1, ::-1][::-1, ::-1]):
        np.testing.assert_array_equal(upscale(same, tiny_model()), expected)
    mirrored = upscale(image[:, ::-1], tiny_model())
    np.testing.assert_array_equal(
        mirrored, upscale(image[:, ::-1].copy(), tiny_model())
    )


def test_alpha_is_upscaled_by_itself(tiny_model, rng):
    image = rng.integers(0, 255, (15, 11, 4)).astype("u1")
    result = upscale(image, tiny_model())
    np.testing.assert_array_equal(
        result[..., :3], upscale(image[..., :3].copy(), tiny_model())
    )
    alone = upscale(
        np.ascontiguousarray(image[..., 3]), tiny_model(), normalize="dtype"
    )
    np.testing.assert_array_equal(result[..., 3], alone)


def test_planes_and_channels_are_images_of_their_own(tiny_model, rng):
    stack = (rng.random((3, 2, 12, 10)) * [[[[1000]], [[60000]]]]).astype("u2")
    result = upscale(stack, tiny_model(), axes="TCYX")
    assert result.shape == (3, 2, 24, 20)
    for channel in range(2):
        limits = tuple(np.percentile(stack[:, channel], (0.1, 99.9)))
        for time in range(3):
            alone = upscale(stack[time, channel], tiny_model(), normalize=limits)
            np.testing.assert_array_equal(result[time, channel], alone)


def test_axes_may_stand_in_any_order(tiny_model, rng):
    image = rng.integers(0, 255, (3, 10, 12)).astype("u1")
    result = upscale(image, tiny_model(), axes="SXY")
    expected = upscale(image.transpose(2, 1, 0).copy(), tiny_model())
    np.testing.assert_array_equal(result, expected.transpose(2, 1, 0))


def test_grey_networks_take_colours_one_by_one(tiny_model, rng):
    model = tiny_model(n_colors=1)
    image = rng.integers(0, 255, (10, 12, 3)).astype("u1")
    result = upscale(image, model)
    for color in range(3):
        alone = upscale(image[..., color].copy(), model)
        np.testing.assert_array_equal(result[..., color], alone)


def test_a_network_for_five_channels_takes_them_together(tiny_model, rng):
    model = tiny_model(n_colors=5)
    image = rng.random((10, 5, 12)).astype("f4")
    result = upscale(image, model, axes="YCX", normalize=(0, 1))
    expected = untiled(model, image.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert result.shape == (20, 5, 24)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    with pytest.raises(ModelError, match="takes 5 channels at once"):
        upscale(image[:, :3], model, axes="YCX")


def test_intensities_beyond_the_range_pass_through(tiny_model, rng):
    image = rng.normal(size=(9, 9)) * 50
    result = upscale(image, tiny_model(), normalize=(0, 1))
    np.testing.assert_allclose(
        result, untiled_grey(tiny_model(), image), rtol=1e-4, atol=1e-3
    )


@pytest.mark.fault(
    "Images: NaN and infinite pixels",
    "They come back in their place, do not spread, and a note counts them.",
)
def test_nan_comes_back_in_its_place_and_does_not_spread(tiny_model, rng):
    image = rng.random((20, 20)).astype("f4")
    image[4, 5], image[10, 11] = np.nan, np.inf
    with pytest.warns(EDSRWarning, match="NaN or infinite values were filled"):
        result = upscale(image, tiny_model(3), normalize=(0, 1), tile=8)
    expected = np.zeros((60, 60), bool)
    expected[12:15, 15:18] = expected[30:33, 33:36] = True
    np.testing.assert_array_equal(~np.isfinite(result), expected)


@pytest.mark.fault("Images: constant image", "It stays constant.")
def test_a_constant_image_stays_constant(tiny_model):
    for value in (0, 1e-6, -3.5):
        image = np.full((8, 8), value, "f4")
        np.testing.assert_array_equal(
            upscale(image, tiny_model()), image.repeat(2, 0).repeat(2, 1)
        )


SYMMETRIES = [(k, flip) for k in range(4) for flip in (False, True)]


def turned(image, k, flip):
    image = np.rot90(image, k)
    return image[:, ::-1] if flip else image


def turned_back(image, k, flip):
    return np.rot90(image[:, ::-1] if flip else image, -k)


@pytest.mark.promise(
    "the *uncertainty layer* shows where the network disagrees with itself",
    "averages eight flips and turns",
    "how far the network disagrees with itself over eight flips and turns; "
    "their mean then is the result",
)
def test_self_ensemble_is_the_mean_of_eight_and_uncertainty_their_spread(
    tiny_model, rng
):
    image = rng.random((13, 18, 3)).astype("f4")
    options = {"axes": "YXS", "normalize": (-1, 2)}
    eight = [
        turned_back(upscale(turned(image, *how).copy(), tiny_model(), **options), *how)
        for how in SYMMETRIES
    ]
    job = iter_upscale(image, tiny_model(), tile=7, uncertainty=True, **options)
    result = drain(job)
    np.testing.assert_allclose(result.image, np.mean(eight, axis=0), atol=1e-5)
    spread = np.sqrt(np.var(eight, axis=0).mean(-1))
    assert result.uncertainty.shape == (26, 36)
    assert spread.max() > 1e-3
    np.testing.assert_allclose(result.uncertainty, spread, atol=1e-5)
    assert result.metadata["self_ensemble"] is True


@pytest.mark.parametrize("region", [{"Y": (5, 21), "X": (30, 31)}, {"T": (1, 2)}])
def test_a_region_has_the_pixels_of_the_whole_run(region, tiny_model, rng):
    stack = rng.integers(0, 4000, (2, 40, 50)).astype("u2")
    options = {"axes": "TYX", "tile": 16}
    whole = upscale(stack, tiny_model(), **options)
    result = upscale(stack, tiny_model(), region=region, **options)
    cut = {axis: slice(*bounds) for axis, bounds in region.items()}
    rows, cols = (cut.get(axis, slice(0, n)) for axis, n in (("Y", 40), ("X", 50)))
    part = whole[
        cut.get("T", slice(None)),
        2 * rows.start : 2 * rows.stop,
        2 * cols.start : 2 * cols.stop,
    ]
    np.testing.assert_array_equal(result, part)


def test_progress_names_each_finished_tile(tiny_model, rng):
    image = rng.integers(0, 255, (2, 20, 30)).astype("u1")
    out = np.zeros((2, 40, 60), "u1")
    job = iter_upscale(image, tiny_model(), axes="ZYX", tile=10, out=out)
    planned = next(job)
    assert isinstance(planned, UpscalePlanned)
    assert (planned.total, planned.tile, planned.device) == (12, 10, "cpu")
    written = np.zeros_like(out)
    for count, event in enumerate(job, start=1):
        assert (event.done, event.total) == (count, 12)
        written[event.region] += 1
    assert written.min() == written.max() == 1
    np.testing.assert_array_equal(out, upscale(image, tiny_model(), axes="ZYX"))


@pytest.mark.fault("Stopping: a run in memory cancelled", "What is done is kept.")
def test_closing_cancels_and_keeps_what_is_done(tiny_model, rng):
    image = rng.integers(1, 255, (20, 30)).astype("u1")
    out = np.zeros((40, 60), "u1")
    job = iter_upscale(image, tiny_model(), tile=10, out=out)
    next(job)
    first = next(job)
    job.close()
    done = np.zeros(out.shape, bool)
    done[first.region] = True
    np.testing.assert_array_equal(out[done], upscale(image, tiny_model())[done])
    np.testing.assert_array_equal(out[~done], 0)


@pytest.fixture
def small_memory(monkeypatch):
    """Memory for rows of so many columns; it records what was run."""
    push, sizes = RowStream.push, []

    def limit(columns, error):
        def limited(self, rows, *, last=False):
            sizes.append(tuple(rows.shape[-2:]))
            if rows.shape[-1] > columns:
                raise error
            return push(self, rows, last=last)

        monkeypatch.setattr(RowStream, "push", limited)
        return sizes

    return limit


@pytest.mark.promise("automatic; a number you set is never changed")
@pytest.mark.fault(
    "Devices: memory runs out",
    "Smaller tiles finish the run; the pixels are the same, and each is written once.",
)
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_auto_halves_its_tiles_when_memory_runs_out(
    error, ensemble, small_memory, tiny_model, rng
):
    stack = rng.integers(0, 255, (2, 60, 130)).astype("u1")
    options = {"axes": "ZYX", "self_ensemble": ensemble}
    expected = upscale(stack, tiny_model(), **options)
    small_memory(60, error)
    events = []
    with pytest.warns(EDSRWarning) as said:
        result = drain(iter_upscale(stack, tiny_model(), **options), events.append)
    texts = [str(warning.message) for warning in said]
    assert [re.findall(r"halved to (\d+) px", text) for text in texts] == [
        ["65"],
        ["32"],
    ]
    np.testing.assert_array_equal(result.image, expected)
    tiles = [event for event in events if isinstance(event, TileDone)]
    plans = [event for event in events if isinstance(event, UpscalePlanned)]
    assert [tile.done for tile in tiles] == list(range(1, tiles[-1].total + 1))
    assert plans[-1].total == len(tiles)
    assert result.metadata["tile"] == (32 if ensemble else "rows")


@pytest.mark.fault(
    "Devices: memory runs out",
    "Smaller tiles finish the run; the pixels are the same, and each is written once.",
)
def test_finished_rows_are_kept_when_memory_runs_out(monkeypatch, tiny_model, rng):
    image = rng.integers(0, 255, (40, 40)).astype("u1")
    expected = upscale(image, tiny_model())
    push, calls = RowStream.push, []

    def fails_once(self, rows, *, last=False):
        calls.append(rows.shape)
        if len(calls) == 8:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return push(self, rows, last=last)

    monkeypatch.setattr(RowStream, "push", fails_once)
    monkeypatch.setattr(plan, "_BAND_PIXELS", 160)
    out, written = np.zeros_like(expected), np.zeros(expected.shape, int)
    with pytest.warns(EDSRWarning, match="halved to 20"):
        for event in iter_upscale(image, tiny_model(), out=out):
            if isinstance(event, TileDone):
                written[event.region] += 1
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(written, 1)


@pytest.mark.promise("automatic; a number you set is never changed")
@pytest.mark.fault(
    "Devices: memory never suffices",
    "An error says to take smaller tiles, to close programs or to take another device.",
)
def test_a_tile_the_user_set_is_never_changed(small_memory, tiny_model, rng):
    sizes = small_memory(10, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(DeviceError, match="choose a smaller tile or tile='auto'"):
        upscale(rng.random((40, 40)), tiny_model(), tile=40)
    assert sizes == [(40, 40)]


@pytest.mark.fault(
    "Devices: memory never suffices",
    "An error says to take smaller tiles, to close programs or to take another device.",
)
def test_memory_that_never_suffices_ends_in_advice(small_memory, tiny_model, rng):
    small_memory(10, torch.OutOfMemoryError("CUDA out of memory."))
    with (
        pytest.warns(EDSRWarning),
        pytest.raises(DeviceError, match=r"tiles of 16 px; close other programs"),
    ):
        upscale(rng.random((40, 40)), tiny_model())


def test_other_errors_of_torch_are_not_taken_for_memory(monkeypatch, tiny_model, rng):
    def broken(self, rows, *, last=False):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(RowStream, "push", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        upscale(rng.random((8, 8)), tiny_model())


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_stays_close(precision, tiny_model, rng):
    image = rng.integers(0, 255, (20, 20, 3)).astype("u1")
    result = drain(iter_upscale(image, tiny_model(), precision=precision))
    assert result.metadata["precision"] == precision
    difference = result.image.astype(int) - upscale(image, tiny_model())
    assert np.abs(difference).max() <= 4


@pytest.mark.fault(
    "Devices: half precision overflows", "Those parts are computed again in fp32."
)
def test_overflow_in_half_precision_is_redone_in_fp32(tiny_model, rng):
    model = tiny_model()
    model.conv_first.weight.data *= 1e4
    model.conv_last.weight.data *= 1e-4
    image = rng.random((16, 16)).astype("f4")
    job = iter_upscale(image, model, precision="fp16", tile=8, normalize=(0, 1e-3))
    result = drain(job)
    assert result.metadata["tiles_redone_in_fp32"] > 0
    np.testing.assert_array_equal(
        result.image, upscale(image, model, tile=8, normalize=(0, 1e-3))
    )


@pytest.mark.fault(
    "Weights files: a network that gives no numbers",
    "An error says to check range and weights.",
)
def test_overflow_in_fp32_is_an_error(tiny_model):
    with pytest.raises(ModelError, match="not finite"):
        upscale(np.full((4, 4), 1e300), tiny_model(), normalize=(0, 1e-30))


def test_fp32_means_no_tf32_and_only_meanwhile(tiny_model, monkeypatch, rng):
    seen = []
    conv = torch.backends.mkldnn.conv
    before = conv.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    push = RowStream.push

    def watched(self, rows, *, last=False):
        seen.append((conv.fp32_precision, torch.backends.cudnn.conv.fp32_precision))
        return push(self, rows, last=last)

    monkeypatch.setattr(RowStream, "push", watched)
    upscale(rng.random((8, 8)), tiny_model(), precision="fp32")
    assert seen == [("ieee", "ieee")]
    assert (conv.fp32_precision, torch.backends.cudnn.conv.fp32_precision) == before


def test_the_model_is_left_as_it_was(tiny_model, rng):
    model = tiny_model().double().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    upscale(rng.random((8, 8)), model, precision="bf16")
    assert model.training
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float64
        assert torch.equal(value, before[name])


@pytest.mark.fault(
    "Weights files: wrong scale asked of a model",
    "The error names the scales it has and a model that fits.",
)
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"scale": 3}, ModelError, "upscales x2; choose that scale, or a model for x3"),
        (
            {"scale": 5},
            ModelError,
            "Scale 5 is not available; choose one of x2, x3, x4",
        ),
        ({"scale": 2.0}, ModelError, "not a whole number"),
        ({"tile": 0}, ImageError, "tile size 0"),
        ({"tile": "big"}, ImageError, "tile size 'big'"),
        (
            {"device": "abacus"},
            DeviceError,
            "no device 'abacus'; choose one of: auto, cpu",
        ),
        ({"device": "cuda:7"}, DeviceError, "cuda:7 is not available"),
        ({"precision": "fp8"}, DeviceError, "'fp8' is unknown"),
        ({"region": {"Y": (3, 30)}}, ImageError, "3:30 of axis Y lies outside"),
        ({"region": {"Q": (0, 1)}}, ImageError, "along 'Q'"),
        ({"out": np.zeros((3, 3))}, ImageError, "has shape"),
        ({"axes": "YXS"}, ImageError, "name 3 axes"),
    ],
)
def test_what_can_not_be_done_is_said(options, error, words, tiny_model):
    with pytest.raises(error, match=words):
        upscale(np.zeros((8, 8), "u1"), tiny_model(), **options)


def test_a_multi_scale_network_asks_for_the_scale(tiny_model):
    model = tiny_model(scales=(2, 3, 4), multi_scale=True)
    with pytest.raises(ModelError, match="x2 and x3 and x4; choose one"):
        upscale(np.zeros((8, 8)), model)


def test_provenance_is_plain_json(rng):
    image = rng.integers(0, 4000, (9, 9)).astype("u2")
    result = drain(iter_upscale(image, "edsr-light-x2"))
    told = json.loads(json.dumps(result.metadata))
    assert told["model"]["name"] == "edsr-light-x2"
    assert len(told["model"]["sha256"]) == 64
    lo, hi = np.percentile(image, (0.1, 99.9))
    assert told["ranges"] == [[lo, hi]]
    assert (told["scale"], told["device"], told["precision"]) == (2, "cpu", "fp32")
    assert told["software"].startswith("napari-edsr ")


def test_a_photograph_gets_sharper_than_with_bicubic():
    from napari_edsr import samples
    from napari_edsr.metrics import score
    from napari_edsr.resampling import imresize

    truth, low = samples.photo_hr(), samples.photo_lr()
    ours = score(upscale(low, "edsr-light-x2"), truth, scale=2, protocol="mmagic")
    bicubic = score(imresize(low, 2), truth, scale=2, protocol="mmagic")
    assert ours.psnr > bicubic.psnr + 1
    assert ours.ssim > bicubic.ssim
