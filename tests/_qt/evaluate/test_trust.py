from __future__ import annotations

import math

import dask.array as da
import dask.config
import numpy as np
import pytest
from napari.layers import Image
from scipy import ndimage

from napari_edsr._qt.evaluate.origin import source_of
from napari_edsr._qt.evaluate.trust import (
    add_consistency,
    consistency_request,
    consistency_text,
    iter_layer_consistency,
)
from napari_edsr._qt.layers import (
    METADATA_KEY,
    result_settings,
)
from napari_edsr._qt.requests import UpscaleRequest, partial_metadata
from napari_edsr.checkpoints import save_model
from napari_edsr.errors import ImageError
from napari_edsr.events import PlaneDone, drain
from napari_edsr.resampling import imresize

WAIT = 30_000
PLACES = {
    "plain": {},
    "scaled": {"scale": (0.5, 0.25), "units": ("um", "um")},
    "moved": {"scale": (2, 3), "translate": (10, -7)},
    "rotated": {"scale": (0.5, 0.25), "rotate": 30, "translate": (3, 4)},
    "sheared": {"scale": (0.5, 0.25), "shear": [0.3]},
    "affine": {
        "scale": (2, 0.5),
        "affine": [[0.9, 0.3, 5], [-0.2, 1.4, -6], [0, 0, 1]],
    },
}


@pytest.fixture
def measure(viewer):
    """`measure(result)`: request, outcome and layer of its consistency."""

    def run(result):
        request = consistency_request(result, source_of(result, viewer.layers))
        found = drain(iter_layer_consistency(request))
        return request, found, add_consistency(viewer, request, found)

    return run


def shrunk(image, **options):
    return imresize(image, 0.5, **options).astype(float)


@pytest.mark.promise("without a truth: the result made small again")
@pytest.mark.parametrize("place", PLACES)
def test_the_map_lies_over_the_input(
    same_place, viewer, upscaled, measure, image, place
):
    lr = viewer.add_image(image, name="cells", colormap="magenta", **PLACES[place])
    result = upscaled(lr)

    request, found, layer = measure(result)

    expected = shrunk(result.data) - image
    np.testing.assert_array_equal(layer.data, expected.astype(np.float32))
    assert layer.name == "cells ×2 (tiny) consistency"
    assert layer is viewer.layers[-1]
    same_place(layer, lr, (0, 0))
    assert found.rmse == pytest.approx(math.sqrt(np.mean(expected**2)))
    assert consistency_text(request, found) == (
        f"Consistency of cells ×2 (tiny): {found.psnr:.1f} dB, {found.rmse:.3g} grey "
        "levels RMS between the input and the result made small again (bicubic)."
    )


def test_colours_of_the_map_are_symmetric_and_spare_outliers(
    viewer, upscaled, measure, image
):
    result = upscaled(viewer.add_image(image, name="cells"))
    result.data[0, 0] = 65535 - result.data[0, 0]
    _, found, layer = measure(result)
    low, high = layer.contrast_limits
    assert (low, layer.colormap.name) == (-high, "PiYG")
    assert high == pytest.approx(np.percentile(np.abs(found.map), 99.5))
    white = layer.colormap.map(0.5)[0, :3]
    assert np.ptp(white) < 0.02


def test_planes_of_a_stack_are_compared_one_by_one(
    same_place, viewer, upscaled, measure, rng
):
    stack = rng.integers(0, 2**16, (3, 8, 10), np.uint16)
    lr = viewer.add_image(stack, name="stack", scale=(4, 0.5, 0.5))
    result = upscaled(lr)
    request = consistency_request(result, source_of(result, viewer.layers))
    assert list(iter_layer_consistency(request)) == [
        PlaneDone(number, 3) for number in (1, 2, 3)
    ]
    _, _, layer = measure(result)
    expected = shrunk(result.data, axes=(-2, -1)) - stack
    np.testing.assert_array_equal(layer.data, expected.astype(np.float32))
    same_place(layer, lr, (0, 0, 0))


