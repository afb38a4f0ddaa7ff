"""The images in a package: what a test compares, and what a reader sees."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_edsr import samples

#: (C, H, W) intensities to those of the result, both float32 with 255 for white.
OnLevels = Callable[[NDArray[np.float32]], NDArray[np.float32]]
#: Height and width of the sample, and of its part that is tested. They differ, so that
#: exchanged axes fail.
Size = tuple[int, int]
_SAMPLE, _TEST = (128, 160), (64, 80)
_COVER = 256  # pixels of its height


def pictures(
    network: OnLevels, n_colors: int, scale: int, least: int
) -> Mapping[str, bytes]:
    """Files of a package by name: test tensors, samples and a cover.

    Parameters
    ----------
    network : callable
    n_colors, scale : int
        Of that network.
    least : int
        Pixels of the shortest side of an image.
    """
    image = _image(n_colors, _at_least(_SAMPLE, least))
    result = network(image)
    height, width = _at_least(_TEST, least)
    part = image[:, :height, :width]
    return {
        "test_input.npy": _npy(part[None]),
        "test_output.npy": _npy(network(part)[None]),
        "sample_input.tif": _tif(image),
        "sample_output.tif": _tif(result),
        "cover.png": _cover(image, result, scale),
    }


def _at_least(size: Size, least: int) -> Size:
    more = max(0, least - size[0])
    return size[0] + more, size[1] + more


def _image(n_colors: int, size: Size) -> NDArray[np.float32]:
    """(C, H, W), 0-255: a photograph, or nuclei for all that is not of three colours."""
    if n_colors == 3:
        planes = samples.photo_lr().transpose(2, 0, 1)
    else:  # channels that differ, so that exchanged ones fail
        grey = samples.microscopy_lr()
        planes = np.stack([np.roll(grey, 8 * k, axis=0) for k in range(n_colors)])
    for axis, length in enumerate(size, start=1):  # from the middle, mirrored if short
        missing = max(0, length - planes.shape[axis])
        margins = [(0, missing * (k == axis)) for k in range(3)]
        planes = np.pad(planes, margins, mode="symmetric")
        start = (planes.shape[axis] - length) // 2
        planes = planes.take(range(start, start + length), axis)
    return planes.astype(np.float32)


def _levels(planes: NDArray[np.float32]) -> NDArray[np.uint8]:
    return planes.round().clip(0, 255).astype(np.uint8)


def _npy(tensor: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, tensor)
    return stream.getvalue()


def _tif(planes: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, _levels(planes), imagej=True, metadata={"axes": "CYX"})
    return stream.getvalue()


def _cover(
    image: NDArray[np.float32], result: NDArray[np.float32], scale: int
) -> bytes:
    """A square of the image, as it is and upscaled, side by side."""
    side = _COVER // scale
    before = image[:, :side, :side].repeat(scale, axis=1).repeat(scale, axis=2)
    after = result[:, : side * scale, : side * scale]
    both = _levels(np.concatenate([before, after], axis=2))
    shown = both.transpose(1, 2, 0) if len(both) == 3 else both[0]
    stream = io.BytesIO()
    Image.fromarray(shown).save(stream, "PNG", optimize=True)
    return stream.getvalue()
