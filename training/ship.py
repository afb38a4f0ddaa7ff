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


def main() -> None:
    """Measure, write, and print the card's lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("set5", type=Path)
    arguments = parser.parse_args()
    model = load_model(str(arguments.model))
    measured = scores(model, arguments.set5)
    target = MODELS / f"{model.provenance.name.replace('-', '_')}.safetensors"
    save_model(model, target, metadata={"scores": measured})
    console = Console()
    console.print(hashlib.sha256(target.read_bytes()).hexdigest())
    console.print(target.stat().st_size, measured)


if __name__ == "__main__":
    main()
