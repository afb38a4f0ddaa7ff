"""`imresize` against MATLAB's files, and its behaviour on any shape and dtype."""

import numpy as np
import pytest

from napari_edsr.errors import ImageError
from napari_edsr.resampling import imresize


@pytest.mark.promise(
    "MATLAB's bicubic", "it makes the low-resolution images itself, as MATLAB does"
)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shrinking_reproduces_matlab_bit_for_bit(scale, set5):
    for name, (lr, hr) in set5(scale).items():
        shrunk = imresize(hr, 1 / scale)

        assert shrunk.dtype == np.uint8
        np.testing.assert_array_equal(shrunk, lr, err_msg=name)


def test_values_worked_out_by_hand():
    """A ramp stays one inside; at the edge the cubic sees the mirrored pixels."""
    near, next_, far, last = 0.8671875, 0.2265625, -0.0703125, -0.0234375

    up = imresize(np.arange(1.0, 5.0)[None], (1, 8))
    down = imresize(np.arange(1.0, 17.0)[None], (1, 8))

    assert up[0, 3:5] == pytest.approx([2.25, 2.75])
    assert up[0, 0] == pytest.approx(1 * (near + next_) + 2 * (far + last))
    assert down[0, 3:5] == pytest.approx([7.5, 9.5])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("factor", [0.25, 1 / 3, 0.5, 1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2), (13, 12), (6, 7, 3)])
def test_constant_images_stay_constant(shape, factor, dtype):
    resized = imresize(np.full(shape, 77, dtype), factor)

    rows, columns = (int(np.ceil(size * factor - 1e-9)) for size in shape[:2])
    assert resized.shape == (rows, columns, *shape[2:])
    assert resized.dtype == dtype
    np.testing.assert_allclose(resized, 77, rtol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 1 / 3, 2, 3])
def test_shrinking_and_enlarging_keep_the_centre_of_the_image(factor):
    ramp = np.tile(np.arange(60.0), (60, 1))

    resized = imresize(ramp, factor)

    np.testing.assert_allclose(resized + resized[:, ::-1], 59, atol=1e-9)


def test_factor_one_gives_an_equal_copy():
    image = np.random.default_rng(0).integers(0, 256, (9, 8), dtype=np.uint8)

    same = imresize(image, 1)

    np.testing.assert_array_equal(same, image)
    assert not np.shares_memory(same, image)


def test_leading_axes_are_resized_plane_by_plane():
    stack = np.random.default_rng(1).integers(0, 65536, (2, 3, 10, 12), dtype=np.uint16)

    resized = imresize(stack, 0.5, axes=(-2, -1))

    assert resized.shape == (2, 3, 5, 6)
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(resized[index], imresize(stack[index], 0.5))


def test_channels_do_not_mix():
    image = np.random.default_rng(2).random((8, 9, 4)).astype(np.float32)

    resized = imresize(image, 3)

    for channel in range(4):
        np.testing.assert_array_equal(
            resized[..., channel], imresize(image[..., channel], 3)
        )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32"])
def test_overshoot_is_clipped_not_wrapped(dtype):
    limits = np.iinfo(dtype)
    edge = np.full((8, 8), limits.min, dtype)
    edge[:, 4:] = limits.max

    resized = imresize(edge, 2)

    assert (resized[:, :6] < resized[:, 10:].min()).all()
    assert resized.min() == limits.min
    assert resized.max() == limits.max


def test_floats_keep_their_overshoot():
    edge = np.zeros((4, 8))
    edge[:, 4:] = 1

    resized = imresize(edge, 2)

    assert resized.max() > 1
    assert resized.min() < 0


def test_sizes_may_be_given_and_may_differ_by_axis():
    image = np.random.default_rng(3).random((10, 20, 3))

    assert imresize(image, (5, 40)).shape == (5, 40, 3)
    np.testing.assert_array_equal(imresize(image, (5, 10)), imresize(image, 0.5))


@pytest.mark.parametrize(
    ("image", "scale"),
    [
        (np.zeros((0, 4)), 2),
        (np.zeros((4, 4), complex), 2),
        (np.zeros((4, 4), bool), 2),
        (np.zeros((4, 4)), 0),
        (np.zeros((4, 4)), -1),
        (np.zeros((4, 4)), float("nan")),
        (np.zeros((4, 4)), (0, 4)),
    ],
)
def test_what_can_not_be_resized_is_refused(image, scale):
    with pytest.raises(ImageError, match="can"):
        imresize(image, scale)
