"""Put a trained model into the package, with its scores on Set5 in its metadata.

``python training/ship.py runs/edsr-light-x2/edsr-light-x2.safetensors Set5`` measures the
model by the protocols of the README's table, writes it among the models of the package
and prints what its card in ``cards.py`` is to say. Set5 holds ``HR`` and ``LRx2`` ...
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from rich.console import Console

import napari_edsr
from napari_edsr import EDSR, MDSR, drain, load_model, save_model
from napari_edsr.benchmark import iter_benchmark, mean_of
from napari_edsr.train_config import load_config

MODELS = Path(napari_edsr.__file__).parent / "models"
PROTOCOLS = {"RGB": "mmagic", "Y": "edsr-y"}


def scores(model: EDSR | MDSR, set5: Path) -> dict[str, float]:
    """PSNR of the model and of bicubic on Set5, in dB."""
    (scale,) = model.config.scales
    highs, lows = (sorted((set5 / name).iterdir()) for name in ("HR", f"LRx{scale}"))
    found = {}
    for colour, protocol in PROTOCOLS.items():
        job = iter_benchmark(model, highs, lows, scale=scale, protocol=protocol)
        psnr, _, bicubic, _ = mean_of(drain(job))
        found[f"Set5 PSNR {colour}"] = round(psnr, 4)
        found[f"Set5 PSNR {colour}, bicubic"] = round(bicubic, 4)
    return found


def kept_scores(model: EDSR | MDSR) -> dict[str, float]:
    """PSNR on the images kept aside in training: Set5 says nothing of microscopy."""
    training = model.provenance.extra["training"]
    return {
        "PSNR kept aside": training["psnr"],
        "PSNR kept aside, before": training["psnr_before"],
        "PSNR kept aside, bicubic": training["psnr_bicubic"],
    }


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
    measured = kept_scores(model) if is_grey else scores(model, arguments.set5)
    target = MODELS / f"{name.replace('-', '_')}.safetensors"
    save_model(model, target, metadata={**about, "scores": measured})
    console = Console()
    console.print(hashlib.sha256(target.read_bytes()).hexdigest())
    console.print(target.stat().st_size, measured)


if __name__ == "__main__":
    main()
