"""An image of 20 GB in a process that may take 2 GB: a part of it, chosen by chance."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_SCRIPT = """
import json, resource, sys
from pathlib import Path

import numpy as np
import psutil
import zarr

from napari_edsr import drain, iter_upscale, upscale
from napari_edsr.config import EDSRConfig
from napari_edsr.events import TileDone, UpscalePlanned
from napari_edsr.files.common import PROVENANCE
from napari_edsr.model import build_model
from napari_edsr.stores.plan import Settled
from napari_edsr.images import understand


class Virtual:
    # A float32 texture that is made when it is asked for.
    shape, dtype, ndim = (70_720, 70_720), np.dtype("f4"), 2

    def __getitem__(self, index):
        rows, columns = (np.arange(n)[i] for n, i in zip(self.shape, index))
        return np.sin(rows / 9.0)[:, None].astype("f4") * np.cos(columns / 7.0)


image, out = Virtual(), Path(sys.argv[1])
model = build_model(EDSRConfig(scales=(2,), n_resblocks=1, n_feats=4)).eval()
upscale(np.zeros((600, 600), "f4"), model, out=out.with_name("warm.ome.zarr"))

job = iter_upscale(image, model, out=out)
next(event for event in job if isinstance(event, UpscalePlanned))
job.close()
settled = zarr.open_group(out, mode="r").attrs[PROVENANCE]["settled"]
whole = {axis: slice(0, n) for axis, n in zip("YX", image.shape)}
grid = Settled.from_dict(settled).grid(understand(image), whole, 2)
chosen = np.random.default_rng(7).choice(len(grid), len(grid) // int(sys.argv[2]), replace=False)
done = np.ones(len(grid), bool)
done[chosen] = False
(out / ".napari-edsr-done").write_bytes(np.packbits(done).tobytes())

process = psutil.Process()
start = process.memory_info().rss
data = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (data + 2 * 10**9,) * 2)
peak, pixels = start, 0
for event in iter_upscale(image, model, out=out):
    peak = max(peak, process.memory_info().rss)
    if isinstance(event, TileDone):
        rows, columns = event.region
        pixels += (rows.stop - rows.start) * (columns.stop - columns.start)
stored = zarr.open_group(out, mode="r")["0"]
worst = 0.0
for number in chosen[:3]:
    rows, columns = grid.unit(int(number)).box
    rows = slice(rows.start, rows.start + 64)
    region = {"Y": (rows.start // 2, rows.stop // 2), "X": (columns.start // 2, columns.stop // 2)}
    alone = upscale(image, model, region=region, normalize=settled["ranges"][0])
    worst = max(worst, float(np.abs(stored[rows, columns] - alone).max()))
print(json.dumps({"added": peak - start, "pixels": pixels, "worst": worst, "units": len(grid)}))
"""


@pytest.mark.promise(
    "to an OME-Zarr (`.ome.zarr`, extra `large`) of any size",
    "may be larger than memory: it is written part by part",
)
@pytest.mark.fault(
    "Images: image larger than the memory",
    "It is upscaled to a file within a fixed amount of memory.",
)
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", [1000, pytest.param(50, marks=pytest.mark.slow)])
def test_memory_stays_bounded_whatever_the_image_is(tmp_path, share):
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path / "r.ome.zarr"), str(share)]
    ended = subprocess.run(
        command,
        # With so small a network threads wait for each other most of the time.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["pixels"] / (2 * 70_720) ** 2 == pytest.approx(1 / share, rel=0.4)
    assert found["added"] < 1e9
    assert found["worst"] < 1e-5
