"""Shifts between two images: found, and undone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from napari_edsr.registration import find_shift, unshifted

WHOLE = (slice(20, 180), slice(20, 220))


@pytest.fixture
def scene():
    return data.camera()[100:300, 100:340].astype(float)


def moved(image, shift):
    return ndimage.shift(image, shift, order=3, mode="mirror")


@pytest.mark.parametrize("shift", [(0.37, -0.12), (3.4, -7.25), (0, 0.5), (-2, 1)])
def test_shift_is_found_to_a_fraction_of_a_pixel(scene, shift):
    found = find_shift(moved(scene, shift)[WHOLE], scene[WHOLE])
    np.testing.assert_allclose(found, shift, atol=0.06)


def test_blur_and_another_contrast_do_not_mislead_it(scene):
    other = 0.3 * ndimage.gaussian_filter(moved(scene, (0.6, -0.4)), 1.5) + 500
    found = find_shift(other[WHOLE], scene[WHOLE])
    np.testing.assert_allclose(found, (0.6, -0.4), atol=0.06)


def test_colours_count_together(scene):
    colours = np.stack([scene, scene * 0.5, 255 - scene * 0.1], axis=-1)
    shifted = np.stack([moved(c, (1, -2)) for c in np.moveaxis(colours, -1, 0)], -1)
    found = find_shift(shifted[WHOLE], colours[WHOLE])
    np.testing.assert_allclose(found, (1, -2), atol=0.06)


def test_what_is_no_number_counts_as_the_mean(scene):
    holed = scene.copy()
    holed[60:64, 60:64] = np.nan
    found = find_shift(moved(scene, (1, 2))[WHOLE], holed[WHOLE])
    np.testing.assert_allclose(found, (1, 2), atol=0.1)


@pytest.mark.parametrize("flat", [np.zeros((16, 16)), np.full((16, 16), np.nan)])
def test_nothing_to_see_is_no_shift(flat):
    assert find_shift(flat, flat) == (0, 0)
    assert find_shift(np.eye(16), flat) == (0, 0)


def test_undoing_a_whole_shift_gives_the_pixels_back(scene):
    back = unshifted(np.roll(scene, (2, -3), (0, 1))[..., None], WHOLE, (2, -3))
    np.testing.assert_allclose(back[..., 0], scene[WHOLE], atol=1e-6)


def test_undoing_a_fraction_is_what_a_spline_of_the_whole_image_gives(scene):
    back = unshifted(scene[..., None], WHOLE, (0.3, -0.6))
    whole = moved(scene, (-0.3, 0.6))
    np.testing.assert_allclose(back[..., 0], whole[WHOLE], atol=1e-3)


def test_a_pixel_without_a_value_spoils_only_those_beside_it(scene):
    holed = scene.copy()
    holed[60, 70] = np.nan
    box = (slice(50, 80), slice(60, 90))
    back = unshifted(np.stack([holed, scene], axis=-1), box, (0.5, 0))
    whole = unshifted(scene[..., None], box, (0.5, 0))[..., 0]
    missing = np.isnan(back[..., 0])
    assert np.argwhere(missing).tolist() == [[9, 10], [10, 10]]
    np.testing.assert_array_equal(back[..., 1], whole)
    far = np.hypot(*np.ogrid[-10:20, -10:20]) > 9
    np.testing.assert_allclose(back[..., 0][far], whole[far], atol=0.05)