def test_a_map_of_colours_is_their_mean(viewer, upscaled, measure, rng):
    photo = rng.integers(0, 256, (8, 10, 3), np.uint8)
    lr = viewer.add_image(photo, name="photo", rgb=True)
    result = upscaled(lr)
    _, found, layer = measure(result)
    difference = shrunk(result.data) - lr.data
    np.testing.assert_allclose(layer.data, difference.mean(-1), rtol=1e-6)
    assert not layer.rgb
    assert found.rmse == pytest.approx(math.sqrt(np.mean(difference**2)))


@pytest.mark.parametrize("place", PLACES)
def test_a_result_of_a_region(viewer, upscaled, measure, image, place):
    lr = viewer.add_image(image, name="cells", **PLACES[place])
    viewer.add_image(np.zeros((6, 8), np.uint16), name="another")
    result = upscaled(lr, region={"Y": (3, 9), "X": (5, 13)})

    origin = source_of(result, viewer.layers)
    _, _, layer = measure(result)

    assert (origin.source, origin.scale) == (lr, 2)
    assert origin.region == {"Y": (3, 9), "X": (5, 13)}
    expected = shrunk(result.data) - image[3:9, 5:13]
    np.testing.assert_array_equal(layer.data, expected.astype(np.float32))
    np.testing.assert_allclose(layer.data_to_world((0, 0)), lr.data_to_world((3, 5)))
    np.testing.assert_allclose(layer.data_to_world((2, 1)), lr.data_to_world((5, 6)))


def test_a_result_of_one_plane(viewer, upscaled, measure, rng):
    stack = rng.integers(0, 2**16, (5, 8, 10), np.uint16)
    lr = viewer.add_image(stack, name="stack", scale=(4, 1, 1))
    result = upscaled(lr, region={"Z": (2, 3), "Y": (1, 7), "X": (0, 10)})
    _, _, layer = measure(result)
    expected = shrunk(result.data[0]) - stack[2, 1:7]
    np.testing.assert_array_equal(layer.data[0], expected.astype(np.float32))
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), (8, 1, 0))


def test_a_result_that_was_cropped_since(viewer, upscaled, measure, image):
    lr = viewer.add_image(image, name="cells", scale=(3, 3))
    result = upscaled(lr, region={"Y": (2, 12), "X": (4, 20)})
    part = {"Y": (3, 14), "X": (4, 30)}  # the first row is half a pixel of the input
    settings = result_settings(result, 1, part)
    cut = Image(result.data[3:14, 4:30], **settings, name="cut")
    cut.metadata[METADATA_KEY] = result.metadata[METADATA_KEY]
    origin = source_of(cut, viewer.layers)
    assert origin.region == {"Y": (4, 9), "X": (6, 19)}
    assert origin.result_region == {"Y": (1, 11), "X": (0, 26)}
    _, _, layer = measure(cut)
    expected = shrunk(result.data[4:14, 4:30]) - image[4:9, 6:19]
    np.testing.assert_array_equal(layer.data, expected.astype(np.float32))
    np.testing.assert_allclose(layer.data_to_world((0, 0)), lr.data_to_world((4, 6)))


def test_layers_on_disk_are_read_by_the_job_alone(viewer, upscaled, measure, rng):
    stack = rng.integers(0, 2**16, (3, 8, 10), np.uint16)
    lr = viewer.add_image(stack, name="stack", contrast_limits=(0, 65535))
    result = upscaled(lr)
    expected = measure(result)[1].map
    read = []

    def seen(block):
        read.append(block.shape)
        return block

    with dask.config.set(scheduler="synchronous"):  # which leaves no threads behind
        lr.data = da.from_array(stack, (1, -1, -1)).map_blocks(seen, dtype=stack.dtype)
        read.clear()
        request = consistency_request(result, source_of(result, viewer.layers))
        assert read == []
        job = iter_layer_consistency(request)
        next(job)
        assert read == [(1, 8, 10)]
        np.testing.assert_array_equal(drain(job).map, expected)


