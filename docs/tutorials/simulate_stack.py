"""Simulates a time series of bleaching nuclei, as a 16-bit camera would record it.

Writes ``stack.tif``, what the camera saw, and ``truth.tif``, what it should have seen.
"""

import numpy as np
import tifffile

from napari_edsr import samples
from napari_edsr.degradation import shrink
from napari_edsr.train_config import Degradation

PHOTONS = (1000, 300, 100)  # that a white pixel sends to the camera, frame by frame
OPTICS = Degradation(shrink="area", blur=1.0)  # blurred by 1 px, pixels twice as large
READ_NOISE = 3.0  # standard deviation, in photons
OFFSET, GAIN = 100, 2.0  # counts without light, and counts for each photon

rng = np.random.default_rng(2017)
nuclei = samples.microscopy_hr()[132:388, :256] / 255  # 0 to 1
seen = shrink(nuclei, 2, OPTICS)


def counts(photons):
    """What the camera makes of photons."""
    return np.clip(np.rint(OFFSET + GAIN * photons), 0, 65535).astype(np.uint16)


def exposed(white):
    """A frame: photons come by chance, and reading them out adds noise."""
    return counts(rng.poisson(seen * white) + rng.normal(0, READ_NOISE, seen.shape))


def save(name, frames):
    """As ImageJ does, so that everything knows the first axis for time."""
    tifffile.imwrite(name, np.stack(frames), imagej=True, metadata={"axes": "TYX"})


save("stack.tif", [exposed(white) for white in PHOTONS])
save("truth.tif", [counts(nuclei * white) for white in PHOTONS])
