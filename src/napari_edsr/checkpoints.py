"""Loading EDSR and MDSR weights of every published layout, and saving them."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from napari_edsr import zoo
from napari_edsr.atomic import replacing
from napari_edsr.cards import ModelCard
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import CheckpointError, EDSRWarning, ModelError
from napari_edsr.layouts import (
    LAYOUTS,
    MEANS,
    Layout,
    State,
    has_usual_means,
    rescaled,
    tensor_names,
)
from napari_edsr.model import EDSR, MDSR, Provenance, build_model
from napari_edsr.packages import read_network_file
from napari_edsr.recognition import canonicalise, detect, infer_config, unwrap
from napari_edsr.safe_loading import WeightsFile

#: Layouts that `save_model` writes.
SAVED_LAYOUTS = ("napari-edsr", "mmagic", "edsr-pytorch", "basicsr")

_FORMAT = "1"
_FORMAT_KEY, _DIGEST_KEY = "napari_edsr_format", "contents_sha256"
_SUPER_IMAGE_FILE = re.compile(r"pytorch_model_[234]x\.pt")
_SUPER_IMAGE_KEYS = {"architectures", "scale", "n_feats", "res_scale"}
_ABOUT = ("name", "licence", "credit", "source")


@dataclass(frozen=True)
class _Description:
    """What a file says beside the weights."""

    config: EDSRConfig
    about: Mapping[str, str]
    extra: Mapping[str, Any]


def load_model(
    name_or_path: str | os.PathLike[str],
    *,
    res_scale: float | None = None,
    layout: str | None = None,
    rgb_range: float | None = None,
) -> EDSR | MDSR:
    """Load a network by its name in the zoo, or from a weights file.

    Width, depth, colours and scale are told from the tensors, and the layout from
    their names; nothing in the file is run. A file may be a BioImage.IO package with
    the weights ``pytorch_state_dict``.

    Parameters
    ----------
    name_or_path : str or path
        Such as ``"edsr-light-x2"``, ``"snu/edsr_baseline_x2"`` or ``"my/edsr.pth"``.
        A file of that name goes before a model of the zoo.
    res_scale : float, optional
        Factor on the residual branches, which only our own files store. By default
        0.1 for 32 blocks of 256 features, else 1.
    layout : str, optional
        One of `LAYOUTS`. Needed for a super-image file that is neither called
        ``pytorch_model_2x.pt`` nor lies beside its ``config.json``: its tensors are
        named as EDSR-PyTorch's.
    rgb_range : float, optional
        Value of white that the weights were trained for, if not the layout's.

    Returns
    -------
    EDSR or MDSR
        On the CPU, in evaluation mode, without gradients; float64 if the file is,
        else float32. Its `provenance` tells where it came from.

    Raises
    ------
    ModelError
        If no model of the zoo has that name, or a setting makes no sense.
    CheckpointError
        If the file is missing, damaged, unsafe, or no EDSR or MDSR.
    DownloadError
        If a model of the zoo could not be fetched.
    """
    _check_settings(layout, res_scale, rgb_range)
    path, card = locate(name_or_path)
    file, package = read_network_file(path)
    place = package.place if package else path
    try:
        own = _described(file)
        state = unwrap(file.contents)
        kind = LAYOUTS[_layout_name(place, own, state, layout)]
        config = infer_config(state, kind)
        asked = {"res_scale": res_scale, "rgb_range": rgb_range}
        known = [entry.config for entry in (card, own) if entry is not None]
        told = package.settings if package else _beside(path, kind)
        config = _settled(config, known, told, asked)
        model = _built(config, canonicalise(state, kind, config))
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be used: {error}.") from error
    said = own or _Description(config, package.about if package else {}, {})
    model.provenance = _provenance(path, file, kind, card, said)
    return model


def _check_settings(
    layout: str | None, res_scale: float | None, rgb_range: float | None
) -> None:
    if layout is not None and layout not in LAYOUTS:
        raise ModelError(
            f"Layout {layout!r} is unknown; choose one of: {', '.join(LAYOUTS)}."
        )
    given = [value for value in (res_scale, rgb_range) if value is not None]
    if not all(math.isfinite(value) and value > 0 for value in given):
        raise ModelError("res_scale and rgb_range must be positive numbers.")


def locate(name_or_path: str | os.PathLike[str]) -> tuple[Path, ModelCard | None]:
    """The file of a model, fetched if need be, and what the zoo knows of it."""
    path = Path(os.path.expanduser(name_or_path))
    if isinstance(name_or_path, os.PathLike) or os.path.isfile(path):
        return path, None  # Path.is_file raises where it may not look
    try:
        card = zoo.get_card(name_or_path)
    except ModelError:
        if path.suffix or path.is_absolute() or os.path.isdir(path):
            return path, None
        raise
    return zoo.fetch(card), card


def _described(file: WeightsFile) -> _Description | None:
    """What `save_model` wrote into the file; None in files of others.

    safetensors has no checksum, so that a flipped byte would load silently: ours is
    compared here.
    """
    texts = file.metadata
    if not {_FORMAT_KEY, _DIGEST_KEY} & texts.keys():
        return None
    if texts.get(_FORMAT_KEY, _FORMAT) != _FORMAT:
        raise CheckpointError(
            "it was written by a newer napari-edsr; update napari-edsr"
        )
    if texts.get(_DIGEST_KEY) != _digest(texts, unwrap(file.contents)):
        raise CheckpointError("its checksum differs, so it is damaged; copy it again")
    try:
        config = EDSRConfig.from_dict(json.loads(texts["config"]))
        origin = json.loads(texts["provenance"])
        about = {key: str(origin[key]) for key in _ABOUT}
        return _Description(config, about, dict(origin["extra"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            "its description cannot be read; copy it again"
        ) from error


def _digest(texts: Mapping[str, str], state: Mapping[str, torch.Tensor]) -> str:
    """Sha256 over all that a file of ours says, in an order of its own."""
    digest = hashlib.sha256()
    for key in sorted(texts.keys() - {_DIGEST_KEY}):
        digest.update(f"{key}={texts[key]}\n".encode())
    for name in sorted(state):
        tensor = state[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _layout_name(
    path: Path, own: _Description | None, state: Mapping[str, Any], asked: str | None
) -> str:
    """Layout of the file: what was asked for, if its tensors are so named."""
    found = "napari-edsr" if own else detect(state)
    if found == "edsr-pytorch" and _is_super_image(path):
        found = "super-image"
    if asked and LAYOUTS[asked].edsr != LAYOUTS[found].edsr:
        raise CheckpointError(f"its tensors are named as in {found}, not as in {asked}")
    return asked or found


def _is_super_image(path: Path) -> bool:
    """Whether its name or the file beside it says so; its tensors do not."""
    if _SUPER_IMAGE_FILE.fullmatch(path.name):
        return True
    settings = _settings_beside(path)
    if settings is None:
        return False
    if "model_type" in settings:
        return "dsr" in str(settings["model_type"]).lower()
    is_likely = not settings or bool(_SUPER_IMAGE_KEYS & set(settings))
    if is_likely:
        warnings.warn(
            f"{path.name} is read as super-image's, for the config.json beside it; if that "
            "is of another program, move one of them to another folder.",
            EDSRWarning,
            stacklevel=3,
        )
    return is_likely


def _settings_beside(path: Path) -> dict[str, Any] | None:
    """The ``config.json`` that super-image puts beside its weights, if any."""
    try:
        settings = json.loads(path.with_name("config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return settings if isinstance(settings, dict) else None


def _beside(path: Path, layout: Layout) -> dict[str, float | None]:
    """What super-image's settings add to the tensors; their rgb_range is unused."""
    settings = _settings_beside(path) if layout.name == "super-image" else None
    value = (settings or {}).get("res_scale")
    return {"res_scale": value if isinstance(value, int | float) else None}


