"""The demonstration: bundled images made small, upscaled, and measured on the truth."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_edsr import samples
from napari_edsr.atomic import make_folder, replacing
from napari_edsr.demo.picture import Panel, Row, draw_side_by_side
from napari_edsr.events import BytesDone, PassDone, TileDone, UpscalePlanned
from napari_edsr.metrics import Score, score
from napari_edsr.resampling import imresize
from napari_edsr.zoo import default_model

__all__ = ["PROTOCOL", "SAMPLES", "DemoResult", "Sample", "Shown", "run_demo"]

Pixels = NDArray[np.uint8]

PROTOCOL = "mmagic"
SIDE_BY_SIDE = "side-by-side.png"


@dataclass(frozen=True)
class Sample:
    """A bundled image.

    Attributes
    ----------
    name, title : str
        Start of its file names; what people read.
    axes : str
        Of the arrays.
    hr, lr : callable
        Give the truth, and the input at a scale.
    corner : (int, int)
        Of the detail (y, x) shown magnified, in the truth; multiples of 12.
    """

    name: str
    title: str
    axes: str
    hr: Callable[[], Pixels]
    lr: Callable[[int], Pixels]
    corner: tuple[int, int]


CITY = Sample("city", "Photograph", "YXS", samples.photo_hr, samples.photo_lr, (96, 36))
NUCLEI = Sample(
    "nuclei",
    "Microscopy",
    "YX",
    samples.microscopy_hr,
    samples.microscopy_lr,
    (132, 24),
)
SAMPLES = (CITY, NUCLEI)


@dataclass(frozen=True)
class Shown:
    """What became of one sample.

    Attributes
    ----------
    sample : Sample
        Which it was.
    input, bicubic, result, truth : ndarray of uint8
        The small image, it enlarged in two ways, and what it was made from.
    bicubic_score, result_score : Score
        Against the truth.
    seconds : float
        Time the model took.
    """

    sample: Sample
    input: Pixels
    bicubic: Pixels
    result: Pixels
    truth: Pixels
    bicubic_score: Score
    result_score: Score
    seconds: float


@dataclass(frozen=True)
class DemoResult:
    """What a demonstration made.

    Attributes
    ----------
    scale : int
        Factor of the enlargement.
    model, device : str
        What made it, and on what.
    shown : tuple of Shown
        The photograph and the microscopy image.
    files : tuple of Path
        All pictures, the side-by-side one last.
    """

    scale: int
    model: str
    device: str
    shown: tuple[Shown, ...]
    files: tuple[Path, ...]


def run_demo(
    folder: str | Path = "demo-output", *, scale: int = 2, device: str = "auto"
) -> Generator[UpscalePlanned | PassDone | TileDone | BytesDone, None, DemoResult]:
    """Upscale the samples with the built-in model, measure, and write pictures.

    Parameters
    ----------
    folder : str or Path
        Made if need be; pictures of an earlier run are replaced.
    scale : {2, 3, 4}
        Factor by which the samples are reduced and enlarged again.
    device : str
        As for `napari_edsr.upscale`.

    Yields
    ------
    UpscalePlanned, PassDone, TileDone
        Those of the upscaling, for one image after the other.

    Returns
    -------
    DemoResult
        Also holding the images.

    Raises
    ------
    ModelError, DeviceError
        If there is no model for the scale, or not that device.
    FileError
        If the folder cannot be made or written.
    """
    from napari_edsr.checkpoints import load_model
    from napari_edsr.inference import iter_upscale

    name, used = default_model(scale), device
    folder = make_folder(Path(folder))
    model = load_model(name)
    shown = []
    for sample in SAMPLES:
        small = sample.lr(scale)
        done = yield from iter_upscale(small, model, axes=sample.axes, device=device)
        shown.append(_measured(sample, small, done.image, done.metadata["seconds"]))
        used = done.metadata["device"]
    return DemoResult(scale, name, used, tuple(shown), _write(shown, folder))


def _measured(sample: Sample, small: Pixels, result: Pixels, seconds: float) -> Shown:
    truth = sample.hr()
    scale = len(truth) // len(small)
    bicubic = imresize(small, scale)
    return Shown(
        sample=sample,
        input=small,
        bicubic=bicubic,
        result=result,
        truth=truth,
        bicubic_score=score(bicubic, truth, scale=scale, protocol=PROTOCOL),
        result_score=score(result, truth, scale=scale, protocol=PROTOCOL),
        seconds=seconds,
    )


def _write(shown: list[Shown], folder: Path) -> tuple[Path, ...]:
    pictures = {
        f"{one.sample.name}-{kind}.png": Image.fromarray(getattr(one, kind))
        for one in shown
        for kind in ("input", "bicubic", "result", "truth")
    }
    pictures[SIDE_BY_SIDE] = draw_side_by_side([_row(one) for one in shown])
    for name, picture in pictures.items():
        with replacing(folder / name) as partial:
            picture.save(partial)
    return tuple(folder / name for name in pictures)


def _row(shown: Shown) -> Row:
    gain = shown.result_score.psnr - shown.bicubic_score.psnr
    scale = len(shown.truth) // len(shown.input)
    best = f"EDSR light ({gain:+.1f} dB)"
    details = (
        Panel("Input (nearest)", _size(shown.input), shown.input),
        Panel("Bicubic", _figures(shown.bicubic_score), shown.bicubic),
        Panel(best, _figures(shown.result_score), shown.result, accent=True),
        Panel("Truth", _size(shown.truth), shown.truth),
    )
    whole = Panel("EDSR light, whole image", _size(shown.result), shown.result)
    colour = shown.result_score.colour
    heading = f"{shown.sample.title}, x{scale} (PSNR and SSIM on {colour})"
    return Row(heading, whole, details, shown.sample.corner)


def _size(image: Pixels) -> str:
    return f"{image.shape[1]} x {image.shape[0]} px"


def _figures(measured: Score) -> str:
    return f"{measured.psnr:.2f} dB, SSIM {measured.ssim:.3f}"
