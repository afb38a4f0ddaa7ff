"""A model beside bicubic interpolation on the images of a benchmark set."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_edsr import files
from napari_edsr.errors import ImageError
from napari_edsr.evaluation import mean_score
from napari_edsr.events import ImageDone, drain, relay
from napari_edsr.files.colour import as_displayed
from napari_edsr.metrics import Score, score
from napari_edsr.resampling import imresize

if TYPE_CHECKING:
    from napari_edsr.model import EDSR, MDSR


@dataclass(frozen=True)
class Published:
    """PSNR in dB and SSIM of mmagic's EDSR of 16 blocks and 64 features, by its protocol.

    `modulo` is what high-resolution images were cropped to multiples of, if at all.
    """

    dataset: str
    psnr: float
    ssim: float
    modulo: int | None = 12


_NAMED = 3  # a folder and those around it in which the name of a set counts
PUBLISHED = {
    ("set5", 2): Published("Set5", 35.7592, 0.9372),
    ("set5", 3): Published("Set5", 32.3301, 0.8912),
    ("set5", 4): Published("Set5", 30.2223, 0.8500),
    ("set14", 2): Published("Set14", 31.4290, 0.8874),
    ("set14", 3): Published("Set14", 28.4125, 0.8022),
    ("set14", 4): Published("Set14", 26.7870, 0.7366),
    ("div2k", 2): Published("DIV2K", 34.5896, 0.9352, None),
    ("div2k", 3): Published("DIV2K", 30.9154, 0.8711, None),
    ("div2k", 4): Published("DIV2K", 28.9675, 0.8172, None),
}


@dataclass(frozen=True)
class Row:
    """One image, or the mean of all, under the name of the image."""

    name: str
    model: Score
    bicubic: Score


def iter_benchmark(
    model: EDSR | MDSR,
    hr: Sequence[Path],
    lr: Sequence[Path] = (),
    *,
    scale: int,
    protocol: str = "mmagic",
    modulo: int | None = None,
    device: str = "auto",
) -> Generator[ImageDone, None, list[Row]]:
    """Measure a model on high-resolution images; closing the generator cancels.

    Parameters
    ----------
    model : EDSR or MDSR
    hr : sequence of Path
        8-bit images; grey ones count as three equal colours, alpha is left out.
    lr : sequence of Path, optional
        As many low-resolution ones, in the same order. Without them they are made as
        MATLAB does, from `hr` cropped to multiples of `modulo`.
    scale : int
    protocol : {"mmagic", "edsr-y", "edsr-div2k", "microscopy"}
        See `napari_edsr.score`.
    modulo : int, optional
        `scale` by default; the published tables of Set5 and Set14 take 12.
    device : str
        As for `napari_edsr.upscale`; the precision is fp32.

    Yields
    ------
    ImageDone
        Also while an image is at work.

    Returns
    -------
    list of Row
        In the order of `hr`.

    Raises
    ------
    ImageError
        If an image is not 8-bit, too small, or a low-resolution one does not fit, or
        there are no multiples of `modulo`.
    FileError, ModelError, DeviceError
        As reading and upscaling do.
    """
    from napari_edsr.inference import iter_upscale

    modulo = scale if modulo is None else modulo
    if modulo < 1:
        raise ImageError(f"HR is cropped to multiples of 1 or more, not of {modulo}.")
    rows = []
    for number, path in enumerate(hr):
        small, truth = _pair(path, lr[number] if lr else None, scale, modulo)
        job = iter_upscale(
            small, model, scale=scale, axes="YXS", device=device, precision="fp32"
        )
        result = yield from relay(job, partial(ImageDone.at_work, number, len(hr)))
        bicubic = imresize(small, [truth.shape[0], truth.shape[1]])
        measure = partial(_score, path.name, truth, scale=scale, protocol=protocol)
        rows.append(Row(path.stem, measure(result.image), measure(bicubic)))
        yield ImageDone(number + 1, len(hr))
    return rows


def _score(name: str, truth: NDArray, image: NDArray, **options: Any) -> Score:
    try:
        return score(image, truth, **options)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error


def mean_of(rows: Sequence[Row]) -> Row:
    """Mean of the model's scores, and of bicubic's."""
    model = mean_score([row.model for row in rows])
    return Row("mean", model, mean_score([row.bicubic for row in rows]))


def set5_scores(model: EDSR | MDSR, folder: Path, scale: int) -> dict[str, float]:
    """PSNR on Set5 as the README's table and the model cards have it, in dB.

    Parameters
    ----------
    model : EDSR or MDSR
    folder : Path
        Holds ``HR`` and, made from it, ``LRx2``, ``LRx3`` and ``LRx4``.
    scale : int

    Returns
    -------
    dict of str to float
        Of the model and of bicubic, in RGB (protocol ``mmagic``) and Y (``edsr-y``).
    """
    highs, lows = (files.images_in(folder / name) for name in ("HR", f"LRx{scale}"))
    scores: dict[str, float] = {}
    for colour, protocol in (("RGB", "mmagic"), ("Y", "edsr-y")):
        job = iter_benchmark(model, highs, lows, scale=scale, protocol=protocol)
        mean, name = mean_of(drain(job)), f"Set5 PSNR {colour}"
        scores |= {name: mean.model.psnr, f"{name}, bicubic": mean.bicubic.psnr}
    return scores


def published(folder: Path, scale: int) -> Published | None:
    """Figures of the paper's baseline network on the set that a folder is named after.

    That is the folder itself or one it lies in, such as ``Set5/HR``; ``DIV2K`` is
    measured on its part ``valid``.
    """
    for part in reversed(folder.absolute().parts[-_NAMED:]):
        name = re.sub(r"[^a-z0-9]", "", part.lower())
        if "train" in name:
            return None
        for (known, factor), figures in PUBLISHED.items():
            if factor == scale and re.fullmatch(f"{known}(valid)?(hr)?", name):
                return figures
    return None


def _pair(
    hr: Path, lr: Path | None, scale: int, modulo: int
) -> tuple[NDArray, NDArray]:
    """Low- and high-resolution RGB, the latter exactly `scale` times as large."""
    truth = _rgb(hr)
    if lr is not None:
        small = _rgb(lr)
        height, width = (side * scale for side in small.shape[:2])
        if not _differ_by_less(truth.shape, (height, width), scale):
            raise ImageError(
                f"{lr.name} is {small.shape[1]} x {small.shape[0]}, which does not belong "
                f"to {hr.name} of {truth.shape[1]} x {truth.shape[0]} at x{scale}."
            )
        return small, truth[:height, :width]
    step = math.lcm(modulo, scale)
    height, width = (side // step * step for side in truth.shape[:2])
    if not (height and width):
        raise ImageError(f"{hr.name} is smaller than {step} x {step} pixels.")
    truth = truth[:height, :width]
    return imresize(truth, [height // scale, width // scale]), truth


def _differ_by_less(shape: Sequence[int], wanted: tuple[int, int], scale: int) -> bool:
    return all(0 <= n - w < scale for n, w in zip(shape[:2], wanted, strict=True))


def _rgb(path: Path) -> NDArray[np.uint8]:
    image = as_displayed(files.read_image(path))
    if image.data.dtype != np.uint8 or image.axes not in ("YX", "YXS"):
        raise ImageError(
            f"{path.name} is {image.data.dtype} with axes {image.axes}; benchmarks are "
            "of 8-bit photographs."
        )
    if image.axes == "YX":
        return np.stack([image.data] * 3, axis=-1)
    colours = image.data[..., : image.data.shape[-1] - (image.data.shape[-1] in (2, 4))]
    return colours if colours.shape[-1] == 3 else np.repeat(colours, 3, axis=-1)
