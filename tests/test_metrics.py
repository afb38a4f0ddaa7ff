"""PSNR, SSIM and protocols against the literature's numbers and by definition."""

import math

import numpy as np
import pytest

from napari_edsr.errors import ImageError
from napari_edsr.metrics import Score, psnr, score, ssim, to_y
from napari_edsr.resampling import imresize


def mean_scores(enlarge, pairs, scale):
    """Mean RGB and Y scores over pairs of low and high resolution."""
    rows = []
    for lr, hr in pairs.values():
        result = enlarge(lr)
        rgb = score(result, hr, scale=scale, protocol="mmagic")
        luma = score(result, hr, scale=scale, protocol="edsr-y")
        rows.append((rgb.psnr, rgb.ssim, luma.psnr, luma.ssim))
    return np.mean(rows, axis=0)


@pytest.mark.parametrize(
    ("scale", "published"),
    [
        (2, (31.7866, 0.9086, 33.6734, 0.9303)),
        (3, (28.6236, 0.8383, 30.4033, 0.8689)),
        (4, (26.6921, 0.7731, 28.4290, 0.8111)),
    ],
)
def test_bicubic_scores_of_set5(scale, published, set5):
    scores = mean_scores(lambda lr: imresize(lr, scale), set5(scale), scale)

    np.testing.assert_allclose(scores[::2], published[::2], atol=2e-4, rtol=0)
    np.testing.assert_allclose(scores[1::2], published[1::2], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("scale", "rgb", "luma"),
    [(2, 35.41, 37.58), (3, 31.68, 33.63), (4, 29.46, 31.34)],
)
def test_light_models_score_what_their_cards_say(scale, rgb, luma, set5):
    from napari_edsr.checkpoints import load_model
    from napari_edsr.inference import upscale

    model = load_model(f"edsr-light-x{scale}")
    scores = mean_scores(
        lambda lr: upscale(lr, model, device="cpu"), set5(scale), scale
    )

    assert scores[0] == pytest.approx(rgb, abs=0.01)
    assert scores[2] == pytest.approx(luma, abs=0.01)


def test_psnr_of_a_known_error():
    truth = np.zeros((4, 6))

    assert psnr(truth + 0.1, truth, data_range=1) == pytest.approx(20)
    assert psnr(truth + 25.5, truth, data_range=255) == pytest.approx(20)


def test_unsigned_differences_do_not_wrap():
    low, high = np.full((4, 4), 10, np.uint8), np.full((4, 4), 11, np.uint8)

    expected = 20 * math.log10(255)
    assert psnr(low, high, data_range=255) == pytest.approx(expected)
    assert psnr(high, low, data_range=255) == pytest.approx(expected)


def test_border_is_shaved_on_all_sides_but_not_off_the_channels():
    truth = np.zeros((20, 30, 3))
    damaged = truth.copy()
    damaged[:2], damaged[-2:], damaged[:, :2], damaged[:, -2:] = 9, 9, 9, 9

    assert psnr(damaged, truth, data_range=1, border=2) == math.inf
    assert ssim(damaged, truth, data_range=1, border=2) == 1
    assert psnr(damaged, truth, data_range=1, border=1) < 20


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("value", [None, 0, 77])
def test_identical_images_score_inf_and_one(value, dtype):
    image = np.random.default_rng(0).integers(0, 200, (32, 32, 3)).astype(dtype)
    if value is not None:
        image[:] = value

    assert psnr(image, image, data_range=255) == math.inf
    assert ssim(image, image, data_range=255) == 1


def test_constant_images_that_differ_have_the_scores_of_the_formulas():
    dark, bright = np.full((24, 24), 50.0), np.full((24, 24), 100.0)

    c1 = (0.01 * 255) ** 2
    luminance = (2 * 50 * 100 + c1) / (50**2 + 100**2 + c1)
    assert ssim(dark, bright, data_range=255) == pytest.approx(luminance)
    assert psnr(dark, bright, data_range=255) == pytest.approx(
        20 * math.log10(255 / 50)
    )


