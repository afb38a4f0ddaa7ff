"""The bundled images and the layers napari makes of them."""

from pathlib import Path

import numpy as np
import pytest

from napari_edsr import samples
from napari_edsr.metrics import psnr
from napari_edsr.resampling import imresize

PAIRS = [
    (samples.photo_hr, samples.photo_lr, (360, 480, 3)),
    (samples.microscopy_hr, samples.microscopy_lr, (516, 696)),
]
LAYERS = [samples.napari_photo, samples.napari_microscopy]


@pytest.mark.parametrize(("hr", "lr", "shape"), PAIRS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pairs_fit_at_every_scale(hr, lr, shape, scale):
    truth, small = hr(), lr(scale)

    assert truth.shape == shape
    assert truth.dtype == small.dtype == np.uint8
    assert small.shape == (shape[0] // scale, shape[1] // scale, *shape[2:])
    assert psnr(imresize(small, scale), truth, data_range=255) > 21


@pytest.mark.parametrize(("hr", "lr", "shape"), PAIRS)
def test_images_have_content(hr, lr, shape):
    assert hr().std() > 20
    assert np.ptp(hr()) > 200


@pytest.mark.promise(
    "The sample images and the weights' training photographs are credited in "
    "[data/CREDITS.md]"
)
def test_every_image_is_credited():
    folder = Path(samples.__file__).parent / "data"
    credits = (folder / "CREDITS.md").read_text(encoding="utf-8")
    images = sorted(path.name for path in folder.glob("*.png"))

    assert images == ["city.png", "nuclei.png"]
    assert all(f"## {name}" in credits for name in images)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 700_000


@pytest.mark.parametrize("make_layers", LAYERS)
def test_low_resolution_layer_is_last_visible_and_overlies_the_truth(make_layers):
    (hr, hr_options, hr_kind), (lr, lr_options, lr_kind) = make_layers()

    assert hr_kind == lr_kind == "image"
    assert hr_options["visible"] is False
    assert "visible" not in lr_options
    for axis in (0, 1):
        scale, shift = lr_options["scale"][axis], lr_options["translate"][axis]
        first_edge = shift - scale / 2
        assert first_edge == -0.5
        assert first_edge + scale * lr.shape[axis] == hr.shape[axis] - 0.5
