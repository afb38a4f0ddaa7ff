"""What is known of a model, in the words of a BioImage.IO description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_edsr import zoo
from napari_edsr.config import EDSRConfig
from napari_edsr.model import Provenance

HOME = "https://github.com/napari-edsr/napari-edsr"
LIMITS = (
    "It invents plausible detail: do not measure on its output what the input does not "
    "show."
)
CITATIONS = (
    {
        "text": "Lim, B., Son, S., Kim, H., Nah, S., Lee, K. M.: Enhanced Deep Residual "
        "Networks for Single Image Super-Resolution. CVPR Workshops 2017.",
        "doi": "10.1109/CVPRW.2017.151",
    },
    {
        "text": "napari-edsr: EDSR and MDSR super-resolution for napari, Python and the "
        "command line.",
        "url": HOME,
    },
)

#: Licences of weights that one meets, as SPDX spells them; a description may name no
#: others, so that their words stand in the documentation alone.
_SPDX = (
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "CC0-1.0", "Unlicense"),
    *("CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"),
    *("GPL-3.0-only", "GPL-3.0-or-later", "LGPL-3.0-only", "MPL-2.0"),
)
_NO_NAME = re.compile(r"[^A-Za-z0-9_+\-() ]+")  # what a name may not hold
_LONGEST = 64  # letters of a name


@dataclass(frozen=True)
class Facts:
    """What a package tells its readers.

    Attributes
    ----------
    name : str
        5 to 64 letters, digits, spaces and ``_+-()``.
    config : EDSRConfig
        With one scale.
    licence, credit, source : str
        Empty where unknown.
    scores : mapping of str to float
        As in a model card.
    """

    name: str
    config: EDSRConfig
    licence: str
    credit: str
    source: str
    scores: Mapping[str, float]

    @property
    def scale(self) -> int:
        """The factor."""
        return self.config.scales[0]

    @property
    def halo(self) -> int:
        """Pixels of the input around a tile without which it would differ."""
        return self.config.receptive_field(self.scale)

    @property
    def least_side(self) -> int:
        """Pixels of the shortest side that may be described.

        The network takes any, but one must be left once the halo is cut off.
        """
        return 2 * self.halo + 1

    @property
    def spdx(self) -> str | None:
        """The licence, if SPDX has a name for it that is known here."""
        return self.licence if self.licence in _SPDX else None

    @property
    def authors(self) -> list[dict[str, str]]:
        """Whom the credit names first."""
        first = re.split("[:;]", self.credit)[0].replace("/", " ").strip()
        return [{"name": first}] if first else []


def facts_of(about: Provenance, config: EDSRConfig) -> Facts:
    """What the model's card and its own file say of it."""
    card = next((c for c in zoo.list_cards() if _is_of(c, about)), None)
    title = card.title if card else str(about.extra.get("title", ""))
    return Facts(
        name=_name(title or f"{_kind(config)} {about.name}", config),
        config=config,
        licence="" if about.licence == "unknown" else about.licence,
        credit=about.credit,
        source=about.source,
        scores=card.scores if card else _numbers(about.extra.get("scores")),
    )


def _is_of(card: zoo.ModelCard, about: Provenance) -> bool:
    return bool(about.sha256) and about.sha256.startswith(card.sha256)


def _kind(config: EDSRConfig) -> str:
    return "MDSR" if config.multi_scale else "EDSR"


def _name(title: str, config: EDSRConfig) -> str:
    """A title without what is not allowed, and with the scale."""
    scale = f"x{config.scales[0]}"
    full = title if scale in title else f"{title} {scale}"
    return " ".join(_NO_NAME.sub(" ", full).split())[:_LONGEST].strip()


def _numbers(scores: Any) -> dict[str, float]:
    """A stranger's file may say anything."""
    known = scores if isinstance(scores, Mapping) else {}
    return {str(k): float(v) for k, v in known.items() if isinstance(v, int | float)}
