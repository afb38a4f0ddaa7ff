"""What every engine is given, and what it ought to give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_edsr import EDSRConfig, load_model, samples
from napari_edsr.model import EDSR, build_model

Pixels = NDArray[np.uint8]
#: The reference is whole up to this side; of larger pictures it is the rows in the middle,
#: where others' seams lie, from edge to edge.
WHOLE = 512
MIDDLE = 128


def picture(side: int) -> Pixels:
    """The sample photograph as (side, side, 3), mirrored at its edges until it suffices."""
    photo = samples.photo_hr()
    rows, columns = (max(0, side - size) for size in photo.shape[:2])
    wide = np.pad(photo, ((0, rows), (0, columns), (0, 0)), "symmetric")
    return np.ascontiguousarray(wide[:side, :side])


def trained(scale: int) -> EDSR:
    """The baseline network, 16 x 64, that computes what the built-in light one does.

    Each of the light network's 32 features is there twice, and the weights by which it
    is read are split between the two at random (Net2Net, Chen et al., ICLR 2016): the
    function and the size of the activations are those of a trained network.
    """
    light = load_model(f"edsr-light-x{scale}")
    range_ = light.config.rgb_range
    wide = build_model(EDSRConfig.baseline(scale, rgb_range=range_)).eval()
    generator = torch.Generator().manual_seed(0)
    state = dict(wide.named_parameters())
    with torch.no_grad():
        for name, values in light.named_parameters():
            state[name].copy_(_widened(values, state[name].shape, generator))
    assert isinstance(wide, EDSR)
    return wide


def _widened(values: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if len(shape) > 1 and values.shape[1] < shape[1]:
        share = 0.25 + 0.5 * torch.rand(values.shape, generator=generator)
        values = torch.cat([values * share, values * (1 - share)], 1)
    return torch.cat([values, values]) if values.shape[0] < shape[0] else values


def planes(image: Pixels, device: str = "cpu") -> Tensor:
    """(H, W, 3) bytes as (1, 3, H, W) floats from 0 to 255."""
    x = torch.from_numpy(image).to(device)
    return x.permute(2, 0, 1)[None].float().contiguous()


def levels(y: Tensor) -> NDArray[np.float32]:
    """(1, 3, H, W) floats as (H, W, 3), not rounded."""
    return y[0].permute(1, 2, 0).float().cpu().numpy()


def rounded(y: Tensor) -> Pixels:
    """(1, 3, H, W) floats as (H, W, 3) bytes."""
    y = y[0].float().clamp(0, 255).round().to(torch.uint8)
    return y.permute(1, 2, 0).contiguous().cpu().numpy()


def checked_rows(side: int) -> slice:
    """The rows of a picture that are compared."""
    if side <= WHOLE:
        return slice(0, side)
    return slice(side // 2 - MIDDLE // 2, side // 2 + MIDDLE // 2)


@torch.inference_mode()
def reference(scale: int, side: int) -> NDArray[np.float64]:
    """Grey levels of the checked rows of the result, untiled and in float64."""
    model, rows = trained(scale).double(), checked_rows(side)
    halo = model.config.receptive_field(scale)
    top, bottom = max(0, rows.start - halo), min(side, rows.stop + halo)
    x = planes(picture(side)[top:bottom]).double() / 255
    y = model(x)[0, :, (rows.start - top) * scale : (rows.stop - top) * scale]
    return y.permute(1, 2, 0).numpy() * 255


def kept_reference(folder: Path, scale: int, side: int) -> NDArray[np.float64]:
    """The reference, computed once and kept in a folder."""
    path = folder / f"reference-x{scale}-{side}.npy"
    if not path.exists():
        np.save(path, reference(scale, side))
    return np.load(path)


def deviation(
    values: NDArray[np.float32], result: Pixels, truth: NDArray[np.float64]
) -> dict[str, float]:
    """How far an engine's result is from the reference.

    Parameters
    ----------
    values : ndarray
        The result in grey levels, not rounded.
    result : ndarray
        The result as bytes.
    truth : ndarray
        Grey levels of as many rows in the middle as were computed.

    Returns
    -------
    dict
        ``error``: the most, in grey levels; ``differing``: the share of bytes that are
        not those of the reference.
    """
    above = (values.shape[0] - truth.shape[0]) // 2
    rows = slice(above, above + truth.shape[0])
    expected = np.clip(np.rint(truth), 0, 255).astype(np.uint8)
    return {
        "error": float(np.abs(values[rows] - truth).max()),
        "differing": float(np.mean(result[rows] != expected)),
    }
