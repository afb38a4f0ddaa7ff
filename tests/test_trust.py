"""Results without a truth: consistency with the input, and the ensemble's spread."""

import math
from functools import partial

import dask.array as da
import numpy as np
import pytest
from scipy import ndimage

from napari_edsr import drain, iter_consistency, iter_upscale, load_model, save_model
from napari_edsr.errors import ImageError, TrainingError
from napari_edsr.events import PlaneDone
from napari_edsr.resampling import imresize
from napari_edsr.train_config import Degradation, TrainConfig
from napari_edsr.train_result import TrainResult, save_trained
from napari_edsr.trust import (
    blur_in_result,
    measured_uncertainty,
    model_degradation,
    shrinking,
)

AREA = Degradation(shrink="area")


def consistency(*arguments, **options):
    return drain(iter_consistency(*arguments, **options))


@pytest.fixture
def colours(rng):
    return rng.integers(0, 256, (24, 36, 3), np.uint8)


def trained(model, path, **degradation):
    config = TrainConfig(start="edsr-light-x2", degradation=Degradation(**degradation))
    result = TrainResult(model, 30.0, 29.0, 28.0, 30.0, 5, 5, 0, True)
    return save_trained(result, config, path)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_truth_of_a_set5_file_differs_by_nothing(set5, scale):
    for lr, hr in set5(scale).values():
        found = consistency(hr, lr, scale=scale)
        assert (found.psnr, found.rmse, found.data_range) == (math.inf, 0.0, 255.0)
        np.testing.assert_array_equal(found.map, np.zeros(lr.shape[:2], np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("degradation", [Degradation(), AREA, Degradation(blur=0.8)])
def test_the_truth_differs_by_nothing_in_every_type(rng, dtype, degradation):
    from napari_edsr.degradation import shrink

    hr = rng.integers(0, 120, (24, 36)).astype(dtype)
    lr = shrink(hr, 3, degradation)
    found = consistency(hr, lr, scale=3, degradation=degradation)
    assert (found.rmse, found.psnr) == (0.0, math.inf)
    assert found.degradation == degradation


@pytest.mark.promise(
    "the *consistency map* where the result disagrees with its input",
    "writes what differs from the input",
)
def test_map_and_numbers_of_colours(colours):
    lr = imresize(colours, 0.5)
    lr[3, 4] += np.array([1, 2, 6], np.uint8)
    lr[0, 1, 2] -= 3

    found = consistency(colours, lr, scale=2)

    difference = imresize(colours, 0.5).astype(float) - lr
    np.testing.assert_allclose(found.map, difference.mean(-1), rtol=1e-6)
    assert found.map.dtype == np.float32
    assert found.map[3, 4] == pytest.approx(-3.0)
    assert found.rmse == pytest.approx(math.sqrt(np.mean(difference**2)))
    expected = 10 * math.log10(255**2 / np.mean(difference**2))
    assert found.psnr == pytest.approx(expected)


def test_planes_of_a_stack_share_one_number(rng):
    hr = rng.integers(0, 2**16, (3, 2, 12, 16), np.uint16)
    lr = imresize(hr, 0.5, axes=(-2, -1))
    lr[1, 1] ^= 4
    job = iter_consistency(hr, lr, scale=2, axes="TCYX")
    events = []
    found = drain(job, events.append)
    assert events == [PlaneDone(done, 6) for done in range(1, 7)]
    assert found.data_range == 65535
    assert found.rmse == pytest.approx(math.sqrt(16 / 6))
    np.testing.assert_array_equal(np.abs(found.map[1, 1]), 4)
    assert np.count_nonzero(found.map) == 6 * 8


def test_axes_in_any_order_and_without_those_of_length_one(rng):
    hr = rng.integers(0, 256, (12, 3, 16, 2), np.uint8)  # Y, S, X, Z
    planes = hr.transpose(3, 0, 2, 1)  # Z, Y, X, S
    lr = np.stack([imresize(plane, 0.5) for plane in planes])
    lr[1, 2, 3] //= 2
    swapped = lr.transpose(1, 3, 2, 0)
    found = consistency(hr, swapped, scale=2, axes="YSXZ")
    plain = consistency(planes, lr[np.newaxis], scale=2, axes="TZYXS",
                        result_axes="ZYXS")  # fmt: skip
    assert (found.map.shape, plain.map.shape) == ((6, 8, 2), (1, 2, 6, 8))
    np.testing.assert_array_equal(found.map.transpose(2, 0, 1), plain.map[0])
    assert np.flatnonzero(plain.map).tolist() == [48 + 2 * 8 + 3]


def test_alpha_does_not_count(colours):
    lr = imresize(colours, 0.5)
    with_alpha = partial(np.insert, obj=3, axis=-1)
    found = consistency(
        with_alpha(colours, values=9), with_alpha(lr, values=200), scale=2
    )
    assert found.rmse == 0


def test_a_region_is_compared_with_its_part_of_the_input(rng):
    hr = rng.integers(0, 256, (3, 12, 16), np.uint8)
    lr = rng.integers(0, 256, (5, 30, 40), np.uint8)
    region = {"T": (1, 4), "Y": (10, 16), "X": (3, 11)}
    found = consistency(hr, lr, scale=2, axes="TYX", region=region)
    part = lr[1:4, 10:16, 3:11].astype(float)
    expected = imresize(hr, 0.5, axes=(-2, -1)) - part
    np.testing.assert_array_equal(found.map, expected)


def test_lazy_images_are_read_plane_by_plane(rng):
    hr = rng.integers(0, 256, (3, 12, 16), np.uint8)
    lr = rng.integers(0, 256, (3, 6, 8), np.uint8)
    read = []

    def seen(block, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return block

    lazy = da.from_array(hr, (1, -1, -1)).map_blocks(seen, dtype=hr.dtype)
    job = iter_consistency(lazy, da.from_array(lr), scale=2, axes="TYX")
    read.clear()
    next(job)
    assert read == [0]
    expected = consistency(hr, lr, scale=2, axes="TYX")
    np.testing.assert_array_equal(drain(job).map, expected.map)


def test_pixels_without_a_value_are_left_out(rng):
    hr = rng.random((24, 36), np.float32)
    lr = imresize(hr, 0.5) + np.float32(0.25)
    lr[2, 3], lr[4, 4] = np.nan, -np.inf
    hr[21, 35] = np.nan
    found = consistency(hr, lr, scale=2)
    assert np.argwhere(np.isnan(found.map)).tolist() == [[2, 3], [4, 4], [10, 17]]
    np.testing.assert_allclose(found.map[:8, :14][found.map[:8, :14] < 9], -0.25,
                               atol=1e-6)  # fmt: skip
    used = np.isfinite(found.map)
    assert found.data_range == pytest.approx(np.ptp(lr[used]))
    assert found.rmse == pytest.approx(
        math.sqrt(np.mean(found.map[used].astype(float) ** 2)), rel=1e-5
    )


@pytest.mark.filterwarnings("error")
def test_odd_images_have_defined_answers():
    nothing = consistency(np.full((4, 4), np.nan), np.ones((2, 2)), scale=2)
    assert math.isnan(nothing.psnr)
    assert math.isnan(nothing.rmse)
    assert np.isnan(nothing.map).all()
    constant = consistency(np.ones((4, 4)), np.zeros((2, 2)), scale=2)
    assert (constant.psnr, constant.rmse) == (-math.inf, 1.0)
    bits = consistency(np.ones((4, 4), bool), np.eye(2, dtype=bool), scale=2)
    assert (bits.data_range, bits.map.tolist()) == (1.0, [[0, 1], [1, 0]])
    swapped = consistency(np.ones((4, 4), ">u2"), np.zeros((2, 2), ">u2"), scale=2)
    assert (swapped.data_range, swapped.rmse) == (65535, 1)


def test_the_data_range_can_be_said(colours):
    lr = imresize(colours, 0.5) ^ 1
    found = consistency(colours, lr, scale=2, data_range=100)
    assert found.data_range == 100
    assert found.psnr == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data_range": 0}, "positive and finite, not 0"),
        ({"data_range": math.inf}, "positive and finite, not inf"),
        ({"scale": 2.0}, "whole factor of 1 or more, not 2.0"),
        ({"scale": "2"}, "whole factor of 1 or more, not '2'"),
        ({"scale": 0}, "whole factor of 1 or more, not 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(options, words, colours):
    with pytest.raises(ImageError, match=words):
        consistency(colours, colours, **{"scale": 2, **options})


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((12, 16, 3), "YXS"), ((14, 16), "YX"), ((2, 12, 16), "TYX"), ((24, 32), "YX")],
)
def test_shapes_that_do_not_fit(shape, axes):
    result, lr = np.zeros(shape, np.uint8), np.zeros((6, 8), np.uint8)
    with pytest.raises(ImageError, match=r"not x2 of this input, .*choose the image"):
        consistency(result, lr, scale=2, result_axes=axes)


def test_blur_in_physical_units_follows_the_pixel_size(rng):
    hr = rng.random((24, 32))
    degradation = Degradation(shrink="area", blur=0.3, blur_unit="um")
    lr = np.zeros((12, 16))
    found = consistency(
        hr, lr, scale=2, degradation=degradation, pixel_size=400, unit="nm"
    )
    blurred = ndimage.gaussian_filter(hr, 1.5, mode="mirror")
    expected = blurred.reshape(12, 2, 16, 2).mean((1, 3))
    np.testing.assert_allclose(found.map, expected, rtol=1e-6)
    across = consistency(
        hr, lr, scale=2, degradation=degradation, pixel_size=(400, 200), unit="nm"
    )
    blurred = ndimage.gaussian_filter(hr, (1.5, 3), mode="mirror")
    expected = blurred.reshape(12, 2, 16, 2).mean((1, 3))
    np.testing.assert_allclose(across.map, expected, rtol=1e-6)
    with pytest.raises(ImageError, match=r"a blur of 0.3 um; give the image its pixel"):
        consistency(hr, lr, scale=2, degradation=degradation)


def test_degradation_in_words():
    assert shrinking(Degradation(photons=9)) == "bicubic"
    assert shrinking(Degradation("area", 0.2, "um")) == "area, blur 0.2 um"
    assert blur_in_result(Degradation(blur=2), 2, None, "") == (2, 2)


def test_degradation_of_the_models_that_are_shipped():
    for name in ("edsr-light-x2", "edsr-light-x3", "edsr-light-x4"):
        assert model_degradation(name) == Degradation()
    microscopy = Degradation("area", blur=1.0, photons=500, read_noise=3)
    assert model_degradation("edsr-light-x2-microscopy") == microscopy
    network = load_model("edsr-light-x2-microscopy")
    assert model_degradation(network) == microscopy


def test_degradation_of_a_published_model_needs_no_download():
    assert model_degradation("snu/edsr_baseline_x2") == Degradation()


@pytest.mark.promise("(MATLAB's bicubic if nothing is recorded)")
def test_degradation_of_a_model_of_ones_own(tiny_model, tmp_path):
    recipe = {"shrink": "area", "blur": 0.2, "blur_unit": "um", "jpeg": (30, 90)}
    path = trained(tiny_model(), tmp_path / "mine.safetensors", **recipe)
    assert model_degradation(path) == Degradation(**recipe)
    foreign = save_model(load_model(path), tmp_path / "x.pth", layout="mmagic")
    assert model_degradation(str(foreign)) == Degradation()


def test_a_record_of_a_newer_version_is_refused(tiny_model, tmp_path):
    record = {"training": {"config": {"degradation": {"turbulence": 3}}}}
    path = save_model(tiny_model(), tmp_path / "a.safetensors", metadata=record)
    with pytest.raises(TrainingError, match="Unknown in the degradation: turbulence"):
        model_degradation(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_uncertainty_in_one_number(tiny_model, rng, dtype):
    image = (rng.random((12, 14, 3)) * 200).astype(dtype)
    options = {"axes": "YXS", "normalize": (0, 255), "uncertainty": True}
    result = drain(iter_upscale(image, tiny_model(), **options))
    found = measured_uncertainty(result)
    assert found.mean == pytest.approx(result.uncertainty.mean(dtype=float))
    white = 255 if dtype is np.uint8 else np.ptp(result.image)
    assert found.data_range == pytest.approx(white)
    assert found.share == pytest.approx(found.mean / white)
    assert measured_uncertainty(result, data_range=50).share == pytest.approx(
        found.mean / 50
    )


@pytest.mark.filterwarnings("ignore::napari_edsr.EDSRWarning")
def test_uncertainty_leaves_out_what_is_missing(tiny_model, rng):
    image = rng.random((12, 14), np.float32)
    image[3] = np.nan
    result = drain(iter_upscale(image, tiny_model(), uncertainty=True))
    assert measured_uncertainty(result).mean == pytest.approx(
        np.nanmean(result.uncertainty)
    )
    plain = drain(iter_upscale(image, tiny_model()))
    with pytest.raises(ImageError, match="no uncertainty; ask for it"):
        measured_uncertainty(plain)
