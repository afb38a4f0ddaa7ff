"""Drawing results side by side: a row an image, with one detail of it magnified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Point = tuple[int, int]

#: Side of the magnified detail, in pixels of the truth, and its magnification.
DETAIL, ZOOM = 96, 4
PANEL = DETAIL * ZOOM
MARGIN, GUTTER, BETWEEN_ROWS = 48, 20, 64
HEADING, LABEL, CAPTION = 44, 34, 30
LABEL_TOP = HEADING + 28
PANEL_TOP = LABEL_TOP + LABEL + 14
CAPTION_TOP = PANEL_TOP + PANEL + 14
ROW = CAPTION_TOP + CAPTION
PAPER, INK, FAINT, ACCENT = "#ffffff", "#16181d", "#555c6b", "#b93a00"


@dataclass(frozen=True)
class Panel:
    """One version of the detail, or of the whole image.

    Attributes
    ----------
    label, caption : str
        Above and below; ASCII, for the built-in font has little else.
    image : ndarray of uint8, (H, W) or (H, W, 3)
        The whole image; a smaller one is magnified more, its pixels showing.
    accent : bool
        Whether it is the one to look at.
    """

    label: str
    caption: str
    image: Pixels
    accent: bool = False


@dataclass(frozen=True)
class Row:
    """One image: the whole of it, and versions of its detail.

    Attributes
    ----------
    heading : str
        Above the row.
    overview : Panel
        The whole image, in which the detail is framed.
    details : tuple of Panel
        Versions to compare.
    corner : (int, int)
        Upper left corner (y, x) of the detail in the overview, in its pixels.
    """

    heading: str
    overview: Panel
    details: tuple[Panel, ...]
    corner: Point


def draw_side_by_side(rows: Sequence[Row]) -> Image.Image:
    """Draw the rows below each other on white.

    Parameters
    ----------
    rows : sequence of Row
        At least one; all with as many details.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    overview = max(_overview_width(row) for row in rows)
    details = len(rows[0].details) * (GUTTER + PANEL)
    height = 2 * MARGIN + len(rows) * ROW + (len(rows) - 1) * BETWEEN_ROWS
    picture = Image.new("RGB", (2 * MARGIN + overview + details, height), PAPER)
    for number, row in enumerate(rows):
        _draw_row(picture, MARGIN + number * (ROW + BETWEEN_ROWS), overview, row)
    return picture


def _draw_row(picture: Image.Image, top: int, overview: int, row: Row) -> None:
    _text(picture, (MARGIN, top), row.heading, HEADING, INK)
    _draw_panel(picture, (MARGIN, top), row.overview, _framed(row))
    left = MARGIN + overview + GUTTER
    for panel in row.details:
        pixels = _detail(panel.image, row)
        _draw_panel(picture, (left, top), panel, pixels)
        left += GUTTER + PANEL


def _draw_panel(
    picture: Image.Image, corner: Point, panel: Panel, pixels: Image.Image
) -> None:
    left, top = corner
    ink = ACCENT if panel.accent else INK
    _text(picture, (left, top + LABEL_TOP), panel.label, LABEL, ink)
    picture.paste(pixels, (left, top + PANEL_TOP))
    ink = ACCENT if panel.accent else FAINT
    _text(picture, (left, top + CAPTION_TOP), panel.caption, CAPTION, ink)


def _overview_width(row: Row) -> int:
    height, width = row.overview.image.shape[:2]
    return round(width * PANEL / height)


def _framed(row: Row) -> Image.Image:
    """The whole image as high as a panel, the detail framed."""
    ratio = PANEL / row.overview.image.shape[0]
    whole = Image.fromarray(row.overview.image).convert("RGB")
    whole = whole.resize((_overview_width(row), PANEL), Image.Resampling.LANCZOS)
    y, x = (round(side * ratio) for side in row.corner)
    side = round(DETAIL * ratio)
    draw = ImageDraw.Draw(whole)
    draw.rectangle((x - 3, y - 3, x + side + 3, y + side + 3), outline=PAPER, width=7)
    draw.rectangle((x - 1, y - 1, x + side + 1, y + side + 1), outline=ACCENT, width=3)
    return whole


def _detail(image: Pixels, row: Row) -> Image.Image:
    """The detail cut from a version of any resolution, magnified to show its pixels."""
    shrunk = row.overview.image.shape[0] // image.shape[0]
    y, x = (side // shrunk for side in row.corner)
    side = DETAIL // shrunk
    cut = Image.fromarray(image[y : y + side, x : x + side]).convert("RGB")
    return cut.resize((PANEL, PANEL), Image.Resampling.NEAREST)


def _text(picture: Image.Image, corner: Point, text: str, size: int, ink: str) -> None:
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(picture).text(corner, text, fill=ink, font=font, anchor="la")