def test_ssim_is_the_mean_over_channels():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (20, 22, 3))
    noisy = truth + rng.normal(0, 20, truth.shape)

    channels = [ssim(noisy[..., c], truth[..., c], data_range=255) for c in range(3)]
    assert ssim(noisy, truth, data_range=255) == pytest.approx(np.mean(channels))


def test_y_spans_the_studio_range_and_is_not_rounded():
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [1, 2, 3]], np.uint8)

    expected = [16, 235, 81.481, 16 + (65.481 + 2 * 128.553 + 3 * 24.966) / 255]
    np.testing.assert_allclose(to_y(colours), expected, rtol=1e-12)


def test_a_score_says_how_it_was_measured():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)

    rgb = score(truth, truth, scale=2)
    luma = score(truth, truth, scale=3, protocol="edsr-y")
    grey = score(truth[..., 0], truth[..., 0], scale=4)

    assert rgb == Score(math.inf, 1, "mmagic", "RGB", 2, True, 255)
    assert luma == Score(math.inf, 1, "edsr-y", "Y", 3, True, 255)
    assert grey == Score(math.inf, 1, "mmagic", "grey", 4, True, 255)


def test_grey_counts_as_three_equal_channels():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 256, (24, 24), dtype=np.uint8)
    other = np.clip(truth + rng.normal(0, 9, truth.shape), 0, 255)
    for protocol in ("mmagic", "edsr-y"):
        grey = score(other, truth, scale=2, protocol=protocol)
        colour = score(
            np.stack([other] * 3, -1),
            np.stack([truth] * 3, -1),
            scale=2,
            protocol=protocol,
        )
        assert grey.psnr == pytest.approx(colour.psnr)
        assert grey.ssim == pytest.approx(colour.ssim)


def test_predictions_are_clipped_and_rounded_first():
    truth = np.full((24, 24), 255, np.uint8)

    assert score(np.full((24, 24), 300.0), truth, scale=2).psnr == math.inf
    assert score(np.full((24, 24), 254.6), truth, scale=2).psnr == math.inf


def test_other_ranges_are_measured_on_8_bits():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    other = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)

    eight_bits = score(other, truth, scale=2)
    as_floats = score(other / 255, truth / 255, scale=2, data_range=1)
    as_16_bits = score(other * np.uint16(257), truth * np.uint16(257), scale=2)

    assert as_floats.psnr == as_16_bits.psnr == eight_bits.psnr


def test_only_edsr_y_crops_the_truth():
    truth = np.random.default_rng(5).integers(0, 256, (25, 27, 3), dtype=np.uint8)

    assert score(truth[:24, :24], truth, scale=2, protocol="edsr-y").psnr == math.inf
    with pytest.raises(ImageError, match="one shape"):
        score(truth[:24, :24], truth, scale=2, protocol="mmagic")


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((24, 24), {"scale": 2, "protocol": "edsr"}, "Unknown protocol"),
        ((24, 24), {"scale": 2, "data_range": 0}, "positive"),
        ((24, 24, 4), {"scale": 2}, "grey or RGB"),
        ((3, 24, 24), {"scale": 2}, "grey or RGB"),
        ((12, 24), {"scale": 2}, "11 x 11"),
        ((4, 24), {"scale": 2}, "border of 2"),
    ],
)
def test_what_can_not_be_scored_is_refused(shape, options, message):
    image = np.zeros(shape, np.uint8)

    with pytest.raises(ImageError, match=message):
        score(image, image, **options)


def test_float_truths_need_a_data_range():
    with pytest.raises(ImageError, match="data_range"):
        score(np.zeros((24, 24)), np.zeros((24, 24)), scale=2)


@pytest.mark.parametrize("data_range", [0, -1, math.nan])
def test_data_range_must_be_positive(data_range):
    image = np.zeros((24, 24))

    with pytest.raises(ImageError, match="positive"):
        psnr(image, image, data_range=data_range)
