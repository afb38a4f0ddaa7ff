"""Writes a card for each built-in model from what its own file says.

``python docs/model_cards.py`` after a model was replaced; a test compares the cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_edsr import load_model
from napari_edsr.cards import BUILT_IN, KEPT_SCORES, ModelCard

FOLDER = Path(__file__).parent / "models"

PHOTOS = (
    "Photographs and other natural images that were made smaller by bicubic "
    "interpolation with antialiasing, as most programs do it."
)
MICROSCOPY = (
    "Grey fluorescence images that are a little blurred and have the noise of few "
    "photons. It enlarges and removes noise at once."
)
DATA = {
    "photos": "583 crops of 480 × 480 of 272 photographs, CC0, public domain or CC-BY; "
    "37 crops of other photographs are kept aside. Authors: "
    "[CREDITS](../../src/napari_edsr/models/CREDITS.md).",
    "microscopy": "91 fluorescence images of nuclei, CC0, of the Broad Institute's "
    "BBBC038; 5 others are kept aside. "
    "[CREDITS](../../src/napari_edsr/models/CREDITS.md).",
}
LIMITS = (
    "It invents plausible detail: do not measure on its output what the input does not "
    "show. On images that came about otherwise than its training images it can be worse "
    "than bicubic interpolation; fine-tune it then."
)
#: Measured on the same five images, made small by bicubic interpolation and nothing else.
CLEAN = (
    " On the images kept aside without blur and noise it reaches 42.8 dB, less than bicubic "
    "interpolation (45.9 dB) and the model for photographs (46.9 dB)."
)


def card_text(card: ModelCard) -> str:
    """The card of a model, in Markdown."""
    extra = load_model(card.name).provenance.extra
    is_grey = card.config.n_colors == 1
    config = card.config
    lines = [
        f"# {card.name}",
        "",
        f"{card.title}. Licence: {card.licence}. {card.credit}.",
        "",
        f"- **For:** {MICROSCOPY if is_grey else PHOTOS}",
        f"- **Network:** EDSR ×{config.scales[0]}, {config.n_resblocks} blocks of "
        f"{config.n_feats} features, {config.n_colors} "
        f"colour{'s' * (config.n_colors > 1)}, {card.parameters:,} parameters.",
        f"- **Data:** {DATA['microscopy' if is_grey else 'photos']}",
        *_training(card, extra.get("training", {})),
        f"- **Limits:** {LIMITS}{CLEAN if is_grey else ''}",
        "",
        *_table(card.scores, extra.get("training", {})),
    ]
    return "\n".join(lines) + "\n"


def _training(card: ModelCard, training: Mapping[str, Any]) -> Iterator[str]:
    if not training:
        return
    config = training["config"]
    text = (
        f"- **Training:** {training['steps']:,} steps of {config['batch']} patches of "
        f"{config['patch']} × {config['patch']} low-resolution pixels, L1, Adam at "
        f"{config['rate']:g} with a cosine, average of the weights of {config['ema']}; "
    )
    if config["start"] == card.name:
        text += "from an earlier version of itself; "
    elif config["start"]:
        text += f"from `{config['start']}`; "
    path = f"training/{card.name}.yaml"
    yield text + f"[{path}](../../{path})."
    if noise := _degradation(config["degradation"]):
        yield f"- **Low-resolution side:** {noise}."


def _degradation(values: Mapping[str, Any]) -> str:
    if not (values["blur"] or values["photons"]):
        return ""
    return (
        f"{values['shrink']} shrinking after a Gaussian blur of {values['blur']:g} "
        f"{values['blur_unit']}, Poisson noise of {values['photons']:g} photons at white, "
        f"read noise of {values['read_noise']:g} photons"
    )


def _table(scores: Mapping[str, float], training: Mapping[str, Any]) -> Iterator[str]:
    yield "| PSNR in dB | model | bicubic |"
    yield "|---|---|---|"
    for key, value in scores.items():
        if key not in KEPT_SCORES and not key.endswith("bicubic"):
            yield f"| {key.replace(' PSNR', ',')} | {value:.2f} | {_of(scores, key)} |"
    if training:
        psnr, bicubic = training["psnr"], training["psnr_bicubic"]
        yield f"| images kept aside in training | {psnr:.2f} | {bicubic:.2f} |"


def _of(scores: Mapping[str, float], key: str) -> str:
    bicubic = scores.get(f"{key}, bicubic")
    return "" if bicubic is None else f"{bicubic:.2f}"


def main() -> None:
    """Write the cards."""
    FOLDER.mkdir(exist_ok=True)
    for card in BUILT_IN:
        path = FOLDER / f"{card.name}.md"
        path.write_text(card_text(card), encoding="utf-8")


if __name__ == "__main__":
    main()
