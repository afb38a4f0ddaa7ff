"""Loading EDSR and MDSR weights of every published layout, and saving them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from napari_edsr import zoo
from napari_edsr.atomic import replacing
from napari_edsr.cards import ModelCard
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import CheckpointError, ModelError
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
from napari_edsr.recognition import canonicalise, detect, infer_config, unwrap
from napari_edsr.safe_loading import WeightsFile, read_weights_file

#: Layouts that `save_model` writes.
SAVED_LAYOUTS = ("napari-edsr", "mmagic", "edsr-pytorch", "basicsr")

_FORMAT = "1"
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_SUPER_IMAGE_FILE = re.compile(r"pytorch_model_[234]x\.pt")
_SUPER_IMAGE_KEYS = {"model_type", "n_resblocks", "n_feats", "res_scale"}
_ABOUT = ("name", "licence", "credit", "source")


def load_model(
    name_or_path: str | os.PathLike[str],
    *,
    res_scale: float | None = None,
    layout: str | None = None,
    rgb_range: float | None = None,
) -> EDSR | MDSR:
    """Load a network by its name in the zoo, or from a weights file.

    Width, depth, colours and scale are told from the tensors, and the layout from
    their names; nothing in the file is run.

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
    path, card = _locate(name_or_path)
    file = read_weights_file(path)
    try:
        own = _own_metadata(file)
        state = unwrap(file.contents)
        kind = LAYOUTS[layout or _layout_name(path, own, state)]
        stored = EDSRConfig.from_dict(own["config"]) if own else None
        known = stored or (card.config if card else None)
        config = infer_config(state, kind)
        config = replace(
            config,
            res_scale=_first(res_scale, known and known.res_scale, config.res_scale),
            rgb_range=_first(rgb_range, stored and stored.rgb_range, config.rgb_range),
        )
        model = _built(config, canonicalise(state, kind, config))
    except CheckpointError as error:
        raise CheckpointError(f"{path} can not be used: {error}.") from error
    model.provenance = _provenance(path, file, kind, card, own)
    return model


def _check_settings(
    layout: str | None, res_scale: float | None, rgb_range: float | None
) -> None:
    if layout is not None and layout not in LAYOUTS:
        raise ModelError(f"Layout {layout!r} is unknown; choose one of: {', '.join(LAYOUTS)}.")
    if any(value is not None and not value > 0 for value in (res_scale, rgb_range)):
        raise ModelError("res_scale and rgb_range must be positive numbers.")


def _first(*values: float | None) -> float:
    """The first that is given."""
    return next(float(value) for value in values if value is not None)


def _locate(name_or_path: str | os.PathLike[str]) -> tuple[Path, ModelCard | None]:
    path = Path(name_or_path).expanduser()
    if path.is_file() or path.suffix.lower() in _SUFFIXES or path.is_absolute():
        return path, None
    card = zoo.get_card(str(name_or_path))
    return zoo.fetch(card), card


def _own_metadata(file: WeightsFile) -> dict[str, Any]:
    """What `save_model` wrote beside the weights; empty for files of others.

    safetensors has no checksum, so that a flipped byte would load silently: ours is
    compared here.
    """
    if "napari_edsr" not in file.metadata:
        return {}
    try:
        own: dict[str, Any] = json.loads(file.metadata["napari_edsr"])
        intact = own["sha256_of_tensors"] == _digest(unwrap(file.contents))
        EDSRConfig.from_dict(own["config"])
    except (ValueError, TypeError, KeyError, ModelError) as error:
        raise CheckpointError("its description is damaged; copy it again") from error
    if not intact:
        raise CheckpointError("its checksum differs, it was altered or damaged; copy it again")
    return own


def _digest(state: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _layout_name(path: Path, own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    if own:
        return "napari-edsr"
    name = detect(state)
    return "super-image" if name == "edsr-pytorch" and _is_super_image(path) else name


def _is_super_image(path: Path) -> bool:
    """Whether its name or the file beside it says so; its tensors do not."""
    if _SUPER_IMAGE_FILE.fullmatch(path.name):
        return True
    beside = path.with_name("config.json")
    try:
        settings = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and len(_SUPER_IMAGE_KEYS & settings.keys()) > 1


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
    own: Mapping[str, Any],
) -> Provenance:
    about = {key: str(own.get("about", {}).get(key, "")) for key in _ABOUT}
    if card is not None:
        about = {key: str(getattr(card, key)) for key in _ABOUT}
    about["name"] = about["name"] or path.stem
    extra = own.get("metadata", {})
    return Provenance(
        path=str(path), sha256=file.sha256, layout=layout.name, extra=extra, **about
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
        with those packages, their weights scaled to the range they expect.
    metadata : mapping, optional
        More to keep in a ``"napari-edsr"`` file, as JSON values.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If the layout is unknown.
    CheckpointError
        If the layout can not hold this network.
    FileError
        If the file can not be written.
    """
    if layout not in SAVED_LAYOUTS:
        choices = ", ".join(SAVED_LAYOUTS)
        raise ModelError(f"Layout {layout!r} can not be written; choose one of: {choices}.")
    chosen, path = LAYOUTS[layout], Path(path)
    weights = _renamed(model, chosen)
    with replacing(path) as partial:
        if layout == "napari-edsr":
            described = {"napari_edsr": json.dumps(_description(model, weights, metadata))}
            safetensors.torch.save_file(weights, partial, metadata=described)
        else:
            contents: dict[str, Any] = {chosen.wrapper: weights} if chosen.wrapper else weights
            torch.save(contents, partial)
    return path


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
            f"The layout {layout.name} can not hold this network's own colour means; "
            "choose napari-edsr or edsr-pytorch."
        )
    if layout.name != "napari-edsr":
        state = rescaled(state, config.rgb_range / layout.rgb_range)
    names = tensor_names(layout, config)
    kept = [name for name in names if layout.has_mean or name not in MEANS]
    return {layout.prefix + names[name]: state[name].contiguous() for name in kept}


def _description(
    model: EDSR | MDSR, weights: State, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    provenance = model.provenance.to_dict()
    return {
        "format": _FORMAT,
        "config": model.config.to_dict(),
        "about": {key: provenance[key] for key in _ABOUT},
        "made_from": {key: provenance[key] for key in ("sha256", "layout")},
        "metadata": {**provenance["extra"], **(metadata or {})},
        "sha256_of_tensors": _digest(weights),
    }