def _settled(
    config: EDSRConfig,
    known: Sequence[EDSRConfig],
    *settings: Mapping[str, float | None],
) -> EDSRConfig:
    """Add what the tensors do not tell, the last that is given counting."""
    for other in known:
        told: dict[str, Any] = {
            key: getattr(other, key) for key in ("res_scale", "rgb_range")
        }
        config = replace(config, **told)
        if config != other:
            raise CheckpointError(
                f"its tensors make {config}, but it should be {other}; download it again"
            )
    given: dict[str, Any] = {}
    for part in settings:
        given |= {key: value for key, value in part.items() if value is not None}
    try:
        return replace(config, **given)
    except ModelError as error:
        raise CheckpointError(f"its settings make no sense: {error}") from error


def _built(config: EDSRConfig, state: State) -> EDSR | MDSR:
    with torch.device("meta"):  # neither memory nor random numbers for what is replaced
        model = build_model(config)
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def _provenance(
    path: Path,
    file: WeightsFile,
    layout: Layout,
    card: ModelCard | None,
    said: _Description,
) -> Provenance:
    """The card's word counts, then the file's."""
    about = dict(said.about)
    if card is not None:
        about |= {key: getattr(card, key) for key in _ABOUT if getattr(card, key)}
    return Provenance(
        path=str(path),
        sha256=file.sha256,
        layout=layout.name,
        extra=said.extra,
        **{"name": path.stem, **about},
    )