@pytest.mark.promise(
    "the result made small again, as its model was trained, minus its input"
)
def test_the_degradation_is_the_one_recorded_with_the_model(
    viewer, upscaled, measure, tiny_model, tmp_path, image
):
    record = {"shrink": "area", "blur": 0.3, "blur_unit": "um", "photons": 100.0}
    path = save_model(
        tiny_model(n_colors=1),
        tmp_path / "tuned.safetensors",
        metadata={"training": {"config": {"degradation": record}}},
    )
    lr = viewer.add_image(image, name="cells", scale=(0.4, 0.4), units=("um", "um"))
    result = upscaled(lr, model=str(path))

    request, found, layer = measure(result)

    wide = ndimage.gaussian_filter(result.data.astype(float), 1.5, mode="mirror")
    blocks = np.rint(wide).reshape(20, 2, 24, 2).mean((1, 3))
    np.testing.assert_array_equal(layer.data, np.rint(blocks) - image)
    assert consistency_text(request, found).endswith("(area, blur 0.3 um).")


def test_a_blur_in_micrometres_needs_a_pixel_size(
    viewer, upscaled, tiny_model, tmp_path, image
):
    record = {"training": {"config": {"degradation": {"blur": 1, "blur_unit": "um"}}}}
    path = save_model(tiny_model(), tmp_path / "a.safetensors", metadata=record)
    result = upscaled(viewer.add_image(image, name="cells"), model=str(path))
    request = consistency_request(result, source_of(result, viewer.layers))
    with pytest.raises(ImageError, match="give the image its pixel size"):
        drain(iter_layer_consistency(request))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_result_of_another_program_is_paired_by_its_place(
    viewer, measure, rng, scale
):
    truth = rng.integers(0, 256, (24, 36), np.uint8)
    viewer.add_image(np.zeros((5, 5), np.uint8), name="something")
    lr = viewer.add_image(imresize(truth, 1 / scale), name="small")
    hr = viewer.add_image(truth, name="theirs")

    origin = source_of(hr, viewer.layers)
    request, found, layer = measure(hr)

    assert (origin.source, origin.scale, origin.about) == (lr, scale, {})
    np.testing.assert_array_equal(layer.data, np.zeros(lr.data.shape))
    assert layer.contrast_limits == [-1, 1]
    assert consistency_text(request, found) == (
        "Consistency of theirs: no difference between the input and the result made "
        "small again (bicubic)."
    )


def test_nothing_to_compare_is_said(viewer, measure):
    viewer.add_image(np.full((6, 8), np.nan), name="small", contrast_limits=(0, 1))
    hr = viewer.add_image(np.zeros((12, 16)), name="theirs")
    request, found, _ = measure(hr)
    assert "no pixel has a value in both" in consistency_text(request, found)


def test_maps_are_no_inputs_and_no_results(viewer, upscaled, measure, rng):
    image = rng.random((8, 10), np.float32)
    lr = viewer.add_image(image, name="cells")
    half = upscaled(lr)
    _, _, apart = measure(half)
    with pytest.raises(ImageError, match="consistency is a map; choose the upscaled"):
        source_of(apart, viewer.layers)
    viewer.layers.remove(lr)
    theirs = viewer.add_image(np.zeros((16, 20), np.float32), name="theirs")
    viewer.layers.remove(half)
    with pytest.raises(ImageError, match="No low-resolution layer of theirs"):
        source_of(theirs, viewer.layers)


