"""What is known of each model without opening its file: the cards, and their table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from napari_edsr import cache
from napari_edsr.config import EDSRConfig, upsampling_steps

#: Names of the scores of a model on the images kept aside in its training: its own, that
#: of the model it started from, and bicubic interpolation's.
KEPT_SCORES = (
    "PSNR kept aside",
    "PSNR kept aside, before",
    "PSNR kept aside, bicubic",
)
SNU_URL = "https://cv.snu.ac.kr/research/EDSR/models/"
OPENMMLAB_URL = "https://download.openmmlab.com/mmediting/restorers/edsr/"


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model without opening its file.

    Attributes
    ----------
    name, title : str
        What users type, and what they read in a list.
    config : EDSRConfig
        Shape of the network and range of its input.
    filename : str
        Of the weights, relative to the package's models or to the cache folder.
    sha256 : str
        Of the file: 64 hex digits, or the 8 first ones where only those are known.
    bytes : int or None
        Size of the file, None where unknown.
    url : str or None
        Where it is downloaded from; None unless `kind` is ``"official"``.
    licence, credit, source : str
        Terms of the weights, whom to name, and where they come from.
    scores : mapping of str to float
        Published or measured figures, such as ``{"Set5 PSNR Y": 37.46}`` in dB.
    kind : str
        ``"built-in"``, ``"imported"`` or ``"official"``.
    """

    name: str
    title: str
    config: EDSRConfig
    filename: str
    sha256: str
    bytes: int | None = None
    url: str | None = None
    licence: str = "unknown"
    credit: str = ""
    source: str = ""
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    kind: Literal["built-in", "imported", "official"] = "official"

    @property
    def path(self) -> Path:
        """Where the file lies, or will lie once downloaded."""
        if self.kind == "built-in":
            return Path(__file__).parent / "models" / self.filename
        return cache.folder() / self.filename

    @property
    def parameters(self) -> int:
        """Weights and biases of the network, the mean colour not counted."""
        return count_parameters(self.config)

    @property
    def size(self) -> int:
        """Bytes of the file; where unknown, those of its float32 parameters."""
        return self.bytes or 4 * self.parameters


def count_parameters(config: EDSRConfig) -> int:
    """Weights and biases of a network, the mean colour not counted."""
    f, c = config.n_feats, config.n_colors
    conv = 9 * f * f + f
    total = (9 * c * f + f) + (2 * config.n_resblocks + 1) * conv + (9 * f * c + c)
    for scale in config.scales:
        steps = upsampling_steps(scale)
        total += sum(9 * f * f * step**2 + f * step**2 for step in steps)
        if config.multi_scale:
            total += 4 * (25 * f * f + f)
    return total


def _built_in(scale: int, sha256: str, size: int, psnr: str) -> ModelCard:
    rgb, y, bicubic_rgb, bicubic_y = map(float, psnr.split())
    return ModelCard(
        name=f"edsr-light-x{scale}",
        title=f"EDSR light x{scale} (16 blocks of 32 features)",
        config=EDSRConfig.light(scale),
        filename=f"edsr_light_x{scale}.safetensors",
        sha256=sha256,
        bytes=size,
        licence="BSD-3-Clause",
        credit="The napari-edsr authors; photographers as listed in models/CREDITS.md",
        source="trained for napari-edsr on CC0, public-domain and CC-BY photographs",
        scores={
            "Set5 PSNR RGB": rgb,
            "Set5 PSNR Y": y,
            "Set5 PSNR RGB, bicubic": bicubic_rgb,
            "Set5 PSNR Y, bicubic": bicubic_y,
        },
        kind="built-in",
    )


def _spelled(name: str) -> str:
    """Of a file as users read it: ``"EDSR baseline x2"``."""
    return name.replace("_", " ").replace("edsr", "EDSR").replace("mdsr", "MDSR")


def _snu(
    name: str,
    config: EDSRConfig,
    sha256: str,
    size: int | None = None,
    scores: Mapping[str, float] | None = None,
) -> ModelCard:
    filename = f"{name}-{sha256[:8]}.pt"
    return ModelCard(
        name=f"snu/{name}",
        title=f"{_spelled(name)} of EDSR-PyTorch",
        config=config,
        filename=filename,
        sha256=sha256,
        bytes=size,
        url=SNU_URL + filename,
        licence="MIT",
        credit="Lim, Son, Kim, Nah, Lee: EDSR, CVPR Workshops 2017 (EDSR-PyTorch)",
        source=SNU_URL,
        scores=scores or {},
    )


