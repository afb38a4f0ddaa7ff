"""What a press of Upscale or Preview puts into the viewer."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from napari_edsr import upscale
from napari_edsr._qt.layers import METADATA_KEY

WAIT = 30_000


def engine(widget, data, **options):
    choices = widget.controls.choices()
    return upscale(
        data, choices.model.key, scale=choices.scale, **{**choices.engine, **options}
    )


@pytest.mark.promise(
    "get a ×2, ×3 or ×4 layer that lies exactly over the original, in the "
    "same data type",
    "The same engine runs from Python",
)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_result_is_an_aligned_layer_of_the_same_type(
    make_widget, viewer, run, image, scale
):
    widget = make_widget(scale)
    source = viewer.add_image(
        image,
        name="cells",
        scale=(0.5, 0.5),
        colormap="green",
        contrast_limits=(9, 999),
    )

    run(widget)

    assert [layer.name for layer in viewer.layers] == [
        "cells",
        f"cells ×{scale} (tiny_x{scale})",
    ]
    result = viewer.layers[-1]
    np.testing.assert_array_equal(result.data, engine(widget, image, axes="YX"))
    assert result.data.dtype == np.uint16
    assert result.colormap.name == "green"
    assert result.contrast_limits == [9, 999]
    centre = (scale - 1) / 2
    np.testing.assert_allclose(
        result.data_to_world((centre, centre)), source.data_to_world((0, 0)), atol=1e-12
    )


@pytest.mark.promise(
    "a ×2, ×3 or ×4 layer that lies exactly over the original, in the same data type"
)
@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((12, 14, 3), np.uint8, {"rgb": True}),
        ((12, 14, 4), np.uint8, {"rgb": True}),
        ((3, 12, 14), np.float32, {}),
        ((2, 2, 9, 11), np.uint16, {"axis_labels": ("c", "z", "y", "x")}),
        ((9, 11), bool, {}),
        ((1, 1), np.uint8, {}),
    ],
)
def test_every_kind_of_image(widget, viewer, run, rng, shape, dtype, options):
    data = rng.integers(0, 2, shape) if dtype is bool else rng.random(shape) * 200
    data = data.astype(dtype)
    layer = viewer.add_image(data, name="a", **options)

    run(widget)

    result = viewer.layers[-1]
    axes = result.metadata[METADATA_KEY]["axes"]
    np.testing.assert_array_equal(result.data, engine(widget, data, axes=axes))
    assert (result.rgb, result.data.dtype) == (layer.rgb, data.dtype)


def test_multiscale_layer_is_upscaled_at_full_resolution(widget, viewer, run, image):
    viewer.add_image([image, image[::2, ::2]], multiscale=True)

    run(widget)

    np.testing.assert_array_equal(viewer.layers[-1].data, engine(widget, image))


@pytest.mark.promise("the result carries a record of how it was made")
def test_provenance_is_in_the_metadata(widget, viewer, run, image):
    viewer.add_image(image, name="cells", metadata={"sample": "A1"})

    run(widget)

    metadata = viewer.layers[-1].metadata
    about = metadata[METADATA_KEY]
    assert metadata["sample"] == "A1"
    assert (about["scale"], about["tile"], about["partial"]) == (2, 8, False)
    assert (about["device"], about["precision"]) == ("cpu", "fp32")
    assert about["source"] == "cells"
    assert about["model"]["sha256"]


@pytest.mark.promise(
    "upscales what you see; its pixels are those of the full run",
    "the whole layer, the view",
)
@pytest.mark.parametrize("button", ["upscale", "preview"])
def test_part_is_pixel_equal_to_the_full_run(widget, viewer, run, image, button):
    layer = viewer.add_image(image, scale=(0.5, 0.5), rotate=30)
    layer.corner_pixels = np.array([[3, 5], [13, 17]])
    whole = engine(widget, image)
    widget.controls.region.part.button("view").click()

    run(widget, getattr(widget.panel, button))

    result = viewer.layers[-1]
    np.testing.assert_array_equal(result.data, whole[6:28, 10:36])
    np.testing.assert_allclose(
        result.data_to_world((0.5, 0.5)), layer.data_to_world((3, 5))
    )


@pytest.mark.promise("the whole layer, the view, or a rectangle of a Shapes layer")
def test_rectangle_of_a_shapes_layer(widget, viewer, run, image):
    layer = viewer.add_image(image)
    whole = engine(widget, image)
    shapes = viewer.add_shapes()
    shapes.add_rectangles(np.array([[1.6, 2.7], [1.6, 9.4], [7.4, 9.4], [7.4, 2.7]]))
    viewer.layers.selection = {layer}
    widget.controls.region.part.button("rectangle").click()

    run(widget)

    np.testing.assert_array_equal(viewer.layers[-1].data, whole[4:16, 6:20])


def test_current_plane_keeps_its_place_and_the_range_of_the_stack(
    widget, viewer, run, rng
):
    stack = rng.integers(0, 4000, (3, 10, 12), np.uint16)
    layer = viewer.add_image(stack, scale=(2, 1, 1))
    whole = engine(widget, stack, axes="ZYX")
    viewer.dims.set_current_step(0, 1)
    widget.controls.region.all_planes.click()

    run(widget)

    result = viewer.layers[-1]
    np.testing.assert_array_equal(result.data, whole[1:2])
    np.testing.assert_allclose(
        result.data_to_world((0, 0.5, 0.5)), layer.data_to_world((1, 0, 0)), atol=1e-12
    )


def test_preview_is_of_the_current_plane_and_is_replaced(widget, viewer, run, rng):
    viewer.add_image(rng.random((3, 10, 12)).astype(np.float32), name="a")
    run(widget, widget.panel.preview)
    first = viewer.layers[-1]
    assert first.data.shape == (1, 20, 24)
    assert first.name.startswith("Preview of a ×2")

    run(widget, widget.panel.preview)

    assert first not in viewer.layers
    assert len(viewer.layers) == 2
    assert widget.panel.save.isHidden()


def test_upscale_removes_the_preview(widget, viewer, run, image):
    viewer.add_image(image, name="a")
    run(widget, widget.panel.preview)

    run(widget)

    assert [layer.name for layer in viewer.layers] == ["a", "a ×2 (tiny_x2)"]


def test_a_preview_is_no_source(widget, viewer, run, image):
    source = viewer.add_image(image)
    run(widget, widget.panel.preview)

    chooser = widget.controls.layer.list
    assert [chooser.itemText(i) for i in range(chooser.count())] == [source.name]
    viewer.layers.selection = {viewer.layers[-1]}
    assert widget.layers() == [source]


def test_source_stays_selected_and_untouched(widget, viewer, run, image):
    before = image.copy()
    source = viewer.add_image(image)
    changes = []
    viewer.layers.selection.events.connect(changes.append)

    run(widget)
    run(widget)

    assert viewer.layers.selection == {source}
    assert changes == []
    np.testing.assert_array_equal(source.data, before)
    assert len({layer.name for layer in viewer.layers}) == 3


def test_result_does_not_become_the_source_where_nothing_is_selected(
    widget, viewer, run, image
):
    source = viewer.add_image(image)
    viewer.layers.selection.clear()

    run(widget)

    assert viewer.layers.selection == set()
    assert widget.layers() == [source]


def test_all_selected_layers_in_the_order_of_the_list(widget, viewer, run, image):
    layers = [viewer.add_image(image + i, name=f"a{i}") for i in range(3)]
    viewer.add_labels(np.zeros((4, 4), int))
    viewer.layers.selection = {layers[2], layers[0]}
    order = []
    widget.session.runner.began.connect(lambda request: order.append(request.source))

    run(widget)

    assert order == ["a0", "a2"]
    np.testing.assert_array_equal(
        viewer.layers[-1].data, engine(widget, layers[2].data)
    )
    np.testing.assert_array_equal(
        viewer.layers[-2].data, engine(widget, layers[0].data)
    )
    assert widget.panel.outcome.text().endswith("2 layers")


def test_uncertainty_is_a_hidden_layer_over_the_result(widget, viewer, run, image):
    viewer.add_image(image, name="a", scale=(3, 3))
    widget.controls.quality.uncertainty.click()
    assert widget.controls.quality.ensemble.isChecked()

    run(widget)

    result, spread = viewer.layers[-2:]
    assert spread.name == "a ×2 (tiny_x2) uncertainty"
    assert not spread.visible
    assert spread.data.dtype == np.float32
    assert spread.data.shape == result.data.shape
    np.testing.assert_array_equal(spread.translate, result.translate)
    np.testing.assert_array_equal(
        result.data, engine(widget, image, self_ensemble=True, uncertainty=False)
    )


@pytest.mark.promise("which values the network sees as black and white")
@pytest.mark.parametrize(
    ("method", "normalize"),
    [
        ("dtype", "dtype"),
        ("percentile", "percentile"),
        ("contrast-limits", (100.0, 3000.0)),
        ("range", (500.0, 900.0)),
    ],
)
def test_intensities_reach_the_engine(widget, viewer, run, image, method, normalize):
    viewer.add_image(image, contrast_limits=(100, 3000))
    widget.controls.intensities.set_value(method, 500, 900)

    run(widget)

    result = viewer.layers[-1]
    np.testing.assert_array_equal(
        result.data, engine(widget, image, normalize=normalize)
    )


def test_lazy_data_is_read_in_the_worker(widget, viewer, run, image):
    import threading

    class Lazy:
        shape, dtype, ndim = image.shape, image.dtype, 2
        readers: list = []

        def __getitem__(self, key):
            return image[key]

        def __array__(self, dtype=None, copy=None):
            self.readers.append(threading.current_thread())
            return image

    lazy = Lazy()
    viewer.add_image(lazy, contrast_limits=(0, 1000))
    lazy.readers.clear()

    run(widget)

    assert threading.main_thread() not in lazy.readers
    np.testing.assert_array_equal(viewer.layers[-1].data, engine(widget, image))


def test_layers_come_in_the_engine_order_of_events(widget, viewer, qtbot, image):
    viewer.add_image(image)
    seen = []
    runner = widget.session.runner
    for name in ("began", "placeholder", "planned", "tile_done", "finished", "idle"):
        getattr(runner, name).connect(lambda *_, n=name: seen.append(n))

    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.panel.upscale.click()

    assert seen[:3] == ["began", "placeholder", "planned"]
    assert seen[3:-2] == ["tile_done"] * 9
    assert seen[-2:] == ["finished", "idle"]


def test_compare_hands_over_the_result_and_its_source(widget, run, viewer, image):
    from napari_edsr._qt.news import layer_news

    viewer.add_image(image, name="other")
    source = viewer.add_image(image, name="cells")
    handed = []
    layer_news().to_compare.connect(handed.append)
    offered = [not widget.panel.compare.isHidden()]
    run(widget)
    offered.append(not widget.panel.compare.isHidden())
    widget.panel.compare.click()
    result = viewer.layers[-1]
    viewer.layers.remove(source)
    widget.panel.compare.click()
    layer_news().to_compare.disconnect(handed.append)

    assert offered == [False, True]
    assert handed == [[source, result]]
    assert widget.panel.outcome.text().startswith("The layer it was made from is gone")


def test_neither_a_deleted_result_nor_its_source_stays_in_memory(
    widget, viewer, run, rng, qtbot
):
    def pixels():
        return rng.integers(0, 255, (20, 24), np.uint8)

    layer = viewer.add_image(pixels(), name="cells")
    other = viewer.add_image(pixels(), name="other")
    viewer.layers.selection = {layer}
    run(widget)
    result = viewer.layers[-1]
    gone = [weakref.ref(result), weakref.ref(layer.data)]
    viewer.layers.selection = {other}
    for each in (layer, result):
        viewer.layers.remove(each)
    del layer, result, each

    def are_gone():
        gc.collect()
        return all(reference() is None for reference in gone)

    qtbot.waitUntil(are_gone, timeout=WAIT)
