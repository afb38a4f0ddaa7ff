"""Judges an upscaled series: by its input, by its doubt, and, as it is known, by the truth.

Reads what the tutorial made; prints two tables and draws ``judged.png``.
"""

import numpy as np
import tifffile
from PIL import Image, ImageDraw, ImageFont

from napari_edsr import score
from napari_edsr.resampling import imresize

PHOTONS, READ_NOISE, OFFSET, GAIN = (1000, 300, 100), 3.0, 100, 2.0  # of the camera
TOP, LEFT, DETAIL = 0, 4, 64  # pixels of the stack that are drawn
SIDE, GAP, BAR = 256, 8, 28  # pixels of the picture


def read(name):
    """The frames of a file, in counts."""
    return tifffile.imread(f"{name}.tif").astype(float)


stack, truth, doubt = read("stack"), read("truth"), read("doubt")
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


def tables():
    """The lines that are printed."""
    yield "| frame | photons | rest, photo | rest, microscopy | neighbours | doubt |"
    yield "|---|---|---|---|---|---|"
    for t, white in enumerate(PHOTONS):
        share = doubt[t].mean() / (result[t].mean() - OFFSET)
        yield (
            f"| {t} | {white} | {rest(photo_apart, t):.2f} | {rest(apart, t):.2f} | "
            f"{neighbours(t):.2f} | {share:.1%} |"
        )
    yield ""
    yield "| frame | photons | bicubic | photo | microscopy | error of the tenth |"
    yield "|---|---|---|---|---|---|"
    for t, white in enumerate(PHOTONS):
        one, two, three = (decibels(image, t) for image in (bicubic, photo, result))
        yield (
            f"| {t} | {white} | {one:.1f} dB | {two:.1f} dB | {three:.1f} dB | "
            f"{tenth(t):.1f} |"
        )


def panel(image, low, high):
    """A detail of a frame as 8-bit pixels, as large as the others."""
    scale = len(image) // len(stack[0])
    top, left, side = TOP * scale, LEFT * scale, DETAIL * scale
    part = image[top : top + side, left : left + side]
    grey = np.uint8(np.clip((part - low) / (high - low), 0, 1) * 255)
    return Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def panels(t):
    """A row of the picture."""
    low, high = np.quantile(truth[t], (0.01, 0.995))
    yield f"{PHOTONS[t]} photons: camera", panel(stack[t], low, high)
    yield "for photographs", panel(photo[t], low, high)
    yield "for microscopy", panel(result[t], low, high)
    yield "truth", panel(truth[t], low, high)
    yield "doubt, 0 to 5 %", panel(doubt[t], 0, 0.05 * (high - low))
    yield "rest, -3 to 3 noise", panel(apart[t] / noise[t], -3, 3)


def drawn():
    """A detail of all frames, one below the other."""
    wide, high = SIDE + GAP, SIDE + BAR + GAP
    picture = Image.new("L", (6 * wide - GAP, len(PHOTONS) * high - GAP), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
    for t in range(len(PHOTONS)):
        for column, (name, image) in enumerate(panels(t)):
            draw.text((column * wide, t * high + 3), name, fill=0, font=font)
            picture.paste(image, (column * wide, t * high + BAR))
    return picture


if __name__ == "__main__":
    print("\n".join(tables()))
    drawn().quantize(128).save("judged.png", optimize=True)
