"""Put a trained model into the package, with its scores on Set5 in its metadata.

``python training/ship.py runs/edsr-light-x2/edsr-light-x2.safetensors Set5`` measures the
model as the README's table does (one for microscopy keeps the scores of its training),
writes it among the models of the package, and prints what ``cards.py`` is to say of it.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from rich.console import Console

import napari_edsr
from napari_edsr import EDSR, MDSR, load_model, save_model
from napari_edsr.benchmark import set5_scores
from napari_edsr.cards import KEPT_SCORES
from napari_edsr.train_config import load_config

MODELS = Path(napari_edsr.__file__).parent / "models"


def kept_scores(model: EDSR | MDSR) -> dict[str, float]:
    """PSNR on the images kept aside in training: Set5 says nothing of microscopy."""
    training = model.provenance.extra["training"]
    keys = ("psnr", "psnr_before", "psnr_bicubic")
    return {name: training[key] for name, key in zip(KEPT_SCORES, keys, strict=True)}


def main() -> None:
    """Measure, write, and print the card's lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("set5", type=Path)
    arguments = parser.parse_args()
    model = load_model(str(arguments.model))
    name = model.provenance.name
    about = load_config(Path(__file__).parent / f"{name}.yaml").about
    is_grey = model.config.n_colors == 1
    scale = model.config.scales[0]
    measured = (
        kept_scores(model) if is_grey else set5_scores(model, arguments.set5, scale)
    )
    target = MODELS / f"{name.replace('-', '_')}.safetensors"
    rounded = {key: round(value, 4) for key, value in measured.items()}
    save_model(model, target, metadata={**about, "scores": rounded})
    console = Console()
    console.print(hashlib.sha256(target.read_bytes()).hexdigest())
    console.print(target.stat().st_size, measured)


if __name__ == "__main__":
    main()
