"""Maps of where a candidate is wrong, as layers over the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_edsr._qt.evaluate.requests import ERROR, Candidate, MeasureRequest
from napari_edsr._qt.layers import METADATA_KEY

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Diverging for what may be too bright or too dark, sequential for what is a share.
_COLORMAPS = {ERROR: "PiYG", "SSIM": "viridis"}
_SHARE = 99.5  # percent of the errors that the colours can tell apart
_ENOUGH = 2**20  # values from which that is estimated


def map_layer(
    request: MeasureRequest, candidate: Candidate, kind: str, values: NDArray
) -> Image:
    """The layer of a map that `iter_map` made, on the pixels of the truth."""
    corner = request.region["Y"][0], request.region["X"][0]
    return Image(
        values,
        name=f"{candidate.name} {kind}",
        colormap=_COLORMAPS[kind],
        contrast_limits=_limits(values) if kind == ERROR else (0.0, 1.0),
        metadata={METADATA_KEY: {"map": kind, "of": candidate.name}},
        **request.truth.place(corner),
    )


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    """Symmetric about 0, so that white is right."""
    flat = values.reshape(-1)
    some = flat[:: max(1, flat.size // _ENOUGH)]
    finite = np.abs(some[np.isfinite(some)])
    most = float(np.percentile(finite, _SHARE)) if finite.size else 0.0
    return (-most, most) if most > 0 else (-1.0, 1.0)
