"""The README of a package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from napari_edsr.bioimageio.facts import CITATIONS, HOME, LIMITS, Facts
from napari_edsr.zoo import count_parameters

_INTENSITIES = (
    "Intensities go from 0 (black) to 255 (white), in and out: 8-bit images as they are; "
    "scale others first, as with percentiles of the whole image. Nothing is clipped or "
    "rounded."
)
_HOW_TO_VALIDATE = (
    "Take sharp images of your own kind as the truth, make them {scale} times smaller, "
    "upscale those, and compare the results and bicubic interpolation with the truth by "
    "PSNR and SSIM; `napari-edsr benchmark --scale {scale} --hr FOLDER` does all of it. "
    "`test_input.npy` and `test_output.npy` check an installation."
)
_SAMPLES = {
    "photo": "The sample is a crop of a photograph by Julia Caesar (CC0).",
    "nuclei": "The sample is a crop of an image of nuclei of the Carpenter lab, Broad "
    "Institute: image set BBBC038 (CC0).",
}


def readme(facts: Facts) -> str:
    """The text, in Markdown.

    Parameters
    ----------
    facts : Facts
    """
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: Facts) -> Iterator[str]:
    config, scale, halo = facts.config, facts.scale, facts.halo
    yield from (f"# {facts.name}", "")
    yield f"Super-resolution x{scale} by EDSR, exported by [napari-edsr]({HOME}). {LIMITS}"
    yield from ("", "## Use", "", _INTENSITIES, "")
    yield (
        f"The network has {config.n_resblocks} blocks of {config.n_feats} features, "
        f"{count_parameters(config):,} parameters and {config.n_colors} "
        f"channel{'s' * (config.n_colors > 1)}. What lies more than {halo} pixels away in "
        f"the input does not reach a pixel of the output: tiles need {halo} pixels of "
        f"context a side, which are {halo * scale} of the output, the halo described. "
        f"bioimageio.core takes images of at least {facts.least_side} pixels a side, and "
        "mirrors them by the halo at their border, where the network itself sees zeros."
    )
    yield from ("", "## Validation", "", _HOW_TO_VALIDATE.format(scale=scale))
    yield from _table(facts.scores)
    yield from ("", "## Credit", "", *_credit(facts))
    yield from ("", "## Citation", "")
    for entry in CITATIONS:
        place = entry.get("url") or f"https://doi.org/{entry['doi']}"
        yield f"- {entry['text']} <{place}>"


def _table(scores: Mapping[str, float]) -> Iterator[str]:
    if scores:
        yield from ("", "| measured before | |", "|---|---|")
    for name, value in scores.items():
        yield f"| {name} | {value:.4g} |"


def _credit(facts: Facts) -> Iterator[str]:
    yield f"- Licence: {facts.licence or 'unknown; ask who made it'}"
    if facts.credit:
        yield f"- {facts.credit}"
    if facts.source:
        yield f"- From: {facts.source}"
    yield f"- {_SAMPLES['photo' if facts.config.n_colors == 3 else 'nuclei']}"
