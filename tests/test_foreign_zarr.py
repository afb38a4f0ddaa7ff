"""OME-Zarr of other programs: what the format allows, and what is damaged."""

import numpy as np
import pytest
import zarr

from napari_edsr.errors import FileError
from napari_edsr.stores.read import read_zarr

AXES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


@pytest.fixture
def store(tmp_path):
    """Writes an OME-Zarr 0.4 of axes given as name, type, unit and size."""

    def write(data, axes, *, name="a.zarr", **more):
        group = zarr.open_group(tmp_path / name, mode="w", zarr_format=2)
        group.create_array("0", data=data)
        scale = {"type": "scale", "scale": [size for *_, size in axes]}
        group.attrs["multiscales"] = [
            {
                "axes": [
                    {"name": name, "type": kind} | ({"unit": unit} if unit else {})
                    for name, kind, unit, _ in axes
                ],
                "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
            }
        ]
        group.attrs.update(more)
        return tmp_path / name

    return write


def plain(names, size=1.0, unit=""):
    return [(name, AXES[name], unit, size) for name in names]


@pytest.mark.parametrize("names", ["xy", "yxz", "zxy", "xyz", "tyxc"])
def test_axes_in_any_order(store, rng, names):
    data = rng.integers(0, 255, [9, 8, 3, 2][: len(names)], dtype=np.uint8)
    sizes = {"y": 0.2, "x": 0.3, "z": 1.5}
    axes = [(name, AXES[name], "micrometer", sizes.get(name, 1.0)) for name in names]
    image = read_zarr(
        store(data, [a if a[0] in "zyx" else (*a[:2], "", 1) for a in axes])
    )

    order = [names.index(axis.lower()) for axis in image.axes]
    assert image.axes.endswith("YX") and set(image.axes.lower()) == set(names)
    np.testing.assert_array_equal(np.asarray(image.data), data.transpose(order))
    known = {axis.upper(): sizes[axis] for axis in names if axis in sizes}
    assert image.pixel_size == pytest.approx(known)


def test_long_names_of_axes_are_told_by_their_type(store, rng):
    data = rng.integers(0, 255, (2, 3, 8, 9), dtype=np.uint8)
    axes = [("time", "time", "", 1), ("channel", "channel", "", 1), *plain("yx")]
    channels = [{"label": name} for name in ("DAPI", "GFP", "RFP")]
    image = read_zarr(store(data, axes, omero={"channels": channels}))
    assert (image.axes, image.channel_names) == ("TCYX", ("DAPI", "GFP", "RFP"))


def test_no_time_and_no_step_is_made_up(store):
    axes = [*plain("tz"), *plain("yx", 0.5, "micrometer")]
    image = read_zarr(store(np.zeros((2, 3, 8, 9), "u1"), axes))
    assert image.pixel_size == {"Y": 0.5, "X": 0.5}


@pytest.mark.parametrize("unit", ["um", "micron", "micrometer"])
def test_units_in_other_spellings(store, unit):
    image = read_zarr(store(np.zeros((8, 9), "u1"), plain("yx", 0.5, unit)))
    assert (image.unit, image.pixel_size) == ("µm", {"Y": 0.5, "X": 0.5})


@pytest.mark.parametrize(
    "omero",
    [
        None,
        {"channels": None},
        {"channels": [{"window": None, "color": None, "label": None}]},
    ],
)
def test_channels_that_say_nothing(store, omero):
    image = read_zarr(store(np.ones((1, 8, 9), "u1"), plain("cyx"), omero=omero))
    assert np.asarray(image.data).max() == 1
    assert image.contrast_limits is None
    assert "None" not in (*image.channel_names, *image.metadata["colors"])


def test_an_image_of_a_converter_has_no_suffix(store, run, tiny, tmp_path, rng):
    data = rng.integers(0, 255, (8, 9), dtype=np.uint8)
    zarr.open_group(tmp_path / "s.zarr", mode="w").attrs["bioformats2raw.layout"] = 3
    source = store(data, plain("yx"), name="s.zarr/0")
    code, _, _ = run("upscale", source, tmp_path / "o.ome.zarr", "--model", tiny)
    assert code == 0
    assert read_zarr(tmp_path / "o.ome.zarr").data.shape == (16, 18)


@pytest.mark.parametrize("given", ["in", "in/**", "in/*"])
def test_what_lies_inside_an_image_is_no_image_of_its_own(
    store, run, tiny, tmp_path, given
):
    """Its labels are groups as well; they have no suffix, as it may have none."""
    (tmp_path / "in").mkdir()
    data = np.zeros((8, 9), "u1")
    for name in ("in/a", "in/b.zarr", "in/v1.5"):
        store(data, plain("yx"), name=name)
        store(data, plain("yx"), name=f"{name}/labels/cells")
    pattern = ("--pattern", "**/*") if given == "in" else ()
    target = tmp_path / "out"
    code, _, _ = run("upscale", tmp_path / given, target, "--model", tiny, *pattern)
    assert code == 0
    made = sorted(path.name for path in target.iterdir())
    assert made == ["a.ome.zarr", "b.zarr", "v1.5.ome.zarr"]


@pytest.mark.parametrize(
    ("attributes", "example"),
    [
        ({"bioformats2raw.layout": 3}, "0"),
        ({"plate": {"wells": []}}, "A/1/0"),
        ({"ome": {"plate": {"wells": []}}}, "A/1/0"),
    ],
)
def test_what_holds_several_images_names_one(tmp_path, attributes, example):
    path = tmp_path / "a.zarr"
    zarr.open_group(path, mode="w").attrs.update(attributes)
    with pytest.raises(FileError, match="several images") as told:
        read_zarr(path)
    assert f"such as {path / example}." in str(told.value)


@pytest.mark.fault(
    "Images: an OME-Zarr of which a part is damaged",
    "An error says that a part cannot be read, and to copy the file again.",
)
def test_a_damaged_part(store, run, tiny, tmp_path, rng):
    source = store(rng.integers(0, 255, (8, 9), dtype=np.uint8), plain("yx"))
    (source / "0" / "0.0").write_bytes(b"\x28\xb5\x2f\xfd nothing")
    code, _, error = run("upscale", source, tmp_path / "o.tif", "--model", tiny)
    assert code == 1
    assert "A part of the image cannot be read" in error
    assert "copy or export it again" in error
    assert not (tmp_path / "o.tif").exists()
