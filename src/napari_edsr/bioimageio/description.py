"""The description of a package, ``rdf.yaml``, in format 0.5."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from napari_edsr.bioimageio.facts import CITATIONS, HOME, LIMITS, Facts
from napari_edsr.packages import OWN_KEY
from napari_edsr.zoo import count_parameters

#: Of 0.5 an early one, which all its readers take; nothing here is newer.
_FORMAT = "0.5.3"
_WHITE = 255.0
_COLORS = {1: ("intensity",), 3: ("red", "green", "blue")}


def describe(
    facts: Facts, files: Mapping[str, bytes], texts: Mapping[str, str], version: str
) -> dict[str, Any]:
    """The description as plain values.

    Parameters
    ----------
    facts : Facts
    files : mapping of str to bytes
        All others of the package.
    texts : mapping of str to str
        What `load_model` takes from it, as from a file of ours.
    version : str
        Of the torch that wrote the weights.
    """

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    licence = {"license": facts.spdx} if facts.spdx else {}
    return {
        "format_version": _FORMAT,
        "type": "model",
        "name": facts.name,
        "description": _summary(facts),
        "authors": facts.authors,
        "cite": [dict(entry) for entry in CITATIONS],
        **licence,
        "git_repo": HOME,
        "tags": _tags(facts),
        "documentation": "README.md",
        "covers": ["cover.png"],
        "attachments": [file(name) for name in files if name == "CREDITS.md"],
        "inputs": [_input(facts, file("test_input.npy"), file("sample_input.tif"))],
        "outputs": [_output(facts, file("test_output.npy"), file("sample_output.tif"))],
        "weights": {
            "pytorch_state_dict": {
                **file("edsr.pt"),
                "architecture": {
                    **file("edsr.py"),
                    "callable": "EDSR",
                    "kwargs": network_settings(facts),
                },
                "pytorch_version": version,
            },
            "torchscript": {
                **file("edsr_torchscript.pt"),
                "parent": "pytorch_state_dict",
                "pytorch_version": version,
            },
        },
        "config": {"bioimageio": _details(facts), OWN_KEY: dict(texts)},
    }


def network_settings(facts: Facts) -> dict[str, Any]:
    """Arguments of the class in `napari_edsr.bioimageio.network`."""
    settings = facts.config.to_dict()
    del settings["scales"]
    return {"scale": facts.scale, **settings}


def _summary(facts: Facts) -> str:
    return (
        f"Super-resolution: images become {facts.scale} times as high and wide. EDSR (Lim "
        f"et al., 2017) of {facts.config.n_resblocks} blocks of {facts.config.n_feats} "
        f"features, for intensities of 0 (black) to 255 (white). {LIMITS}"
    )


def _tags(facts: Facts) -> list[str]:
    network = "mdsr" if facts.config.multi_scale else "edsr"
    scale = f"x{facts.scale}"
    general = ["super-resolution", "image-restoration", "2d", "pytorch", "resnet"]
    return [*general, network, scale, "napari-edsr"]


def _details(facts: Facts) -> dict[str, Any]:
    return {
        "architecture_type": "EDSR",
        "model_parameter_count": count_parameters(facts.config),
        "out_of_scope_use": LIMITS,
        "task": "super-resolution",
    }


def _input(facts: Facts, test: Any, sample: Any) -> dict[str, Any]:
    def place(axis: str) -> dict[str, Any]:
        size = {"min": facts.least_side, "step": 1}
        # A whole number, so that what others divide by it is one, too.
        return {"type": "space", "id": axis, "size": size, "scale": float(facts.scale)}

    return {
        "id": "lr",
        "description": "the image, 0 black, 255 white",
        "axes": [*_outer_axes(facts), place("y"), place("x")],
        "data": {"type": "float32", "range": [0.0, _WHITE]},
        "preprocessing": [
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "scale_linear", "kwargs": {"gain": 1 / _WHITE}},
        ],
        "test_tensor": test,
        "sample_tensor": sample,
    }


def _output(facts: Facts, test: Any, sample: Any) -> dict[str, Any]:
    halo = facts.halo * facts.scale

    def place(axis: str) -> dict[str, Any]:
        size = {"tensor_id": "lr", "axis_id": axis, "offset": 0}
        return {"type": "space", "id": axis, "size": size, "scale": 1.0, "halo": halo}

    return {
        "id": "sr",
        "description": f"the image x{facts.scale}, not clipped",
        "axes": [*_outer_axes(facts), place("y"), place("x")],
        "data": {"type": "float32", "range": [None, None]},
        "postprocessing": [{"id": "scale_linear", "kwargs": {"gain": _WHITE}}],
        "test_tensor": test,
        "sample_tensor": sample,
    }


def _outer_axes(facts: Facts) -> list[dict[str, Any]]:
    colors = facts.config.n_colors
    names = list(_COLORS.get(colors, (f"channel{k}" for k in range(colors))))
    return [{"type": "batch"}, {"type": "channel", "channel_names": names}]
