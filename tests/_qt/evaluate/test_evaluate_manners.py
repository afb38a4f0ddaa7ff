"""What measuring costs, and how jobs and changes get along with one another."""

from __future__ import annotations

import numpy as np

WAIT = 60_000


class OnDisk:
    """An array that notes the shape of all that is read of it."""

    def __init__(self, pixels):
        self.pixels, self.read = pixels, []
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim

    def __getitem__(self, key):
        part = self.pixels[key]
        self.read.append(part.shape)
        return part

    def __array__(self, dtype=None, copy=None):
        self.read.append(self.shape)
        return np.asarray(self.pixels, dtype)


def test_stacks_on_disk_are_read_plane_by_plane(dock, viewer, press, truth, noisy):
    stacks = [OnDisk(np.stack([plane] * 5)) for plane in (truth, noisy())]
    for stack, name in zip(stacks, ("truth", "mine"), strict=True):
        viewer.add_image(stack, name=name, contrast_limits=(0, 255))
    for stack in stacks:
        stack.read.clear()
    press(dock)
    viewer.layers["mine"].name = "other"
    for stack in stacks:
        assert [np.prod(shape) for shape in stack.read] == [truth.size] * 5
