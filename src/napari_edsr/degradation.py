"""The low-resolution side of training: what a camera or a file format does to an image."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from napari_edsr.errors import TrainingError
from napari_edsr.resampling import imresize
from napari_edsr.train_config import Degradation


def shrink(
    hr: NDArray,
    scale: int,
    degradation: Degradation,
    *,
    blur: float | tuple[float, float] | None = None,
) -> NDArray:
    """Blur an image and make it `scale` times smaller, without noise.

    Parameters
    ----------
    hr : ndarray, (H, W) or (H, W, C)
        Integers or floats; H and W are multiples of `scale`.
    scale : int
    degradation : Degradation
    blur : float or (float, float), optional
        Standard deviation in pixels of `hr`, if not that of `degradation`; two are along
        the rows' axis (Y) and the columns' (X).

    Returns
    -------
    ndarray
        (H / scale, W / scale) or with C, of the same dtype; integers are rounded.

    Raises
    ------
    TrainingError
        If the sides are no multiples of `scale`.
    """
    height, width = hr.shape[:2]
    if height % scale or width % scale:
        raise TrainingError(
            f"An image of {width} x {height} is no multiple of {scale}; crop it first."
        )
    sigma = degradation.blur_in_pixels(None, "") if blur is None else blur
    blurred = _blurred(hr, np.broadcast_to(sigma, 2)) if np.any(sigma) else hr
    if degradation.shrink == "bicubic":
        return imresize(blurred, [height // scale, width // scale])
    blocks = blurred.reshape(height // scale, scale, width // scale, scale, -1)
    means = blocks.mean((1, 3)).reshape(height // scale, width // scale, *hr.shape[2:])
    return _cast(means, hr.dtype)


def _blurred(image: NDArray, sigma: NDArray) -> NDArray:
    from scipy import ndimage

    sigmas = (*sigma, *(0,) * (image.ndim - 2))
    wide = image.astype(np.float64)
    return _cast(ndimage.gaussian_filter(wide, sigmas, mode="mirror"), image.dtype)


def _cast(values: NDArray, dtype: np.dtype) -> NDArray:
    return (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)


def corrupt(
    images: Tensor, degradation: Degradation, generator: torch.Generator
) -> Tensor:
    """Add the noise and the compression of a degradation to small images.

    Parameters
    ----------
    images : Tensor, (N, C, H, W)
        float32, 0 black and 1 white.
    degradation : Degradation
    generator : torch.Generator
        On the device of `images`.

    Returns
    -------
    Tensor
        Of the same shape; `images` itself where nothing is to be added.
    """
    photons, read_noise = degradation.photons, degradation.read_noise
    if photons:
        images = torch.poisson(images.clamp_min(0) * photons, generator) / photons
    if read_noise:
        noise = torch.empty_like(images).normal_(generator=generator)
        images = images + noise * (read_noise / (photons or 1.0))
    return _compressed(images, degradation.jpeg, generator)


def _compressed(
    images: Tensor, qualities: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    if not qualities:
        return images
    low, high = qualities
    drawn = torch.randint(
        low, high + 1, (len(images),), generator=generator, device=images.device
    )
    bytes_ = (images.clamp(0, 1) * 255).round().byte().cpu().numpy()
    pairs = zip(bytes_, drawn.tolist(), strict=True)
    decoded = np.stack([_through_jpeg(image, quality) for image, quality in pairs])
    return torch.from_numpy(decoded).to(images.device) / 255


def _through_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.float32]:
    """A (C, H, W) image of 1 or 3 colours as a JPEG file would give it back."""
    if image.shape[0] not in (1, 3):
        raise TrainingError("JPEG can only be simulated on grey and RGB images.")
    stream = io.BytesIO()
    pixels = image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1)
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as decoded:
        back = np.asarray(decoded, dtype=np.float32)
    return back[np.newaxis] if back.ndim == 2 else np.moveaxis(back, -1, 0)
