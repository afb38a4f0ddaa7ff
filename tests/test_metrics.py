"""Metrics by their definitions, and beside what other packages give."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import (
    mean_squared_error,
    peak_signal_noise_ratio,
    structural_similarity,
)

from napari_edsr import drain, iter_scores
from napari_edsr.errors import ImageError
from napari_edsr.metrics import (
    error_map,
    mae,
    psnr,
    range_invariant_psnr,
    rmse,
    ssim,
    ssim_map,
    to_y,
)

NUMBERS = {
    "psnr": lambda x, y: psnr(x, y, data_range=255),
    "ssim": lambda x, y: ssim(x, y, data_range=255),
    "mae": mae,
    "rmse": rmse,
    "range_invariant_psnr": range_invariant_psnr,
}
BEST = {"psnr": math.inf, "ssim": 1, "mae": 0, "rmse": 0}
BEST |= {"range_invariant_psnr": math.inf}


@pytest.fixture(params=[(24, 30), (24, 30, 3)], ids=["grey", "colour"])
def pair(request, rng):
    """A prediction in float64 and a truth in uint8, both on 0-255."""
    truth = rng.integers(0, 256, request.param, dtype=np.uint8)
    return np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255), truth


def similarity_by_skimage(prediction, truth, data_range=255):
    """Mean over the samples for every window, those over the edges included."""
    _, windows = structural_similarity(
        prediction.astype(float),
        truth.astype(float),
        data_range=data_range,
        channel_axis=2 if truth.ndim == 3 else None,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return windows.mean(axis=2) if truth.ndim == 3 else windows


def care_psnr(gt, pred):
    """As CARE writes it down."""
    gt, pred = gt.astype(float), pred.astype(float)
    data_range = (gt.max() - gt.min()) / gt.std()
    gt = (gt - gt.mean()) / gt.std()
    pred = pred - pred.mean()
    pred = pred * (gt * pred).sum() / (pred * pred).sum()
    return 10 * np.log10(data_range**2 / np.mean((gt - pred) ** 2))


def test_other_packages_and_plain_formulas_agree(pair):
    prediction, truth = pair
    expected = peak_signal_noise_ratio(truth.astype(float), prediction, data_range=255)
    assert psnr(prediction, truth, data_range=255) == pytest.approx(expected)
    assert rmse(prediction, truth) ** 2 == pytest.approx(
        mean_squared_error(prediction, truth)
    )
    assert mae(prediction, truth) == pytest.approx(np.abs(prediction - truth).mean())
    assert range_invariant_psnr(prediction, truth) == pytest.approx(
        care_psnr(truth, prediction)
    )
    windows = similarity_by_skimage(prediction, truth)[5:-5, 5:-5]
    assert ssim(prediction, truth, data_range=255) == pytest.approx(windows.mean())


@st.composite
def pairs(draw):
    """Two images of one shape on any range, and that range."""
    sides = st.integers(11, 24)
    shape = (draw(sides), draw(sides), *draw(st.sampled_from(((), (1,), (3,)))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    white = draw(st.sampled_from((1.0, 255.0, 65535.0)))
    truth = rng.random(shape) * white
    noise = rng.normal(0, draw(st.floats(1e-4, 2)) * white, shape)
    return truth + noise, truth, white


@settings(max_examples=80, deadline=None, derandomize=True)
@given(pairs())
def test_measures_are_symmetric_and_bounded(images):
    one, two, white = images
    for measure in (psnr, ssim):
        there, back = (
            measure(*pair, data_range=white) for pair in ((one, two), (two, one))
        )
        assert there == pytest.approx(back, rel=1e-9)
    assert mae(one, two) == mae(two, one)
    assert rmse(one, two) == rmse(two, one)

    largest = np.abs(one - two).max()
    assert 0 <= mae(one, two) <= rmse(one, two) * (1 + 1e-9) <= largest * (1 + 2e-9)
    assert -1 <= ssim(one, two, data_range=white) < 1
    in_decibels = 20 * math.log10(white / rmse(one, two))
    assert psnr(one, two, data_range=white) == pytest.approx(in_decibels)
    # it takes the gain and offset that suit best, and the truth's own range
    spread = two.max() - two.min()
    found = range_invariant_psnr(one, two)
    assert found >= psnr(one, two, data_range=spread) - 1e-9


@settings(max_examples=80, deadline=None, derandomize=True)
@given(pairs())
def test_any_images_measure_as_in_scikit_image(images):
    one, two, white = images
    expected = peak_signal_noise_ratio(two, one, data_range=white)
    assert psnr(one, two, data_range=white) == pytest.approx(expected)
    assert rmse(one, two) ** 2 == pytest.approx(mean_squared_error(one, two))
    windows = similarity_by_skimage(one, two, white)[5:-5, 5:-5]
    found = ssim(one, two, data_range=white)
    assert found == pytest.approx(windows.mean(), abs=1e-9)


def test_psnr_of_a_known_error():
    truth = np.zeros((4, 6))

    assert psnr(truth + 0.1, truth, data_range=1) == pytest.approx(20)
    assert psnr(truth + 25.5, truth, data_range=255) == pytest.approx(20)


def test_unsigned_differences_do_not_wrap():
    low, high = np.full((4, 4), 10, np.uint8), np.full((4, 4), 11, np.uint8)

    expected = 20 * math.log10(255)
    assert psnr(low, high, data_range=255) == pytest.approx(expected)
    assert psnr(high, low, data_range=255) == pytest.approx(expected)
    assert mae(low, high) == mae(high, low) == 1
    np.testing.assert_array_equal(error_map(low, high), np.full((4, 4), -1))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float16", "float64"])
def test_images_of_different_types_are_compared_as_numbers(pair, dtype):
    prediction, truth = pair
    other = prediction.astype(dtype)
    for measure in NUMBERS.values():
        expected = measure(other.astype(float), truth.astype(float))
        assert measure(other, truth) == pytest.approx(expected)


def test_bool_counts_as_0_and_1():
    truth = np.zeros((12, 12), bool)
    prediction = truth.copy()
    prediction[0] = True
    assert mae(prediction, truth) == 1 / 12
    assert psnr(prediction, truth, data_range=1) == pytest.approx(10 * math.log10(12))


def test_border_is_shaved_on_all_sides_but_not_off_the_channels(rng):
    truth = rng.random((20, 30, 3))
    damaged = truth.copy()
    damaged[:2], damaged[-2:], damaged[:, :2], damaged[:, -2:] = 9, 9, 9, 9

    assert psnr(damaged, truth, data_range=1, border=2) == math.inf
    assert ssim(damaged, truth, data_range=1, border=2) == 1
    assert mae(damaged, truth, border=2) == rmse(damaged, truth, border=2) == 0
    assert range_invariant_psnr(damaged, truth, border=2) == math.inf
    assert psnr(damaged, truth, data_range=1, border=1) < 20
    assert mae(damaged, truth, border=1) > 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("value", [None, 0, 77])
@pytest.mark.parametrize("name", NUMBERS)
def test_identical_images_have_the_best_score(name, value, dtype, rng):
    image = rng.integers(0, 200, (32, 32, 3)).astype(dtype)
    if value is not None:
        image[:] = value

    assert NUMBERS[name](image, image.copy()) == BEST[name]


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_squares_that_leave_the_range_of_floats_do_no_harm(pair, factor):
    prediction, truth = pair[0] * factor, pair[1] * factor
    assert ssim(truth, truth.copy(), data_range=1) == 1
    assert range_invariant_psnr(truth, truth.copy()) == math.inf
    expected = range_invariant_psnr(*pair)
    assert range_invariant_psnr(prediction, truth) == pytest.approx(expected)
    similarity = ssim(prediction, truth, data_range=1)
    assert math.isnan(similarity) if factor > 1 else similarity == pytest.approx(1)
    error = psnr(prediction, truth, data_range=1)
    assert math.isnan(error) if factor > 1 else error == math.inf


def test_constant_images_that_differ_have_the_scores_of_the_formulas():
    dark, bright = np.full((24, 24), 50.0), np.full((24, 24), 100.0)

    c1 = (0.01 * 255) ** 2
    luminance = (2 * 50 * 100 + c1) / (50**2 + 100**2 + c1)
    assert ssim(dark, bright, data_range=255) == pytest.approx(luminance)
    assert psnr(dark, bright, data_range=255) == pytest.approx(
        20 * math.log10(255 / 50)
    )


def test_ssim_is_the_mean_over_channels(rng):
    truth = rng.integers(0, 256, (20, 22, 3))
    noisy = truth + rng.normal(0, 20, truth.shape)

    channels = [ssim(noisy[..., c], truth[..., c], data_range=255) for c in range(3)]
    assert ssim(noisy, truth, data_range=255) == pytest.approx(np.mean(channels))


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (3, -40), (0.01, 1000), (-1, 0)])
def test_offset_and_gain_do_not_change_the_range_invariant_psnr(pair, gain, offset):
    prediction, truth = pair
    expected = range_invariant_psnr(prediction, truth)
    changed = range_invariant_psnr(prediction * gain + offset, truth)
    assert changed == pytest.approx(expected)
    assert range_invariant_psnr(prediction, truth * 0.25 + 7) == pytest.approx(expected)


def test_means_are_not_rounded_to_the_type_of_the_images(rng):
    images = rng.integers(1000, 1008, (2, 24, 30)).astype("float16")
    expected = range_invariant_psnr(*images.astype(float))
    assert range_invariant_psnr(*images) == pytest.approx(expected)


def test_range_invariant_psnr_of_constants(pair):
    _, truth = pair
    flat = np.full(truth.shape, 0.1)
    mean = 20 * math.log10((float(truth.max()) - truth.min()) / truth.std())
    assert range_invariant_psnr(flat, truth) == pytest.approx(mean)
    assert math.isnan(range_invariant_psnr(truth, flat))
    assert range_invariant_psnr(flat, flat + 5) == math.inf


def test_the_error_map_is_signed_and_the_mean_over_the_samples(pair):
    prediction, truth = pair
    errors = error_map(prediction, truth)
    expected = prediction - truth
    expected = expected.mean(axis=2) if truth.ndim == 3 else expected
    assert (errors.dtype, errors.shape) == (np.float32, (24, 30))
    np.testing.assert_allclose(errors, expected, rtol=1e-6)
    assert error_map(truth + 2.0, truth).min() == 2


def test_the_ssim_map_shows_each_window_that_lies_in_the_image(pair):
    similarity = ssim_map(*pair, data_range=255)
    assert (similarity.dtype, similarity.shape) == (np.float32, (24, 30))
    expected = np.full((24, 30), np.nan)
    expected[5:-5, 5:-5] = similarity_by_skimage(*pair)[5:-5, 5:-5]
    np.testing.assert_allclose(similarity, expected, rtol=1e-5)
    assert np.nanmean(similarity) == pytest.approx(ssim(*pair, data_range=255))


@pytest.fixture
def large(rng):
    truth = rng.integers(0, 256, (4097, 1024), dtype=np.uint8)
    return truth // 2 + rng.integers(0, 99, truth.shape, dtype=np.uint8), truth


def test_large_images_are_measured_like_small_ones(large):
    whole = similarity_by_skimage(*large)
    similarity = ssim_map(*large, data_range=255)
    inner = (slice(5, -5),) * 2
    np.testing.assert_array_equal(similarity[inner], whole[inner].astype("float32"))


@pytest.mark.parametrize(
    ("measure", "bytes_a_pixel"), [(NUMBERS["ssim"], 64), (range_invariant_psnr, 26)]
)
def test_memory_is_bounded(measure, bytes_a_pixel, large):
    tracemalloc.start()
    measure(*large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < bytes_a_pixel * large[0].size


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_unknown_pixels_of_the_truth_are_left_out(pair, hole):
    prediction, truth = pair[0], pair[1].astype("float32")
    known = np.ones((24, 30), bool)
    known[3, 4] = known[:, 25] = False
    gapped = truth.copy()
    gapped[~known] = hole
    for measure in (NUMBERS["psnr"], mae, rmse, range_invariant_psnr):
        rest = [image[known][:, None] for image in (prediction, truth)]
        assert measure(prediction, gapped) == pytest.approx(measure(*rest))
    np.testing.assert_array_equal(np.isnan(error_map(prediction, gapped)), ~known)
    assert mae(gapped, gapped.copy()) == rmse(gapped, gapped.copy()) == 0


def test_one_unknown_sample_makes_the_pixel_unknown(rng):
    truth = rng.random((12, 12, 3))
    prediction = truth.copy()
    prediction[2, 3] += 1
    truth[2, 3, 1] = np.nan
    assert mae(prediction, truth) == 0


def test_windows_on_unknown_pixels_are_left_out(pair):
    prediction, truth = pair[0], pair[1].astype("float32")
    whole = similarity_by_skimage(prediction, truth)
    truth[12, 20] = np.nan
    counted = np.zeros((24, 30), bool)
    counted[5:-5, 5:-5] = True
    counted[12 - 5 : 12 + 6, 20 - 5 : 20 + 6] = False
    similarity = ssim_map(prediction, truth, data_range=255)
    expected = np.where(counted, whole, np.nan)
    np.testing.assert_allclose(similarity, expected, rtol=1e-5)
    expected = whole[counted].mean()
    assert ssim(prediction, truth, data_range=255) == pytest.approx(expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_prediction_can_not_opt_out(name, value, pair):
    prediction, truth = pair[0], pair[1].astype("float32")
    prediction[12, 12] = value
    assert math.isnan(NUMBERS[name](prediction, truth))
    truth[12, 12] = np.nan  # nobody knows what is there
    assert math.isfinite(NUMBERS[name](prediction, truth))


@pytest.mark.parametrize("name", NUMBERS)
def test_where_nothing_is_known_there_is_no_score(name, pair):
    prediction, truth = pair
    assert math.isnan(NUMBERS[name](prediction, np.full(truth.shape, np.nan)))


def test_y_spans_the_studio_range_and_is_not_rounded():
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [1, 2, 3]], np.uint8)

    expected = [16, 235, 81.481, 16 + (65.481 + 2 * 128.553 + 3 * 24.966) / 255]
    np.testing.assert_allclose(to_y(colours), expected, rtol=1e-12)
    unit = to_y(colours / 255, data_range=1)
    np.testing.assert_allclose(unit, np.array(expected) / 255, rtol=1e-12)


@pytest.mark.parametrize("image", [5, np.zeros((3, 4)), np.zeros((3, 3, 4))])
def test_luma_is_made_of_three_channels(image):
    with pytest.raises(ImageError, match="three channels on the last axis, not "):
        to_y(image)


GREY = np.zeros((12, 14))


@pytest.mark.parametrize(
    ("prediction", "truth", "words"),
    [
        (GREY, np.zeros((24, 28)), "is 14 x 12 pixels and the truth 28 x 24; crop or"),
        (GREY, np.zeros((12, 14, 3)), "differ in their colours"),
        (GREY.astype(complex), GREY, "complex128 cannot be compared"),
        (GREY, GREY.astype(object), "object cannot be compared"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"empty: its shape is \(0, 3\)"),
        (np.zeros(9), np.zeros(9), r"not \(9,\)"),
        (np.zeros((2, 12, 14, 3)), GREY, r"not \(2, 12, 14, 3\)"),
        ([[1, 2], [3]], GREY, "not an image"),
    ],
)
@pytest.mark.parametrize(
    "measure", [*NUMBERS.values(), error_map], ids=[*NUMBERS, "error_map"]
)
def test_what_can_not_be_compared_is_refused(measure, prediction, truth, words):
    with pytest.raises(ImageError, match=words):
        measure(prediction, truth)


def test_a_mask_is_not_lost_unseen():
    masked = np.ma.masked_less(GREY, 1)
    assert masked.mask.any()
    for images in ((GREY, masked), (masked, GREY)):
        with pytest.raises(ImageError, match="make masked pixels of the truth NaN"):
            psnr(*images, data_range=1)
        with pytest.raises(ImageError, match="make masked pixels of the truth NaN"):
            drain(iter_scores(*images, scale=2))
    assert psnr(GREY, np.ma.array(GREY), data_range=1) == math.inf


@pytest.mark.parametrize("border", [-1, 6])
def test_a_border_must_leave_something(border):
    with pytest.raises(ImageError, match=f"inside a border of {border}"):
        psnr(GREY, GREY, data_range=1, border=border)
    assert psnr(GREY, GREY, data_range=1, border=5) == math.inf


@pytest.mark.parametrize("border", [1.5, 2.0, "2", None])
def test_a_border_is_a_number_of_pixels(border):
    with pytest.raises(ImageError, match=f"border {border!r} is not a whole number"):
        psnr(GREY, GREY, data_range=1, border=border)


@pytest.mark.parametrize("data_range", [0, -1, math.nan, math.inf, "255", None, [255]])
@pytest.mark.parametrize("measure", [psnr, ssim, ssim_map])
def test_data_range_must_be_positive(measure, data_range):
    with pytest.raises(ImageError, match="positive"):
        measure(GREY, GREY, data_range=data_range)


@pytest.mark.parametrize("measure", [ssim, ssim_map])
def test_the_window_must_fit(measure):
    with pytest.raises(
        ImageError, match="11 x 11 pixels inside the border; .* 14 x 10"
    ):
        measure(GREY[:10], GREY[:10], data_range=1)
