"""The low-resolution side: shrinking, noise and compression."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from napari_edsr.degradation import corrupt, shrink
from napari_edsr.errors import TrainingError
from napari_edsr.train_config import Degradation


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_that_of_the_set5_files(set5, scale):
    for lr, hr in set5(scale).values():
        np.testing.assert_array_equal(shrink(hr, scale, Degradation()), lr)


def test_area_is_the_mean_of_each_block():
    hr = np.arange(24, dtype=np.uint16).reshape(4, 6)
    area = Degradation(shrink="area")
    np.testing.assert_array_equal(shrink(hr, 2, area), [[4, 6, 8], [16, 18, 20]])
    colours = np.stack([hr, hr + 1.5], -1)
    np.testing.assert_allclose(shrink(colours, 2, area)[0, 0], [3.5, 5.0])


def test_blur_spreads_a_point_as_a_gaussian():
    hr = np.zeros((65, 65))
    hr[32, 32] = 1.0
    lr = shrink(hr[:64, :64], 1, Degradation(blur=3.0))
    y, x = np.mgrid[:64, :64]
    variance = (lr * ((y - 32) ** 2 + (x - 32) ** 2)).sum() / lr.sum() / 2
    assert variance == pytest.approx(9.0, rel=0.01)


def test_sides_must_be_multiples_of_the_scale():
    with pytest.raises(TrainingError, match="7 x 6 is no multiple of 2"):
        shrink(np.zeros((6, 7)), 2, Degradation())


def test_photons_set_the_noise():
    grey = torch.full((1, 1, 300, 300), 0.5)
    noisy = corrupt(grey, Degradation(photons=200.0), generator())
    assert noisy.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert noisy.var().item() == pytest.approx(0.5 / 200, rel=0.03)
    both = corrupt(grey, Degradation(photons=200.0, read_noise=10.0), generator())
    assert both.var().item() == pytest.approx(0.5 / 200 + (10 / 200) ** 2, rel=0.03)
    plain = corrupt(grey, Degradation(read_noise=0.1), generator())
    assert plain.std().item() == pytest.approx(0.1, rel=0.03)


def test_the_same_seed_gives_the_same_noise():
    grey = torch.rand(2, 3, 8, 8, generator=generator())
    recipe = Degradation(photons=50.0, read_noise=1.0, jpeg=(20, 90))
    first, second = (corrupt(grey, recipe, generator()) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, corrupt(grey, recipe, generator(1)))


@pytest.mark.parametrize("colours", [1, 3])
def test_jpeg_is_that_of_a_file(rng, colours):
    image = rng.integers(0, 256, (colours, 16, 16), dtype=np.uint8)
    found = corrupt(torch.from_numpy(image)[None] / 255, Degradation(jpeg=(30, 30)),
                    generator())  # fmt: skip
    stream = io.BytesIO()
    pixels = image[0] if colours == 1 else image.transpose(1, 2, 0)
    Image.fromarray(pixels).save(stream, "JPEG", quality=30)
    expected = np.asarray(Image.open(stream)).reshape(16, 16, colours)
    np.testing.assert_array_equal(
        (found[0].numpy() * 255).round().transpose(1, 2, 0), expected
    )


def test_jpeg_needs_grey_or_rgb():
    with pytest.raises(TrainingError, match="grey and RGB"):
        corrupt(torch.zeros(1, 2, 8, 8), Degradation(jpeg=(30, 90)), generator())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)
