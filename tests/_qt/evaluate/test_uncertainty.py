"""Uncertainty of a result without a truth, and the jobs of both maps in a worker."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_edsr import zoo
from napari_edsr._qt.busy import computing
from napari_edsr._qt.evaluate.origin import source_of
from napari_edsr._qt.evaluate.trust import (
    add_consistency,
    add_result_uncertainty,
    consistency_request,
    iter_layer_consistency,
    iter_uncertainty,
    uncertainty_request,
    uncertainty_text,
)
from napari_edsr._qt.layers import (
    METADATA_KEY,
    result_settings,
)
from napari_edsr._qt.worker import Job
from napari_edsr.errors import DeviceError, ImageError, ModelError
from napari_edsr.events import drain
from napari_edsr.inference import iter_upscale

WAIT = 30_000


@pytest.mark.promise(
    "without a truth: where the network disagrees with itself over flips and turns"
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize": "dtype"},
        {"normalize": (100.0, 9000.0)},
        {"normalize": "contrast-limits", "contrast_limits": (50.0, 700.0)},
    ],
)
def test_uncertainty_is_that_of_the_run_repeated(
    same_place, viewer, upscaled, model_file, image, options
):
    lr = viewer.add_image(image, name="cells", scale=(0.5, 0.5), rotate=20)
    region = {"Y": (3, 13), "X": (2, 20)}
    result = upscaled(lr, region=region, precision="fp32", **options)
    origin = source_of(result, viewer.layers)

    request = uncertainty_request(result, origin, tile=8, device="cpu")
    found = drain(iter_uncertainty(request))
    layer = add_result_uncertainty(viewer, result, origin, found)

    again = iter_upscale(
        image, model_file(2).key, tile=8, region=region, uncertainty=True, **options
    )
    expected = drain(again).uncertainty
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.name == "cells ×2 (tiny) uncertainty"
    assert layer.visible
    same_place(layer, result, (0, 0))
    mean = expected.mean(dtype=float)
    assert uncertainty_text(result, found) == (
        f"Uncertainty of cells ×2 (tiny): {mean:.3g} grey levels on average "
        f"({mean / 65535:.2%} of the data range) between eight flips and turns."
    )


def test_uncertainty_of_channels_keeps_the_range_of_each(
    viewer, upscaled, model_file, rng
):
    stack = rng.integers(0, 4000, (2, 8, 10), np.uint16)
    stack[1] //= 20
    lr = viewer.add_image(stack, name="two", axis_labels=("c", "y", "x"))
    limits = [(0.0, 4000.0), (0.0, 200.0)]
    options = {"normalize": "contrast-limits", "contrast_limits": limits}
    result = upscaled(lr, **options)
    request = uncertainty_request(result, source_of(result, viewer.layers))
    again = iter_upscale(
        stack, model_file(2).key, axes="CYX", uncertainty=True, **options
    )
    np.testing.assert_array_equal(
        drain(iter_uncertainty(request)).map, drain(again).uncertainty
    )


def test_uncertainty_lies_over_what_was_cropped(viewer, upscaled, image):
    result = upscaled(viewer.add_image(image, name="cells"))
    settings = result_settings(result, 1, {"Y": (3, 40), "X": (0, 48)})
    cut = viewer.add_image(result.data[3:], **settings, name="cut")
    cut.metadata[METADATA_KEY] = {
        **result.metadata[METADATA_KEY],
        "model": {
            "name": "edsr-light-x2",
            "sha256": zoo.get_card("edsr-light-x2").sha256,
        },
    }
    origin = source_of(cut, viewer.layers)
    found = drain(iter_uncertainty(uncertainty_request(cut, origin, tile=16)))
    layer = add_result_uncertainty(viewer, cut, origin, found)
    assert layer.data.shape == (36, 48)
    np.testing.assert_allclose(layer.data_to_world((0, 0)), cut.data_to_world((1, 0)))


def test_uncertainty_waits_its_turn(viewer, upscaled, image):
    result = upscaled(viewer.add_image(image, name="cells"))
    job = iter_uncertainty(
        uncertainty_request(result, source_of(result, viewer.layers))
    )
    with computing("Fine-tuning"), pytest.raises(DeviceError, match="Fine-tuning is"):
        drain(job)


def test_uncertainty_of_a_constant_image_has_no_share(viewer, upscaled):
    lr = viewer.add_image(np.full((12, 14), 7.0, np.float32), name="flat")
    result = upscaled(lr)
    origin = source_of(result, viewer.layers)
    found = drain(iter_uncertainty(uncertainty_request(result, origin)))
    assert "%" not in uncertainty_text(result, found)


def test_uncertainty_needs_the_model(viewer, upscaled, model_file, tmp_path, image):
    result = upscaled(viewer.add_image(image, name="cells"))
    origin = source_of(result, viewer.layers)
    (tmp_path / "tiny_x2.safetensors").unlink()
    with pytest.raises(
        ModelError, match="tiny_x2.safetensors that made .* is not here"
    ):
        uncertainty_request(result, origin)
    theirs = Image(result.data, name="theirs", **result_settings(result, 1))
    with pytest.raises(ImageError, match="Nothing tells which model made theirs"):
        uncertainty_request(theirs, source_of(theirs, viewer.layers))


def test_another_model_of_the_same_name_is_not_taken(viewer, upscaled, image):
    result = upscaled(viewer.add_image(image, name="cells"), model="edsr-light-x2")
    saved = Image(result.data, name="saved", **result_settings(result, 1))
    about = dict(result.metadata[METADATA_KEY])
    saved.metadata[METADATA_KEY] = about
    origin = source_of(saved, viewer.layers)
    assert uncertainty_request(saved, origin).model == "edsr-light-x2"
    about["model"] = {**about["model"], "sha256": "0" * 64}
    with pytest.raises(
        ModelError, match="edsr_light_x2.safetensors that made saved is not here"
    ):
        uncertainty_request(saved, origin)


def test_jobs_run_in_a_worker_on_what_the_dock_made(
    make_widget, viewer, run, qtbot, image
):
    viewer.add_image(image, name="cells")
    run(make_widget())
    (result,) = viewer.layers[1:]
    origin = source_of(result, viewer.layers)
    for request, generator in (
        (consistency_request(result, origin), iter_layer_consistency),
        (uncertainty_request(result, origin), iter_uncertainty),
    ):
        job = Job(generator(request), "")
        viewer.layers.selection = {result}
        with qtbot.waitSignal(job.returned, timeout=WAIT) as returned:
            job.start()
        found = returned.args[0]
        if generator is iter_uncertainty:
            layer = add_result_uncertainty(viewer, result, origin, found)
        else:
            layer = add_consistency(viewer, request, found)
        assert layer is viewer.layers[-1]
        assert viewer.layers.selection == {result}
        np.testing.assert_array_equal(layer.data, found.map)