def test_an_input_that_is_gone(viewer, upscaled, image):
    lr = viewer.add_image(image, name="cells")
    viewer.add_image(image, name="other channel")
    result = upscaled(lr)
    viewer.layers.remove(lr)
    words = (
        r"No low-resolution layer of cells ×2 \(tiny\) is open; open the image it was "
        r"made from, cells\."
    )
    with pytest.raises(ImageError, match=words):
        source_of(result, viewer.layers)
    viewer.add_image(image[:9], name="cells")  # too small for what was upscaled
    with pytest.raises(ImageError, match=words):
        source_of(result, viewer.layers)


def test_an_input_may_be_renamed(viewer, upscaled, image):
    lr = viewer.add_image(image, name="cells")
    viewer.add_image(image, name="other channel")
    result = upscaled(lr)
    lr.name = "raw cells"
    viewer.layers["other channel"].name = "cells"
    assert source_of(result, viewer.layers).source is lr
    lr.data = image[:9]  # no longer what was upscaled, which the other shows
    other = viewer.layers["cells"]
    assert source_of(result, viewer.layers).source is other


def test_what_the_network_will_see_makes_no_result_of_its_source(
    dock, viewer, upscaled, image
):
    lr = viewer.add_image(image, name="cells")
    upscaled(lr)
    viewer.layers.selection = {lr}
    small = imresize(image, 0.5)
    about = {METADATA_KEY: {"low_resolution_of": "cells"}}
    place = {k: v for k, v in result_settings(lr, 0.5).items() if k != "metadata"}
    viewer.add_layer(Image(small, name="seen", metadata=about, **place))
    viewer.layers.selection = {lr}
    assert dock.panel.trust_reason.text() == "Maps of cells ×2 (tiny)."


@pytest.mark.fault(
    "Layers and docks: a layer whose record of its making makes no sense",
    "It is opened; what needs the record says so.",
)
@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        {"scale": "x"},
        {"scale": None},
        {"scale": 2, "source": "truth", "region": ["Y"]},
        {"scale": 2, "source": "low", "region": {"Y": [0]}},
    ],
)
def test_a_record_that_makes_no_sense(dock, viewer, image, about):
    viewer.add_image(image, name="truth")
    viewer.add_image(imresize(image, 0.5), name="low")
    layer = viewer.add_image(image, name="odd", metadata={METADATA_KEY: about})
    viewer.layers.selection = {layer}
    assert dock.panel.measure.isEnabled()
    if isinstance(about, dict):
        assert "cannot be read; upscale it again" in dock.panel.trust_reason.text()


def test_an_input_that_is_elsewhere_or_of_another_type(viewer, upscaled, image):
    lr = viewer.add_image(image, name="cells")
    result = upscaled(lr)
    lr.translate = (0.2, 0)
    with pytest.raises(ImageError, match="cells is shifted by 0.4 px"):
        source_of(result, viewer.layers)
    lr.translate = (0, 0)
    lr.data = image.astype(np.float32)
    with pytest.raises(
        ImageError, match="cells is float32, but .* uint16; convert one"
    ):
        source_of(result, viewer.layers)


def test_a_foreign_result_of_another_type(viewer):
    viewer.add_image(np.zeros((6, 8), np.uint8), name="small")
    hr = viewer.add_image(np.zeros((12, 16), np.float32), name="theirs")
    with pytest.raises(ImageError, match="small is uint8, but theirs float32; convert"):
        source_of(hr, viewer.layers)
    viewer.layers.remove("small")
    words = (
        "No low-resolution layer of theirs is open; open the image it was made from."
    )
    with pytest.raises(ImageError, match=words):
        source_of(hr, viewer.layers)


def test_a_result_that_is_not_finished(viewer, upscaled, image):
    result = upscaled(viewer.add_image(image, name="cells"))
    request = UpscaleRequest(image, "YX", 2, "edsr-light-x2", source="cells")
    result.metadata[METADATA_KEY] = partial_metadata(request, None, 3)
    with pytest.raises(ImageError, match="is not finished; upscale its input again"):
        source_of(result, viewer.layers)
