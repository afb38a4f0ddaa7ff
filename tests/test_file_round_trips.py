"""Any image into any file that can hold it, and back: the same image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_edsr.files import ImageFile, read_image, write_image

#: Of the suffixes; PNG holds one plane.
TYPES = {
    ".tif": ("uint8", "int16", "uint16", "uint32", "float32", "float64"),
    ".ome.tif": ("uint8", "int8", "uint16", "uint32", "float32", "float64"),
    ".png": ("uint8", "uint16"),
}
LEADING = ("", "Z", "T", "C", "TZ", "ZC", "TZC")


@st.composite
def images(draw):
    """A suffix, and an image for it; axes of length 1 are no promise of a format."""
    suffix = draw(st.sampled_from(sorted(TYPES)))
    samples = draw(st.sampled_from((1, 3, 4)))
    leading = "" if suffix == ".png" or samples > 1 else draw(st.sampled_from(LEADING))
    axes = f"{leading}YX" + "S" * (samples > 1)
    lengths = [draw(st.integers(2, 4)) for _ in leading]
    shape = (*lengths, *(draw(st.integers(5, 9)) for _ in "YX"), samples)
    types = TYPES[suffix] if samples == 1 else ("uint8", "uint16")
    data = draw(arrays(draw(st.sampled_from(types)), shape[: len(axes)]))
    sizes = st.floats(0.01, 50.0)
    size = {axis: draw(sizes) for axis in axes if axis in "TZYX"}
    provenance = draw(st.none() | st.dictionaries(st.text(), st.integers()))
    return suffix, ImageFile(data, axes, size, "µm", provenance=provenance)


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(images())
def test_an_image_comes_back_as_it_was_written(tmp_path, drawn):
    suffix, image = drawn
    read = read_image(write_image(tmp_path / f"x{suffix}", image))
    assert (read.axes, read.data.dtype) == (image.axes, image.data.dtype)
    np.testing.assert_array_equal(read.data, image.data)
    assert read.provenance == image.provenance
    metres = {"µm": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0, "inch": 0.0254}[read.unit]
    for axis, length in read.pixel_size.items():
        unit = 1.0 if axis == "T" else metres / 1e-6
        assert length * unit == pytest.approx(image.pixel_size[axis], rel=1e-3)
    assert {"Y", "X"} <= set(read.pixel_size)
