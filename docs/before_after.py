"""Draws the picture of the first page: details of both samples, before and after.

``python docs/before_after.py`` after a built-in model was replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_edsr import samples, upscale

PICTURE = Path(__file__).parent / "images" / "before-after.png"
MODEL = "edsr-light-x2"
PLACE, NUCLEI = (96, 36), (132, 24)  # first row and column of the details
DETAIL = 108  # pixels of the result
MAGNIFIED = 3
SIDE = DETAIL * MAGNIFIED
GAP, BAR = 8, 26

Pixels = NDArray[np.uint8]


def details() -> Iterator[tuple[str, Pixels]]:
    """Title and pixels of each panel, row by row."""
    photo, cells = samples.photo_lr(), samples.microscopy_lr()
    yield "photo, before", cut(photo, PLACE, 2)
    yield "photo, after", cut(upscale(photo, MODEL), PLACE, 1)
    yield "nuclei, before", brighter(cut(cells, NUCLEI, 2))
    yield "nuclei, after", brighter(cut(upscale(cells, MODEL), NUCLEI, 1))


def brighter(image: Pixels) -> Pixels:
    """So that dim nuclei can be seen on a screen."""
    return np.uint8(255 * (image / 255) ** 0.6)


def cut(image: Pixels, corner: tuple[int, int], shrunk: int) -> Pixels:
    """A detail of an image whose pixels are `shrunk` times as large as the result's."""
    y, x = (place // shrunk for place in corner)
    side = DETAIL // shrunk
    return image[y : y + side, x : x + side]


def draw() -> Image.Image:
    """All panels, two in a row."""
    panels = list(details())
    rows = len(panels) // 2
    size = 2 * SIDE + GAP, rows * (SIDE + BAR + GAP) - GAP
    picture = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=17)
    for number, (title, pixels) in enumerate(panels):
        left = number % 2 * (SIDE + GAP)
        top = number // 2 * (SIDE + BAR + GAP)
        pen.text((left, top + 2), title, fill="black", font=font)
        panel = Image.fromarray(pixels).convert("RGB")
        panel = panel.resize((SIDE, SIDE), Image.Resampling.NEAREST)
        picture.paste(panel, (left, top + BAR))
    return picture


def main() -> None:
    """Write the picture, in few colours."""
    draw().quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
