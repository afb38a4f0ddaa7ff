"""Which image of one folder belongs to which of another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from napari_edsr.errors import FileError


def matching_images(
    truths: Sequence[Path], found: Sequence[Path], scale: int | None = None
) -> list[Path]:
    """Of each high-resolution image the file made from it, by name.

    Parameters
    ----------
    truths : sequence of Path
        Such as ``baby.png``.
    found : sequence of Path
        Files to choose from, called ``baby_x2``, ``babyx2`` (as DIV2K does) or
        ``baby``, with any suffix; ``.ome.tif`` is one.
    scale : int, optional
        Whose names are preferred to plain ones. None takes any scale, if there is only
        one.

    Returns
    -------
    list of Path
        In the order of `truths`.

    Raises
    ------
    FileError
        If an image has no match, several, or that of another one.
    """
    candidates = [_candidates(_name(truth), found, scale) for truth in truths]
    missing = [
        _name(truth)
        for truth, named in zip(truths, candidates, strict=True)
        if not named
    ]
    if missing:
        raise FileError(
            f"There is no {', '.join(missing)} in {found[0].parent}; names must be the "
            f"same, but for an ending _x{scale or 2}."
        )
    matches = [_only(named) for named in candidates]
    _refuse_sharing(truths, matches)
    return matches


def _name(path: Path) -> str:
    """Without suffix."""
    return re.sub(r"(?i)\.ome$", "", path.stem)


def _candidates(name: str, found: Sequence[Path], scale: int | None) -> list[Path]:
    """Files with the most telling name that there is."""
    plain = re.escape(name)
    endings = [rf"_?[xX]{scale}", ""] if scale else ["", r"_?[xX]\d+"]
    for ending in endings:
        named = [path for path in found if re.fullmatch(plain + ending, _name(path))]
        if named:
            return named
    return []


def _only(named: list[Path]) -> Path:
    if len(named) > 1:
        names = " and ".join(path.name for path in named[:2])
        raise FileError(f"{names} are of one image; leave one, or say the scale.")
    return named[0]


def _refuse_sharing(truths: Sequence[Path], matches: Sequence[Path]) -> None:
    owners: dict[Path, Path] = {}
    for truth, match in zip(truths, matches, strict=True):
        other = owners.setdefault(match, truth)
        if other != truth:
            raise FileError(
                f"{other.name} and {truth.name} both match {match.name}; leave one, or "
                "say the scale."
            )
