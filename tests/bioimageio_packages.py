"""Packages for BioImage.IO in tests: pictures, our results, and the files in them."""

from __future__ import annotations

import zipfile

import numpy as np
import torch
import yaml

from napari_edsr import samples, upscale

LEVELS = 1e-3  # of 255


def picture(n_colors, height, width):
    """(1, C, H, W) uint8."""
    grey = samples.microscopy_lr()[..., None]
    image = samples.photo_lr() if n_colors == 3 else grey
    return image[30 : 30 + height, 50 : 50 + width].transpose(2, 0, 1)[None]


def ours(model, image, scale):
    """What `upscale` makes of (1, C, H, W) intensities of 0-255, float32."""
    planes = np.moveaxis(image[0], 0, -1).astype(np.float32)
    axes = "YXS" if planes.shape[-1] == 3 else "YX"
    planes = planes if axes == "YXS" else planes[..., 0]
    options = {"device": "cpu", "precision": "fp32", "normalize": (0.0, 255.0)}
    result = upscale(planes, model, scale=scale, axes=axes, **options)
    return np.moveaxis(np.atleast_3d(result), -1, 0)[None]


def member(path, name):
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def repacked(path, target, change=None, compression=zipfile.ZIP_STORED):
    """Another package of the same files, the description perhaps changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = yaml.safe_load(members.pop("rdf.yaml"))
    if change:
        change(content)
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("bioimageio.yaml", yaml.safe_dump(content))
    return target


def assert_same(model, other):
    expected = other.state_dict()
    assert model.config == other.config
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name])
