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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pooch

from napari_edsr import cache
from napari_edsr.config import EDSRConfig, upsampling_steps
from napari_edsr.download import iter_transfer
from napari_edsr.errors import CheckpointError, DownloadError, EDSRWarning, ModelError
from napari_edsr.events import BytesDone, drain

MIRROR_VARIABLE = "NAPARI_EDSR_MIRROR"
SNU_URL = "https://cv.snu.ac.kr/research/EDSR/models/"
OPENMMLAB_URL = "https://download.openmmlab.com/mmediting/restorers/edsr/"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


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


def list_cards() -> list[ModelCard]:
    """All models: built in, imported on this machine, official."""
    return [*_BUILT_IN, *_imported(), *_OFFICIAL]


def get_card(name: str) -> ModelCard:
    """Card of the model called `name`.

    Raises
    ------
    ModelError
        If there is none; the message names similar ones.
    """
    cards = {card.name: card for card in list_cards()}
    if name in cards:
        return cards[name]
    near = difflib.get_close_matches(str(name), cards, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see the list of models."
    raise ModelError(f"There is no model called {name!r}; {hint}")


def default_model(scale: int) -> str:
    """Name of the built-in model for `scale`: 2, 3 or 4."""
    upsampling_steps(scale)
    return f"edsr-light-x{scale}"


def is_available(card: ModelCard) -> bool:
    """Whether the file is on this machine already; its hash is checked on use."""
    return card.path.is_file()


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
    CheckpointError
        If a built-in or imported file is missing or altered.
    DownloadError
        If a downloaded file is altered, or the download fails.
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
        If the file can not be fetched or stored, or is not the one expected.
    """
    card = _card(model)
    if card.kind != "official":
        return _verified(card)
    if is_available(card) and _matches(card.path, card):
        return _verified(card)
    with cache.writing():
        card.path.parent.mkdir(parents=True, exist_ok=True)
        with (yield from cache.iter_lock(card.path)):
            if not (is_available(card) and _matches(card.path, card)):
                yield from _iter_part(card)
                _place(card)
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
        If the name is not usable in a file name, or is taken.
    DownloadError
        If the cache folder can not be written.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"{name!r} is no model name; use letters, digits, . _ and -.")
    taken = {card.name.lower(): card.kind for card in list_cards()}.get(name.lower())
    if taken and not (replace_existing and taken == "imported"):
        raise ModelError(f"The name {name!r} is taken by the {taken} model; choose another.")
    target = cache.folder() / _imported_filename(name)
    with cache.writing():
        target.parent.mkdir(parents=True, exist_ok=True)
    return target


def record_import(name: str, config: EDSRConfig, **about: str) -> ModelCard:
    """List the file at ``import_target(name)`` as a model, with its sha256.

    Parameters
    ----------
    name : str
        What it will be called.
    config : EDSRConfig
        Shape of the network.
    **about : str
        ``title``, ``licence``, ``credit`` and ``source`` of the card.
    """
    path = cache.folder() / _imported_filename(name)
    entry = {"config": config.to_dict(), "sha256": pooch.file_hash(str(path)), **about}
    card = _imported_card(name, entry)
    cache.record("imported", name, entry)
    return card


def _card(model: str | ModelCard) -> ModelCard:
    return model if isinstance(model, ModelCard) else get_card(model)


def _expected(card: ModelCard) -> str:
    """Sha256 the file must have, or start with: the recorded one where there is one."""
    if card.kind != "official":
        return card.sha256
    recorded = cache.recorded("sha256").get(card.filename)
    fits = isinstance(recorded, str) and recorded.startswith(card.sha256)
    return recorded if fits else card.sha256


def _matches(path: Path, card: ModelCard) -> str:
    """Full sha256 of the file if it is the card's, else an empty string."""
    found = pooch.file_hash(str(path))
    return found if found.startswith(_expected(card)) else ""


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
    part = _part(card)
    if not (part.is_file() and _matches(part, card)):
        limit = _SIZE_MARGIN + 2 * card.size
        yield from iter_transfer(download_url(card), part, limit=limit)


def _place(card: ModelCard) -> None:
    """Let pooch check the finished part once more and move it to its place."""
    part = _part(card)
    found = _matches(part, card)
    if not found:
        part.unlink()
        raise DownloadError(
            f"What {download_url(card)} sent is not the file expected (its sha256 differs); "
            f"it was deleted, so try again, or set {MIRROR_VARIABLE} to another server."
        )

    def hand_over(url: str, output: str, store: pooch.Pooch) -> None:
        card.path.unlink(missing_ok=True)
        os.replace(part, output)

    store = cache.store({card.filename: found}, {card.filename: download_url(card)})
    store.fetch(card.filename, downloader=hand_over)


def _part(card: ModelCard) -> Path:
    return card.path.with_name(f"{card.path.name}.part")


def _record_or_warn(card: ModelCard, sha256: str) -> None:
    """Record the full hash, or say so where the folder is read-only."""
    try:
        cache.record("sha256", card.filename, sha256)
    except DownloadError as error:
        warnings.warn(f"The hash was not recorded: {error}", EDSRWarning, stacklevel=2)


def _missing(card: ModelCard, error: OSError) -> CheckpointError | DownloadError:
    problem = f"The file of {card.name} can not be read ({error.strerror}: {card.path})"
    if card.kind == "official":
        return DownloadError(f"{problem}; {_again(card)}.")
    return CheckpointError(f"{problem}; {_again(card)}.")


def _altered(card: ModelCard) -> CheckpointError | DownloadError:
    problem = f"The file of {card.name} is damaged (its sha256 differs: {card.path})"
    if card.kind != "official":
        return CheckpointError(f"{problem}; {_again(card)}.")
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
        except (KeyError, TypeError, ValueError):
            message = f"The record of the imported model {name!r} is damaged; import it again."
            warnings.warn(message, EDSRWarning, stacklevel=2)
    return cards


def _imported_card(name: str, entry: Mapping[str, Any]) -> ModelCard:
    sha256 = entry["sha256"]
    if not (_NAME.fullmatch(name) and re.fullmatch(r"[0-9a-f]{64}", sha256)):
        raise ValueError(name)
    about = {key: str(entry[key]) for key in _ABOUT if key in entry}
    return ModelCard(
        name=name,
        config=EDSRConfig.from_dict(entry["config"]),
        filename=_imported_filename(name),
        sha256=sha256,
        kind="imported",
        **{"title": name, **about},
    )


def _imported_filename(name: str) -> str:
    return f"imported/{name}.safetensors"


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
        title=f"{name.replace('_', ' ')} of EDSR-PyTorch",
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


def _openmmlab(scale: int, date: str, digits: str, rgb: float, ssim: float) -> ModelCard:
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
_ABOUT = ("title", "licence", "credit", "source")
#: A file may be larger than its tensors, but never by more than this and a factor 2.
_SIZE_MARGIN = 1 << 20
_BUILT_IN = (
    _built_in(
        2,
        "b79292c8e19126510f020879c232207a960458cd4449540e7695819b7c4f171a",
        1381908,
        "35.30 37.46 31.79 33.67",
    ),
    _built_in(
        3,
        "21d4f9410ab5708459fefac1cdc6523e44581abddd10219851e03f0b8fb3b5cc",
        1566868,
        "31.68 33.63 28.62 30.40",
    ),
    _built_in(
        4,
        "9afc9615daf4266ae62b390010d0123a76d40a6551c9f4017ee0a7a9cbe80c53",
        1530076,
        "29.40 31.28 26.69 28.43",
    ),
)
_OFFICIAL = (
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
    _snu("edsr_x2", EDSRConfig.large(2, rgb_range=_WHITE), "0edfb8a3"),
    _snu("edsr_x3", EDSRConfig.large(3, rgb_range=_WHITE), "ea3ef2c6"),
    _snu("edsr_x4", EDSRConfig.large(4, rgb_range=_WHITE), "4f62e9ef"),
    _snu("mdsr", EDSRConfig.mdsr(80, rgb_range=_WHITE), "4a78bedf"),
    _openmmlab(2, "20200604", "19fe95ea", 35.7592, 0.9372),
    _openmmlab(3, "20200608", "36d896f4", 32.3301, 0.8912),
    _openmmlab(4, "20200608", "3c2af8a3", 30.2223, 0.8500),
)
