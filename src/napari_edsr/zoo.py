"""Which models there are, where their files lie, and whether they are intact.

Three kinds of card: ``built-in`` (shipped in the package), ``imported`` (converted
from a user's own file, kept in the cache folder) and ``official`` (published by
others, downloaded on request). Every file is checked by sha256 before each use.
"""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pooch

from napari_edsr import cache
from napari_edsr.cards import BUILT_IN, OFFICIAL, ModelCard, count_parameters
from napari_edsr.config import EDSRConfig, upsampling_steps
from napari_edsr.download import host, iter_transfer
from napari_edsr.errors import DownloadError, EDSRWarning, ModelError
from napari_edsr.events import BytesDone, drain

__all__ = [
    "ModelCard",
    "count_parameters",
    "check_import_name",
    "default_model",
    "download_url",
    "fetch",
    "find_card",
    "free_name",
    "get_card",
    "import_target",
    "is_available",
    "iter_download",
    "list_cards",
    "microscopy_model",
    "record_import",
]

MIRROR_VARIABLE = "NAPARI_EDSR_MIRROR"
#: A file may be larger than expected, but never by more than this and a factor.
_SIZE_MARGIN = 1 << 20
_ABOUT = ("title", "licence", "credit", "source")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def list_cards() -> list[ModelCard]:
    """All models: built in, imported on this machine, official."""
    return [*BUILT_IN, *_imported(), *OFFICIAL]


def find_card(name: str) -> ModelCard | None:
    """Card of the model called `name`, if there is one."""
    return next((card for card in list_cards() if card.name == name), None)


def get_card(name: str) -> ModelCard:
    """Card of the model called `name`.

    Raises
    ------
    ModelError
        If there is none; the message names similar ones.
    """
    card = find_card(name)
    if card is not None:
        return card
    names = [other.name for other in list_cards()]
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = "'napari-edsr models list' shows them all."
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    raise ModelError(f"There is no model called {name!r}; {hint}")


def default_model(scale: int) -> str:
    """Name of the built-in model for `scale`: 2, 3 or 4."""
    upsampling_steps(scale)
    return f"edsr-light-x{scale}"


def microscopy_model(scale: int) -> str:
    """Name of the built-in model for grey microscopy; empty if there is none for `scale`."""
    name = f"edsr-light-x{scale}-microscopy"
    return name if any(card.name == name for card in BUILT_IN) else ""


def is_available(card: ModelCard) -> bool:
    """Whether the file is on this machine already; its hash is checked on use."""
    return os.path.isfile(card.path)  # Path.is_file raises where it may not look


def fetch(model: str | ModelCard) -> Path:
    """Verified file of a model, downloaded if it must be.

    Parameters
    ----------
    model : str or ModelCard
        A name of `list_cards`, or a card of one's own.

    Returns
    -------
    Path
        A file whose sha256 has just been checked.

    Raises
    ------
    ModelError
        If there is no such model.
    DownloadError
        If a file is missing or altered, or the download fails.
    """
    card = _card(model)
    if card.kind == "official" and not is_available(card):
        return drain(iter_download(card))
    return _verified(card)


def iter_download(
    model: str | ModelCard,
) -> Generator[BytesDone, None, Path]:
    """Download a model's file unless an intact one is there; closing it cancels.

    What has arrived stays in a ``.part`` file, from which the next attempt goes on.
    A second process asking for the same file waits for the first one.

    Parameters
    ----------
    model : str or ModelCard
        A name of `list_cards`, or a card of one's own.

    Yields
    ------
    BytesDone
        After each piece, at most 64 KiB.

    Returns
    -------
    Path
        The verified file.

    Raises
    ------
    ModelError
        If there is no such model.
    DownloadError
        If the file cannot be fetched or stored, or is not the one expected.
    """
    card = _card(model)
    if card.kind != "official":
        return _verified(card)
    if _is_intact(card):
        return _verified(card)
    with cache.writing():
        card.path.parent.mkdir(parents=True, exist_ok=True)
        with (yield from cache.iter_lock(card.path)):
            if not _is_intact(card):
                yield from _iter_part(card)
    return _verified(card)


def download_url(card: ModelCard) -> str:
    """Where an official file is fetched from, the mirror being asked if one is set."""
    mirror = os.environ.get(MIRROR_VARIABLE, "").strip()
    return f"{mirror.rstrip('/')}/{card.filename}" if mirror else str(card.url)


def import_target(name: str, *, replace_existing: bool = False) -> Path:
    """Where the file of a model to be imported as `name` belongs, its folder made.

    Raises
    ------
    ModelError
        As `check_import_name`.
    DownloadError
        If the cache folder cannot be written.
    """
    check_import_name(name, replace_existing=replace_existing)
    target = cache.folder() / _imported_filename(name)
    with cache.writing():
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and not replace_existing:
            _set_aside(target)
    return target


def _set_aside(path: Path) -> None:
    """Keep a file that no model is listed for, as after the record was damaged."""
    aside = path.with_name(f"{path.name}.unlisted")
    os.replace(path, aside)
    warnings.warn(
        f"{path} was of no listed model; it was renamed to {aside.name}.",
        EDSRWarning,
        stacklevel=3,
    )


