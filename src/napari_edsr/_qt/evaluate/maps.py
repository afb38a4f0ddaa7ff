"""Maps of where a candidate is wrong, as layers over the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_edsr._qt.evaluate.requests import ERROR, SSIM, Candidate, MeasureRequest
from napari_edsr._qt.layers import METADATA_KEY, record_of
from napari_edsr._qt.wording import result_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Green where an image is brighter than what it is compared with.
DIVERGING = "PiYG"
_COLORMAPS = {ERROR: DIVERGING, SSIM: "viridis"}
_BASELINE = "baseline"
_ROBUST = 99.5  # percentile at which the colours end
_SAMPLED = 2**20


def map_layer(
    request: MeasureRequest, candidate: Candidate, kind: str, values: NDArray
) -> Image:
    """The layer of a map that `iter_map` made, on the pixels of the truth."""
    corner = request.region["Y"][0], request.region["X"][0]
    return Image(
        values,
        name=f"{candidate.name} {kind}",
        colormap=_COLORMAPS[kind],
        contrast_limits=symmetric_limits(values) if kind == ERROR else (0.0, 1.0),
        metadata={METADATA_KEY: {"map": kind, "of": candidate.name}},
        **request.truth.place(corner),
    )


def baseline_layer(candidate: Candidate, image: NDArray) -> Image:
    """The layer of a baseline that `iter_enlarged` made, over what it was made from."""
    name = result_name(candidate.part.name, candidate.enlarged, candidate.method)
    settings = candidate.part.settings((0, 0), candidate.enlarged)
    settings["metadata"] = {METADATA_KEY: {_BASELINE: candidate.method}}
    return Image(image, name=name, **settings)


def is_baseline(layer: Image) -> bool:
    """Whether `baseline_layer` made it; it is measured anyway."""
    return _BASELINE in record_of(layer)


def symmetric_limits(values: NDArray[np.float32]) -> tuple[float, float]:
    """Contrast limits about 0 that nearly all values of a map lie within."""
    sizes = np.abs(values.ravel()[:: values.size // _SAMPLED + 1])
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return -1.0, 1.0
    end = float(np.percentile(sizes, _ROBUST)) or float(sizes.max()) or 1.0
    return -end, end
