"""What the Evaluate dock says of figures, and guesses from names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_edsr._qt.wording import sentence

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_edsr._qt.evaluate.requests import Evaluation, Row

_PROTOCOLS = {"microscopy": "Microscopy", "edsr-y": "EDSR", "edsr-div2k": "EDSR, DIV2K"}
_TRUTH = re.compile(r"(?<![a-z])(truth|gt|hr|reference)(?![a-z])", re.IGNORECASE)


def guessed_truth(layers: Sequence[Image]) -> Image | None:
    """The first layer whose name says that it is the truth."""
    return next((layer for layer in layers if _TRUTH.search(layer.name)), None)


def worst_plane(row: Row) -> tuple[int, ...]:
    """Place of the plane with the lowest PSNR; one that is no number is the worst."""
    return min(row.planes, key=lambda plane: _known(plane.score.psnr)).place


def _known(psnr: float) -> float:
    return -math.inf if math.isnan(psnr) else psnr


def summary_text(evaluation: Evaluation) -> str:
    """What the figures depend on, and what was found on the way."""
    if not evaluation.rows:
        return ""
    score = evaluation.rows[0].mean
    rounded = ", 8 bits" if score.rounded else ""
    protocol = _PROTOCOLS.get(score.protocol, score.protocol)
    parts = [
        f"{protocol}: {score.colour}{rounded}, {score.border} px shaved, "
        f"data range {score.data_range:g}"
    ]
    if evaluation.request.rules.registers:
        parts += [_says_shift(row) for row in evaluation.rows]
    parts += [
        _says_unknown(row) for row in evaluation.rows if math.isnan(row.mean.psnr)
    ]
    if score.left_out:
        parts.append(f"{score.left_out:g} pixels of the truth are not finite, left out")
    return "\n".join([f"{parts[0]}.", *map(sentence, parts[1:])])


def _says_shift(row: Row) -> str:
    y, x = row.shift
    return f"{row.name} was shifted by {y:+.2f} rows, {x:+.2f} columns"


def _says_unknown(row: Row) -> str:
    return f"{row.name} has pixels that are no numbers where the truth has some"
