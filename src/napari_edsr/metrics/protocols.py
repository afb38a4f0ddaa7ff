"""Named conventions of measuring, and the score that says which one was used."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_edsr.errors import EDSRWarning, ImageError
from napari_edsr.intensities import dtype_range
from napari_edsr.metrics.colour import as_rgb, to_y, without_alpha
from napari_edsr.metrics.common import (
    Array,
    check_data_range,
    check_same_size,
    check_scale,
    comparable,
    known_pixels,
)
from napari_edsr.metrics.pixels import mae, psnr, range_invariant_psnr, rmse
from napari_edsr.metrics.structure import SSIM_WINDOW, ssim

_COLOURS = (None, "as is", "Y")
_WHITE = 255.0


@dataclass(frozen=True)
class Protocol:
    """A convention of measuring, under which tables of the literature were made.

    Attributes
    ----------
    name : str
        As `score` takes it.
    luma : bool
        Measured on Y of YCbCr instead of on all channels.
    crops_truth : bool
        A truth that has less than `scale` rows or columns more than the prediction
        loses the last ones.
    rounded : bool
        Values are clipped and rounded to 8 bits, and grey counts as three equal
        channels.
    margin : int or None
        Pixels shaved beyond `scale`; None where the border does not follow the scale.
    """

    name: str
    luma: bool = False
    crops_truth: bool = False
    rounded: bool = True
    margin: int | None = 0

    def border(self, scale: int | None) -> int:
        """Pixels shaved from each side where nobody chose their number.

        Raises
        ------
        ImageError
            If it follows the scale and there is none.
        """
        if self.margin is None:
            return 0
        if scale is None:
            raise ImageError(
                f"Protocol {self.name} shaves a border that follows the scale; say the "
                "scale, or the border in pixels."
            )
        return scale + self.margin


@dataclass(frozen=True)
class Score:
    """Metrics with all that must be known to compare them with others.

    Attributes
    ----------
    psnr : float
        In dB; inf for identical images.
    ssim : float
        At most 1, which identical images have; NaN for images smaller than its window
        of 11 px.
    mae, rmse : float
        Mean absolute error, and root of the mean squared one, in the units measured in:
        0-255 where values were rounded to 8 bits.
    range_invariant_psnr : float
        In dB, offset and gain fitted first.
    protocol : str
        Name of the protocol.
    colour : str
        ``"RGB"``, ``"Y"`` or ``"grey"``; of a mean also ``"mixed"``.
    border : int
        Pixels shaved from each side first.
    rounded : bool
        Whether values were clipped and rounded to 8 bits first.
    data_range : float
        White minus black in the units measured in; of a mean NaN if it differs.
    left_out : int
        Pixels inside the border that were not measured, since the truth is not finite.
    """

    psnr: float
    ssim: float
    mae: float
    rmse: float
    range_invariant_psnr: float
    protocol: str
    colour: str
    border: int
    rounded: bool
    data_range: float
    left_out: int = 0


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("mmagic"),
        Protocol("edsr-y", luma=True, crops_truth=True),
        Protocol("edsr-div2k", crops_truth=True, margin=6),
        Protocol("microscopy", rounded=False, margin=None),
    )
}


def score(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    scale: int | None = None,
    protocol: str = "mmagic",
    border: int | None = None,
    data_range: float | None = None,
    colour: str | None = None,
) -> Score:
    """Compare by a named protocol of the literature.

        protocol     colour  border     rounded    truth
        mmagic       as is   scale      to 8 bits  as large as the prediction
        edsr-y       Y       scale      to 8 bits  cropped to the prediction
        edsr-div2k   as is   scale + 6  to 8 bits  cropped to the prediction
        microscopy   as is   0          no         as large as the prediction

    A border or colour that is given replaces the protocol's. Tables of ``edsr-div2k``
    have no SSIM; here it is measured as elsewhere. Alpha is never measured.

    The first three count a grey image as three equal channels, as mmagic loads it: so
    grey is measured as it is, and on Y as the Y of such an image. (Some papers take the
    grey itself for Y, which is 1.3 dB less on Set14's ``bridge``.)

    Parameters
    ----------
    prediction, truth : array_like, (H, W) or (H, W, 1 to 4)
        In the same units; black is 0. Two integer types must be the same, unless a
        `data_range` says that they hold the same units.
    scale : int, optional
        Factor the prediction was upscaled by; all but ``microscopy`` take their border
        from it.
    protocol : {"mmagic", "edsr-y", "edsr-div2k", "microscopy"}
        Convention to measure by.
    border : int, optional
        Pixels to shave from each side, instead of the protocol's.
    data_range : float, optional
        White minus black in the units of the images. None takes that of the truth's
        integer type; floats have none. It is warned of a float prediction that seems
        to be on 0-1 beside integers.
    colour : {"as is", "Y"}, optional
        Measure all colours, or luma, instead of what the protocol does.

    Returns
    -------
    Score
        Measured on 0-255 where values are rounded, else in the units of the images.

    Raises
    ------
    ImageError
        If the protocol is unknown, lacks its scale or data range, or the images do not
        suit it.
    """
    rules = _rules(protocol, colour, scale)
    shaved = rules.border(scale) if border is None else border
    images = without_alpha(prediction), without_alpha(truth)
    white = _data_range(images, rules) if data_range is None else data_range
    check_data_range(white)
    if rules.crops_truth and scale is not None:
        images = images[0], _cropped(*images, scale)
    check_same_size(*images)
    if rules.rounded:
        images, white = _eight_bit(images, white), _WHITE
    luma = rules.luma if colour is None else colour == "Y"
    name = "Y" if luma else "grey" if images[1].ndim == 2 else "RGB"
    if luma:
        images = _luma(images[0], white), _luma(images[1], white)
    return _measured(images, rules, name, shaved, white)


def _rules(protocol: str, colour: str | None, scale: int | None) -> Protocol:
    if protocol not in PROTOCOLS:
        raise ImageError(f"Unknown protocol {protocol!r}; use {', '.join(PROTOCOLS)}.")
    if colour not in _COLOURS:
        raise ImageError(f"Colours are measured as is or on Y, not as {colour!r}.")
    if scale is not None:
        check_scale(scale)
    return PROTOCOLS[protocol]


def _data_range(images: tuple[Array, Array], rules: Protocol) -> float:
    """White minus black of the truth's type; black is 0 where 8 bits are made of it."""
    prediction, truth = (image.dtype.newbyteorder("=") for image in images)
    if truth.kind == "f":
        raise ImageError(
            "Floats have no white of their own; say the data range, white minus black "
            "in the units of the images."
        )
    if prediction.kind != "f" and prediction != truth:
        raise ImageError(
            f"The prediction is {prediction} and the truth {truth}; convert one of them, "
            "or say their data_range if both hold the same units."
        )
    if prediction.kind == "f" and images[0].max() <= 1 < images[1].max():
        warnings.warn(
            "The prediction holds nothing above 1, but the truth does; bring a "
            "prediction on 0-1 to the units of the truth first.",
            EDSRWarning,
            stacklevel=3,
        )
    black, white = dtype_range(truth)
    return white if rules.rounded else white - black


def _cropped(prediction: Array, truth: Array, scale: int) -> Array:
    """Without the rows and columns that no low-resolution pixel stands for."""
    pairs = zip(prediction.shape[:2], truth.shape[:2], strict=True)
    if not all(0 <= n - wanted < scale for wanted, n in pairs):
        return truth
    return truth[: prediction.shape[0], : prediction.shape[1]]


def _eight_bit(images: tuple[Array, Array], white: float) -> tuple[Array, Array]:
    """Both on 0-255, and both in colour if one is."""
    prediction, truth = (_rounded(image, white) for image in images)
    if prediction.ndim == truth.ndim:
        return prediction, truth
    return as_rgb(prediction), as_rgb(truth)


def _rounded(image: Array, white: float) -> Array:
    if image.dtype == np.uint8 and white == _WHITE:
        return image
    grey_levels = np.multiply(image, _WHITE / white, dtype=np.float64)
    grey_levels[~np.isfinite(grey_levels)] = np.nan  # clipped, infinity would be white
    return np.rint(np.clip(grey_levels, 0, _WHITE))


def _luma(image: Array, white: float) -> Array:
    return to_y(as_rgb(image), data_range=white)


def _measured(
    images: tuple[Array, Array],
    rules: Protocol,
    colour: str,
    border: int,
    data_range: float,
) -> Score:
    prediction, truth = comparable(*images, border)
    small = min(truth.shape[:2]) < SSIM_WINDOW
    return Score(
        psnr=psnr(prediction, truth, data_range=data_range),
        ssim=math.nan if small else ssim(prediction, truth, data_range=data_range),
        mae=mae(prediction, truth),
        rmse=rmse(prediction, truth),
        range_invariant_psnr=range_invariant_psnr(prediction, truth),
        protocol=rules.name,
        colour=colour,
        border=border,
        rounded=rules.rounded,
        data_range=float(data_range),
        left_out=int(np.count_nonzero(~known_pixels(truth))),
    )