def check_import_name(name: str, *, replace_existing: bool = False) -> None:
    """Refuse what a new model cannot be called.

    Raises
    ------
    ModelError
        If the name is not usable in a file name, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"{name!r} is no model name; use letters, digits, . _ and -.")
    taken = {card.name.lower(): card.kind for card in list_cards()}.get(name.lower())
    if taken and not (replace_existing and taken == "imported"):
        raise ModelError(
            f"The name {name!r} is taken by the {taken} model; choose another."
        )


def free_name(name: str) -> str:
    """The name, with a number after it if some model has it already."""
    taken = {card.name.lower() for card in list_cards()}
    free, number = name, 2
    while free.lower() in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def record_import(
    name: str,
    config: EDSRConfig,
    scores: Mapping[str, float] | None = None,
    **about: str,
) -> ModelCard:
    """List the file at ``import_target(name)`` as a model, with its sha256.

    Parameters
    ----------
    name : str
        What it will be called.
    config : EDSRConfig
        Shape of the network.
    scores : mapping of str to float, optional
        Measured figures of the card.
    **about : str
        ``title``, ``licence``, ``credit`` and ``source`` of the card.
    """
    path = cache.folder() / _imported_filename(name)
    entry: dict[str, Any] = {"config": config.to_dict(), **about}
    entry |= {"sha256": pooch.file_hash(str(path)), "scores": dict(scores or {})}
    card = _imported_card(name, entry)
    cache.record("imported", name, entry)
    return card


def _card(model: str | ModelCard) -> ModelCard:
    return model if isinstance(model, ModelCard) else get_card(model)


def _expected(card: ModelCard) -> str:
    """Sha256 the file must have, or start with: the recorded one where there is one."""
    if card.kind != "official":
        return card.sha256
    recorded = str(cache.recorded("sha256").get(card.filename))
    return recorded if recorded.startswith(card.sha256) else card.sha256


def _matches(path: Path, card: ModelCard) -> str:
    """Full sha256 of the file if it is the card's, else an empty string."""
    found = pooch.file_hash(str(path))
    return found if found.startswith(_expected(card)) else ""


def _is_intact(card: ModelCard) -> bool:
    try:
        return is_available(card) and bool(_matches(card.path, card))
    except OSError:
        return False


def _verified(card: ModelCard) -> Path:
    """The card's file, checked; its full sha256 is recorded at the first use."""
    try:
        found = _matches(card.path, card)
    except OSError as error:
        raise _missing(card, error) from error
    if not found:
        raise _altered(card)
    if found != _expected(card):
        _record_or_warn(card, found)
    return card.path


def _iter_part(card: ModelCard) -> Generator[BytesDone, None, None]:
    """Fetch the file and place it; a part that led to another file is thrown away once."""
    part = _part(card)
    resumed = part.is_file()
    if not (resumed and _matches(part, card)):
        yield from _iter_rest(card, part)
        if resumed and not _matches(part, card):
            part.unlink()
            yield from _iter_rest(card, part)
    _place(card, part)


def _iter_rest(card: ModelCard, part: Path) -> Generator[BytesDone, None, None]:
    factor = 2 if card.bytes else 4  # an unknown one may hold Adam's two moments
    limit = _SIZE_MARGIN + factor * card.size
    yield from iter_transfer(download_url(card), part, limit=limit)


def _place(card: ModelCard, part: Path) -> None:
    """Move the finished part to its place, unless it is not the file expected."""
    found = _matches(part, card)
    if not found:
        part.unlink()
        raise DownloadError(
            f"What {host(download_url(card))} sent is not the file expected (its sha256 differs); "
            f"it was deleted, so try again, or set {MIRROR_VARIABLE} to another server."
        )
    cache.place(card.filename, found, part)


def _part(card: ModelCard) -> Path:
    return card.path.with_name(f"{card.path.name}.part")


def _record_or_warn(card: ModelCard, sha256: str) -> None:
    """Record the full hash, or say so where the folder is read-only."""
    try:
        cache.record("sha256", card.filename, sha256)
    except DownloadError as error:
        warnings.warn(f"The hash was not recorded: {error}", EDSRWarning, stacklevel=2)


def _missing(card: ModelCard, error: OSError) -> DownloadError:
    reason = error.strerror or error
    return DownloadError(
        f"The file of {card.name} cannot be read ({reason}: {card.path}); {_again(card)}."
    )


def _altered(card: ModelCard) -> DownloadError:
    problem = f"The file of {card.name} is damaged (its sha256 differs: {card.path})"
    if card.kind != "official":
        return DownloadError(f"{problem}; {_again(card)}.")
    aside = card.path.with_name(f"{card.path.name}.damaged")
    try:
        os.replace(card.path, aside)
    except OSError:
        return DownloadError(f"{problem}; delete it and {_again(card)}.")
    return DownloadError(f"{problem}, and was renamed to {aside.name}; {_again(card)}.")


def _again(card: ModelCard) -> str:
    """What the user can do to have the file once more."""
    return {
        "built-in": "install napari-edsr again",
        "imported": "import it again",
        "official": f"download it again with 'napari-edsr models download {card.name}'",
    }[card.kind]


def _imported() -> list[ModelCard]:
    cards = []
    for name, entry in sorted(cache.recorded("imported").items()):
        try:
            cards.append(_imported_card(name, entry))
        except (KeyError, TypeError, ValueError, AttributeError):
            message = f"The record of the imported model {name!r} is damaged; import it again."
            warnings.warn(message, EDSRWarning, stacklevel=2)
    return cards


def _imported_card(name: str, entry: Mapping[str, Any]) -> ModelCard:
    sha256 = entry["sha256"]
    if not (_NAME.fullmatch(name) and re.fullmatch(r"[0-9a-f]{64}", sha256)):
        raise ValueError(name)
    about = {key: str(entry.get(key, "")) for key in _ABOUT}
    return ModelCard(
        name=name,
        title=about["title"] or name,
        config=EDSRConfig.from_dict(entry["config"]),
        filename=_imported_filename(name),
        sha256=sha256,
        licence=about["licence"] or "unknown",
        credit=about["credit"],
        source=about["source"],
        scores={key: float(value) for key, value in entry.get("scores", {}).items()},
        kind="imported",
    )


def _imported_filename(name: str) -> str:
    return f"imported/{name}.safetensors"
