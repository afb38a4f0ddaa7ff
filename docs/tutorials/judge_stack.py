"""Judges an upscaled series: by its input, by its doubt, and by the truth, where there is one.

Reads what the tutorial made; prints a table, a second one if ``truth.tif`` is there, and
draws ``judged.png``.
"""

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageDraw, ImageFont

from napari_edsr import score
from napari_edsr.resampling import imresize

READ_NOISE, OFFSET, GAIN = 3.0, 100, 2.0  # of the camera
TOP, LEFT, DETAIL = 0, 4, 64  # pixels of the stack that are drawn
SIDE, GAP, BAR = 256, 8, 28  # pixels of the picture


def read(name):
    """The frames of a file, in counts."""
    image = tifffile.imread(f"{name}.tif").astype(float)
    return image.reshape(-1, *image.shape[-2:])


stack, doubt = read("stack"), read("doubt")
truth = read("truth") if Path("truth.tif").exists() else None
result, apart = read("cells"), read("apart")  # of the model for microscopy
photo, photo_apart = read("photo"), read("photo_apart")  # of the one for photographs
bicubic = np.stack([imresize(frame, 2) for frame in stack])
# What chance does to each pixel of the stack: Poisson's law, and the read-out.
light = np.stack([imresize(frame, 0.5) for frame in result]) - OFFSET
noise = GAIN * np.sqrt(np.clip(light, 0, None) / GAIN + READ_NOISE**2)


def rest(difference, t):
    """What a result leaves of its input, in standard deviations of the noise."""
    return np.sqrt(np.mean((difference[t] / noise[t]) ** 2))


def neighbours(t):
    """How alike pixels of the rest are side by side: 0 for noise, more for structure."""
    values = apart[t] / noise[t]
    return np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1]


def decibels(image, t):
    """Range-invariant PSNR of a frame, which its brightness does not change."""
    measured = score(image[t], truth[t], protocol="microscopy", data_range=1)
    return measured.range_invariant_psnr


def tenth(t):
    """How many times as wrong the tenth with most doubt is as all pixels are."""
    wrong = np.abs(result[t] - truth[t])
    return wrong[doubt[t] > np.quantile(doubt[t], 0.9)].mean() / wrong.mean()


def by_input():
    """The lines of the first table."""
    yield "| frame | rest, photo | rest, microscopy | neighbours | doubt |"
    yield "|---|---|---|---|---|"
    for t in range(len(stack)):
        share = doubt[t].mean() / (result[t].mean() - OFFSET)
        yield (
            f"| {t} | {rest(photo_apart, t):.2f} | {rest(apart, t):.2f} | "
            f"{neighbours(t):.2f} | {share:.1%} |"
        )


def by_truth():
    """The lines of the second table."""
    yield ""
    yield "| frame | bicubic | photo | microscopy | error of the tenth |"
    yield "|---|---|---|---|---|"
    for t in range(len(stack)):
        one, two, three = (decibels(image, t) for image in (bicubic, photo, result))
        yield f"| {t} | {one:.1f} dB | {two:.1f} dB | {three:.1f} dB | {tenth(t):.1f} |"


def panel(image, low, high):
    """A detail of a frame as 8-bit pixels, as large as the others."""
    scale = len(image) // len(stack[0])
    top, left, side = TOP * scale, LEFT * scale, DETAIL * scale
    part = image[top : top + side, left : left + side]
    grey = np.uint8(np.clip((part - low) / (high - low), 0, 1) * 255)
    return Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def panels(t):
    """A row of the picture."""
    low, high = np.quantile(result[t] if truth is None else truth[t], (0.01, 0.995))
    yield f"frame {t}: camera", panel(stack[t], low, high)
    yield "for photographs", panel(photo[t], low, high)
    yield "for microscopy", panel(result[t], low, high)
    if truth is not None:
        yield "truth", panel(truth[t], low, high)
    yield "doubt, 0 to 5 % of white", panel(doubt[t], 0, 0.05 * (high - low))
    yield "rest, -3 to 3 noise", panel(apart[t] / noise[t], -3, 3)


def drawn():
    """A detail of all frames, one below the other."""
    rows = [list(panels(t)) for t in range(len(stack))]
    wide, high = SIDE + GAP, SIDE + BAR + GAP
    picture = Image.new("L", (len(rows[0]) * wide - GAP, len(rows) * high - GAP), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
    for t, row in enumerate(rows):
        for column, (name, image) in enumerate(row):
            draw.text((column * wide, t * high + 3), name, fill=0, font=font)
            picture.paste(image, (column * wide, t * high + BAR))
    return picture


if __name__ == "__main__":
    print("\n".join(by_input()))
    if truth is not None:
        print("\n".join(by_truth()))
    drawn().quantize(128).save("judged.png", optimize=True)