def save_model(
    model: EDSR | MDSR,
    path: str | os.PathLike[str],
    *,
    layout: str = "napari-edsr",
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Save a network, whole or not at all.

    Parameters
    ----------
    model : EDSR or MDSR
    path : str or path
        Replaced if it exists.
    layout : str
        One of `SAVED_LAYOUTS`. ``"napari-edsr"`` is a safetensors file with the
        configuration, provenance and licence in its metadata; the others are for use
        with those packages, their weights scaled to the range they expect. They can
        not hold a `res_scale` or `rgb_range`, which are to be given when loading.
    metadata : mapping, optional
        More to keep in a ``"napari-edsr"`` file, as JSON values. ``name``,
        ``licence``, ``credit`` and ``source`` replace those of `model.provenance`.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ModelError
        If the layout is unknown.
    CheckpointError
        If the layout cannot hold this network.
    FileError
        If the file cannot be written.
    """
    if layout not in SAVED_LAYOUTS:
        choices = ", ".join(SAVED_LAYOUTS)
        raise ModelError(
            f"Layout {layout!r} cannot be written; choose one of: {choices}."
        )
    chosen, path = LAYOUTS[layout], Path(path)
    if layout == "napari-edsr":
        data = safetensors.torch.save(*own_contents(model, metadata))
    else:
        data = _pickled(chosen, _renamed(model, chosen))
    with replacing(path) as partial:
        partial.write_bytes(data)
    return path


def own_contents(
    model: EDSR | MDSR, metadata: Mapping[str, Any] | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors by name, and what is said about them, as a file of ours has them.

    Parameters
    ----------
    model : EDSR or MDSR
    metadata : mapping, optional
        As for `save_model`.
    """
    weights = _renamed(model, LAYOUTS["napari-edsr"])
    texts = _texts(model, metadata or {})
    return weights, {**texts, _DIGEST_KEY: _digest(texts, weights)}


def _pickled(layout: Layout, weights: State) -> bytes:
    contents = {"meta": {}, layout.wrapper: weights} if layout.wrapper else weights
    stream = io.BytesIO()
    torch.save(contents, stream)
    return stream.getvalue()


def _renamed(model: EDSR | MDSR, layout: Layout) -> dict[str, torch.Tensor]:
    """Its tensors as a layout names and scales them."""
    config = model.config
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    if config.multi_scale and not layout.mdsr:
        raise CheckpointError(
            f"The layout {layout.name} has no MDSR; choose napari-edsr or edsr-pytorch."
        )
    if not layout.has_mean and not has_usual_means(state, config):
        raise CheckpointError(
            f"The layout {layout.name} cannot hold this network's own colour means; "
            "choose napari-edsr or edsr-pytorch."
        )
    if layout.name != "napari-edsr":
        state = rescaled(state, config.rgb_range, layout.rgb_range)
    names = tensor_names(layout, config)
    kept = [name for name in names if layout.has_mean or name not in MEANS]
    return {layout.prefix + names[name]: state[name].contiguous() for name in kept}


def _texts(model: EDSR | MDSR, metadata: Mapping[str, Any]) -> dict[str, str]:
    """What is said about the network in a file of ours."""
    origin = model.provenance
    about = {key: str(metadata.get(key, getattr(origin, key))) for key in _ABOUT}
    extra = {**origin.extra, **{k: v for k, v in metadata.items() if k not in _ABOUT}}
    if origin.sha256 and origin.layout != "napari-edsr":
        extra["made_from"] = f"{origin.layout} file with sha256 {origin.sha256}"
    return {
        "format": "pt",  # read by other safetensors tools
        _FORMAT_KEY: _FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "provenance": json.dumps({**about, "extra": extra}, default=str),
        "licence": about["licence"],
    }