def _openmmlab(
    scale: int, date: str, digits: str, rgb: float, ssim: float
) -> ModelCard:
    name = f"edsr_x{scale}c64b16"
    filename = f"{name}_1x16_300k_div2k_{date}-{digits}.pth"
    return ModelCard(
        name=f"openmmlab/{name}",
        title=f"EDSR baseline x{scale} of mmagic",
        config=EDSRConfig.baseline(scale),
        filename=filename,
        sha256=digits,
        url=OPENMMLAB_URL + filename,
        licence="Apache-2.0",
        credit="OpenMMLab: mmagic (formerly MMEditing)",
        source=OPENMMLAB_URL,
        scores={"Set5 PSNR RGB": rgb, "Set5 SSIM RGB": ssim},
    )


def _y(psnr: float) -> dict[str, float]:
    return {"Set5 PSNR Y": psnr}


_WHITE = 255.0
BUILT_IN = (
    _built_in(
        2,
        "7b2438e52a99bdf273d3c57757201892a1745243c9e3aa22bc206ee1b77a2a9b",
        1384204,
        "35.41 37.58 31.79 33.67",
    ),
    _built_in(
        3,
        "d90cb7ecd46673fc82aca249aba90cc0f5f8739ae911b73595f7dbbddd959257",
        1569156,
        "31.75 33.70 28.62 30.40",
    ),
    _built_in(
        4,
        "7b6e7746a72a7af53c5ec3eba24731b2c603c4039dfe7aed4f915d9c9c243218",
        1532364,
        "29.46 31.34 26.69 28.43",
    ),
    ModelCard(
        name="edsr-light-x2-microscopy",
        title="EDSR light x2 microscopy (grey, blurred and noisy)",
        config=replace(EDSRConfig.light(2), n_colors=1),
        filename="edsr_light_x2_microscopy.safetensors",
        sha256="bd33253f6a30ad8da2922d169e326d81ae38f8f0f86260582020397b9d0c93db",
        bytes=1379228,
        licence="BSD-3-Clause",
        credit="The napari-edsr authors; images as listed in models/CREDITS.md",
        source="trained for napari-edsr on CC0 fluorescence images",
        scores=dict(zip(KEPT_SCORES, (35.60, 29.70, 32.49), strict=True)),
        kind="built-in",
    ),
)
OFFICIAL = (
    _snu(
        "edsr_baseline_x2",
        EDSRConfig.baseline(2, rgb_range=_WHITE),
        "1bc9523228fdc3b0a5ddb0d7062001e22b31bbb398ae09cfdefb97e8ee06e171",
        5490680,
        _y(37.99),
    ),
    _snu(
        "edsr_baseline_x3",
        EDSRConfig.baseline(3, rgb_range=_WHITE),
        "abf2a44e7a137228efa42a4264a23e12603168d43ac7596b1adef40c649b9240",
        6229240,
        _y(34.37),
    ),
    _snu(
        "edsr_baseline_x4",
        EDSRConfig.baseline(4, rgb_range=_WHITE),
        "6b446fab734f4de74448d2fd1f3f990f5bae726e49dc7eff2ae9cefe444a1723",
        6081831,
        _y(32.09),
    ),
    _snu(
        "mdsr_baseline",
        EDSRConfig.mdsr(16, rgb_range=_WHITE),
        "a00cab12f80c2a7cf0a15c3b9fcae3cfe9273121e8942692303e5010d1dca5ef",
        12924933,
    ),
    _snu("edsr_x2", EDSRConfig.large(2, rgb_range=_WHITE), "0edfb8a3", None, _y(38.11)),
    _snu("edsr_x3", EDSRConfig.large(3, rgb_range=_WHITE), "ea3ef2c6", None, _y(34.65)),
    _snu("edsr_x4", EDSRConfig.large(4, rgb_range=_WHITE), "4f62e9ef", None, _y(32.46)),
    _snu("mdsr", EDSRConfig.mdsr(80, rgb_range=_WHITE), "4a78bedf"),
    _openmmlab(2, "20200604", "19fe95ea", 35.7592, 0.9372),
    _openmmlab(3, "20200608", "36d896f4", 32.3301, 0.8912),
    _openmmlab(4, "20200608", "3c2af8a3", 30.2223, 0.8500),
)
