"""Scores by named protocols: the literature's tables, and each rule by itself."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from napari_edsr import score
from napari_edsr.errors import EDSRWarning, ImageError
from napari_edsr.metrics import (
    PROTOCOLS,
    Score,
    mae,
    psnr,
    range_invariant_psnr,
    rmse,
    ssim,
    to_y,
)
from napari_edsr.resampling import imresize

OF_THE_SCALE = ("mmagic", "edsr-y", "edsr-div2k")


@pytest.fixture
def truth(rng):
    return rng.integers(0, 256, (40, 44, 3), dtype=np.uint8)


@pytest.fixture
def other(truth, rng):
    noisy = truth + rng.normal(0, 20, truth.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


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
    [(2, 35.41, 37.58), (3, 31.75, 33.70), (4, 29.46, 31.34)],
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


@pytest.mark.promise(
    "The same images differ by decibels between conventions, so every table "
    "states its own"
)
@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({"scale": 2}, ("mmagic", "RGB", 2, True, 255)),
        ({"scale": 3, "protocol": "edsr-y"}, ("edsr-y", "Y", 3, True, 255)),
        ({"scale": 4, "protocol": "edsr-div2k"}, ("edsr-div2k", "RGB", 10, True, 255)),
        ({"protocol": "microscopy"}, ("microscopy", "RGB", 0, False, 255)),
        (
            {"protocol": "microscopy", "scale": 4, "border": 5, "colour": "Y"},
            ("microscopy", "Y", 5, False, 255),
        ),
        ({"border": 0, "colour": "Y"}, ("mmagic", "Y", 0, True, 255)),
        (
            {"protocol": "edsr-y", "border": 1, "colour": "as is"},
            ("edsr-y", "RGB", 1, True, 255),
        ),
        (
            {"protocol": "edsr-div2k", "scale": 2, "border": 7, "data_range": 100},
            ("edsr-div2k", "RGB", 7, True, 255),
        ),
        (
            {"protocol": "microscopy", "data_range": 100},
            ("microscopy", "RGB", 0, False, 100),
        ),
    ],
)
def test_a_score_says_how_it_was_measured(options, how, truth):
    best = (math.inf, 1, 0, 0, math.inf)
    assert astuple(score(truth, truth, **options)) == (*best, *how, 0)


@pytest.mark.parametrize(
    ("options", "border", "luma"),
    [
        ({"scale": 3}, 3, False),
        ({"scale": 3, "protocol": "edsr-y"}, 3, True),
        ({"scale": 3, "protocol": "edsr-div2k"}, 9, False),
        ({"border": 2, "protocol": "microscopy"}, 2, False),
    ],
)
def test_a_score_is_the_metrics_of_what_is_left(options, border, luma, truth, other):
    images = (to_y(other), to_y(truth)) if luma else (other, truth)
    measured = score(other, truth, **options)
    assert measured == Score(
        psnr=psnr(*images, data_range=255, border=border),
        ssim=ssim(*images, data_range=255, border=border),
        mae=mae(*images, border=border),
        rmse=rmse(*images, border=border),
        range_invariant_psnr=range_invariant_psnr(*images, border=border),
        protocol=options.get("protocol", "mmagic"),
        colour="Y" if luma else "RGB",
        border=border,
        rounded="microscopy" not in options.values(),
        data_range=255,
    )


@pytest.mark.parametrize("protocol", OF_THE_SCALE)
def test_the_border_follows_the_scale_or_is_given(protocol, truth):
    with pytest.raises(ImageError, match="say the scale, or the border"):
        score(truth, truth, protocol=protocol)
    with pytest.raises(ImageError, match="1 or more, not 0"):
        score(truth, truth, protocol=protocol, scale=0)
    assert score(truth, truth, protocol=protocol, border=3).border == 3
    margin = 6 if protocol == "edsr-div2k" else 0
    assert score(truth, truth, protocol=protocol, scale=1).border == 1 + margin


@pytest.mark.parametrize("protocol", OF_THE_SCALE)
def test_grey_counts_as_three_equal_channels(protocol, truth, other):
    grey, noisy = truth[..., 0], other[..., 0]
    colour, noisy_colour = (np.stack([image] * 3, -1) for image in (grey, noisy))
    options = {"scale": 2, "protocol": protocol}
    expected = score(noisy_colour, colour, **options)
    for pair in ((noisy, grey), (noisy_colour, grey), (noisy, colour)):
        measured = score(*pair, **options)
        assert measured.psnr == pytest.approx(expected.psnr)
        assert measured.ssim == pytest.approx(expected.ssim)
    names = {score(noisy, grey, **options).colour, expected.colour}
    assert names == ({"Y"} if protocol == "edsr-y" else {"grey", "RGB"})


def test_microscopy_does_not_take_grey_for_colour(truth):
    with pytest.raises(ImageError, match="differ in their colours"):
        score(truth, truth[..., 0], protocol="microscopy")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_alpha_is_not_measured(protocol, truth, other, rng):
    options = {"scale": 2, "protocol": protocol}
    alpha = rng.integers(0, 256, (2, 40, 44, 1), dtype=np.uint8)
    for samples in (slice(0, 3), slice(0, 1)):
        images = other[..., samples], truth[..., samples]
        veiled = (
            np.concatenate(pair, axis=2) for pair in zip(images, alpha, strict=True)
        )
        assert score(*veiled, **options) == score(*images, **options)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_floats_are_rounded_as_the_numbers_they_are(dtype, truth, other):
    images = [(image / 255).astype(dtype) for image in (other, truth)]
    options = {"scale": 2, "data_range": 1.003}
    expected = score(*(image.astype("float64") for image in images), **options)
    assert score(*images, **options) == expected


def test_predictions_are_clipped_and_rounded_first():
    truth = np.full((24, 24), 255, np.uint8)

    assert score(np.full((24, 24), 300.0), truth, scale=2).psnr == math.inf
    assert score(np.full((24, 24), 254.6), truth, scale=2).psnr == math.inf
    assert score(np.full((24, 24), -40.0), 0 * truth, scale=2).psnr == math.inf
    assert score(np.full((24, 24), np.inf), truth, scale=2).mae != 0


def test_microscopy_neither_clips_nor_rounds(truth):
    measured = score(truth + 0.25, truth, protocol="microscopy")
    assert (measured.mae, measured.rmse) == (0.25, 0.25)
    assert measured.psnr == pytest.approx(20 * math.log10(255 / 0.25))


@pytest.mark.parametrize("protocol", OF_THE_SCALE)
def test_other_ranges_are_measured_on_8_bits(protocol, truth, other):
    options = {"scale": 2, "protocol": protocol}
    eight_bits = score(other, truth, **options)
    as_floats = score(other / 255, truth / 255, data_range=1, **options)
    as_16_bits = score(other * np.uint16(257), truth * np.uint16(257), **options)

    assert as_floats == as_16_bits == eight_bits
    dark = [image // 3 for image in (other, truth)]
    tripled = [image * np.uint8(3) for image in dark]
    assert score(*dark, data_range=85, **options) == score(*tripled, **options)


def test_black_is_0_where_8_bits_are_made_of_signed_integers(truth, other):
    images = [image.astype("int16") * 128 for image in (other, truth)]
    as_floats = [image / 32767 for image in images]
    assert score(*images, scale=2) == score(*as_floats, scale=2, data_range=1)


def test_luma_begins_at_its_black_on_every_range(truth, other):
    options = {"protocol": "microscopy", "colour": "Y"}
    expected = score(other, truth, **options)
    unit = score(other / 255, truth / 255, data_range=1, **options)
    assert unit.ssim == pytest.approx(expected.ssim)
    assert unit.psnr == pytest.approx(expected.psnr)


@pytest.mark.parametrize(
    ("dtype", "data_range"),
    [("uint8", 255), ("uint16", 65535), ("int16", 65535), ("bool", 1)],
)
def test_microscopy_takes_the_range_of_integer_types(dtype, data_range, truth, other):
    images = [image.astype(dtype) for image in (other, truth)]
    measured = score(*images, protocol="microscopy")
    assert measured.data_range == data_range
    assert measured.psnr == pytest.approx(psnr(*images, data_range=data_range))
    as_floats = score(images[0].astype("float32"), images[1], protocol="microscopy")
    assert as_floats.psnr == measured.psnr


@pytest.mark.promise("Floats need `--data-range`, white minus black.")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_floats_need_a_data_range(protocol, truth):
    options = {"scale": 2, "protocol": protocol}
    with pytest.raises(ImageError, match="say the data range"):
        score(truth, truth / 255, **options)
    assert score(truth / 255, truth / 255, data_range=1, **options).psnr == math.inf


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_integer_types_need_a_data_range(protocol, truth, other):
    options = {"scale": 2, "protocol": protocol}
    with pytest.raises(ImageError, match="prediction is uint8 and the truth uint16"):
        score(other, truth.astype("uint16"), **options)
    same_units = score(other, truth.astype("uint16"), data_range=255, **options)
    assert same_units == score(other, truth, **options)


def test_the_byte_order_is_no_other_type(truth, other):
    images = [image.astype("uint16") for image in (other, truth)]
    swapped = images[0].astype(images[0].dtype.newbyteorder())
    assert score(swapped, images[1], scale=2) == score(*images, scale=2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_protocols_of_edsr_crop_a_truth_that_is_a_little_larger(protocol, truth):
    options = {"scale": 3, "protocol": protocol}
    if protocol.startswith("edsr"):
        for rows, columns in ((38, 42), (39, 44), (40, 43)):
            cropped = truth[:rows, :columns]
            assert score(cropped, truth, **options).psnr == math.inf
        with pytest.raises(ImageError, match="42 x 38 pixels and the truth 44 x 40"):
            score(truth[:38, :42], truth, protocol=protocol, border=3)
    else:
        with pytest.raises(ImageError, match="42 x 38 pixels and the truth 44 x 40"):
            score(truth[:38, :42], truth, **options)
    for prediction in (truth[:37], np.concatenate([truth, truth])):
        with pytest.raises(ImageError, match="and the truth 44 x 40"):
            score(prediction, truth, **options)


@pytest.mark.promise(
    "Pixels at which the truth is not finite are left out and counted."
)
def test_unknown_pixels_inside_the_border_are_counted(truth, other):
    gapped = truth.astype("float32")
    gapped[0, 0] = gapped[20, 20, 1] = np.nan
    gapped[20, 21] = np.inf
    options = {"data_range": 255, "border": 2}
    rounded = score(other, gapped, **options)
    exact = score(other, gapped, protocol="microscopy", **options)
    luma = score(other, gapped, protocol="edsr-y", **options)
    assert rounded.left_out == exact.left_out == luma.left_out == 2
    assert rounded.psnr == exact.psnr == psnr(other, gapped, data_range=255, border=2)
    inner = gapped[2:-2, 2:-2]
    left = np.isfinite(inner).all(axis=2)
    y = [to_y(image[left])[:, None] for image in (other[2:-2, 2:-2], inner)]
    assert luma.psnr == pytest.approx(psnr(*y, data_range=255))


def test_of_an_image_smaller_than_the_window_ssim_alone_is_not_measured(truth, other):
    measured = score(other[:14], truth[:14], scale=2)
    assert math.isnan(measured.ssim)
    expected = psnr(other[:14], truth[:14], data_range=255, border=2)
    assert measured.psnr == expected
    fits = [image[:15, :20] for image in (other, truth)]
    assert score(*fits, scale=2).ssim == ssim(*fits, data_range=255, border=2)


def test_a_prediction_on_0_to_1_beside_integers_is_pointed_out(truth, other):
    with pytest.warns(EDSRWarning, match="nothing above 1, but the truth does"):
        score(other / 255, truth, scale=2)
    with pytest.warns(EDSRWarning, match="to the units of the truth first.$"):
        score(np.ones(truth.shape), truth, scale=2)
    score(np.full(truth.shape, 1.5), truth, scale=2)
    score(np.ones(truth.shape), np.ones_like(truth), scale=2)
    score(other / 255, truth / 255, scale=2, data_range=1)
    score(other * 1.0, truth, scale=2)
    score(np.zeros(truth.shape), np.zeros_like(truth), scale=2)


def test_a_warning_names_the_line_that_asked(truth):
    with pytest.warns(EDSRWarning) as seen:
        score(truth / 255, truth, scale=2)
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((24, 24), {"scale": 2, "protocol": "Y"}, "'Y'; use mmagic, edsr-y, "),
        ((24, 24), {"scale": 2, "data_range": 0}, "positive"),
        ((24, 24), {"scale": 2, "colour": "red"}, "not as 'red'"),
        ((3, 24, 24), {"scale": 2}, "grey or RGB"),
        ((24, 24, 5), {"scale": 2}, r"grey or RGB images, not \(24, 24, 5\)"),
        ((24,), {"scale": 2}, r"not \(24,\)"),
        ((4, 24), {"scale": 2}, "border of 2"),
        ((24, 24), {"border": -1}, "border of -1"),
        ((24, 24), {"scale": 2.0}, "whole factor of 1 or more, not 2.0"),
        ((24, 24), {"scale": "2"}, "whole factor of 1 or more, not '2'"),
    ],
)
def test_what_can_not_be_scored_is_refused(shape, options, message):
    image = np.zeros(shape, np.uint8)

    with pytest.raises(ImageError, match=message):
        score(image, image, **options)
