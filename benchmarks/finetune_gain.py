"""What fine-tuning gains on images that were blurred and are noisy.

``python benchmarks/finetune_gain.py [IMAGE...] [--steps N]`` fine-tunes the built-in x2
model on all but a part of each image, whose low-resolution side is blurred and has
Poisson and read noise, and prints PSNR on the part kept aside, for three seeds: bicubic,
the model as it is, and fine-tuned. Without images it takes ``skimage.data.cell()``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from skimage import data

from napari_edsr import load_model
from napari_edsr.files import ImageFile, read_image
from napari_edsr.train_config import Degradation, TrainConfig
from napari_edsr.train_result import TrainResult
from napari_edsr.training import train
from napari_edsr.training_data import Source

BLURRED_AND_NOISY = Degradation(blur=1.5, photons=200.0, read_noise=3.0)
HELD_OUT = 0.2
SEEDS = (0, 1, 2)


def sources(names: Iterable[str]) -> list[Source]:
    """The images named, or the one that comes with scikit-image."""
    found = [
        Source(Path(name).stem, lambda name=name: read_image(name)) for name in names
    ]
    return found or [Source("cell", lambda: ImageFile(data.cell(), "YX"))]


def finetuned(image: Source, seed: int, steps: int) -> tuple[TrainResult, float]:
    """Result of a run and its seconds."""
    network = replace(load_model("edsr-light-x2").config, n_colors=1)
    config = TrainConfig(
        name=image.name,
        start="edsr-light-x2",
        network=network,
        degradation=BLURRED_AND_NOISY,
        steps=steps,
        rate=3e-4,
        warmup=steps // 20,
        ema=0.99,
        validate_every=max(1, steps // 4),
        seed=seed,
        device="cpu",
    )
    kept = Source(image.name, image.read, held_out=HELD_OUT)
    began = time.perf_counter()
    return train(config, [kept]), time.perf_counter() - began


def main() -> None:
    """Fine-tune on each image and print a line for each, and the spread of the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*")
    parser.add_argument("--steps", type=int, default=600)
    arguments = parser.parse_args()
    table = Table(title="PSNR in dB on the part kept aside")
    for heading in ("image", "bicubic", "before", "after", "gain", "spread", "seconds"):
        table.add_column(heading, justify="left" if heading == "image" else "right")
    for image in sources(arguments.images):
        runs = [finetuned(image, seed, arguments.steps) for seed in SEEDS]
        results = [result for result, _ in runs]
        gains = [run.psnr - max(run.bicubic, run.before) for run in results]
        columns = (
            [run.bicubic for run in results],
            [run.before for run in results],
            [run.psnr for run in results],
            gains,
        )
        means = [f"{statistics.mean(column):.2f}" for column in columns]
        spread = f"{max(gains) - min(gains):.2f}"
        seconds = f"{statistics.median(spent for _, spent in runs):.0f}"
        table.add_row(image.name, *means, spread, seconds)
    Console().print(table)


if __name__ == "__main__":
    main()
