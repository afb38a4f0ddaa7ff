"""A network and all that belongs to it, as a package for BioImage.IO."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from napari_edsr.atomic import replacing
from napari_edsr.bioimageio.description import describe, network_settings
from napari_edsr.bioimageio.documentation import readme
from napari_edsr.bioimageio.facts import Facts, facts_of
from napari_edsr.bioimageio.network import EDSR as Network
from napari_edsr.bioimageio.pictures import OnLevels, pictures
from napari_edsr.checkpoints import own_contents
from napari_edsr.engines import checked_scale
from napari_edsr.layouts import State
from napari_edsr.model import EDSR, MDSR, build_model

_CREDITS = "CREDITS.md"


def save_bioimageio(
    model: EDSR | MDSR, path: str | Path, scale: int | None = None
) -> Path:
    """Write a network as a BioImage.IO package, whole or not at all.

    The package has format 0.5. Its input ``lr`` is (N, C, H, W), 0 black and 255 white;
    its output ``sr`` is (N, C, scale*H, scale*W) float32 in the same range, not clipped.
    The halo is the network's receptive field. The weights are a state dict, with the
    network as a Python file that needs torch alone, and TorchScript. Licence, credit,
    citations, a sample, test tensors and a cover go along. `load_model` reads it.

    Parameters
    ----------
    model : EDSR or MDSR
        Taken to float32. Of an MDSR one scale is written.
    path : str or Path
        Replaced if it exists.
    scale : int, optional
        One of the network's; may be left out where there is only one.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ModelError
        If the network has no such scale, or several and none was named.
    FileError
        If the file cannot be written.
    """
    single = _of_one_scale(model, checked_scale(model.config, scale))
    facts = facts_of(single.provenance, single.config)
    content = _zipped(_members(single, facts))
    with replacing(Path(path)) as partial:
        partial.write_bytes(content)
    return Path(path)


def _of_one_scale(model: EDSR | MDSR, scale: int) -> EDSR | MDSR:
    """A copy in float32 on the CPU, without the branches of other scales."""
    single = build_model(replace(model.config, scales=(scale,)))
    state = model.state_dict()
    if model.config.multi_scale:
        branch = model.config.scales.index(scale)
        state = {name: state[_in_branch(name, branch)] for name in single.state_dict()}
    single.load_state_dict(state)
    single.provenance = model.provenance
    return single.eval().requires_grad_(False)


def _in_branch(name: str, branch: int) -> str:
    """A tensor's name where its branch is not the only one."""
    return re.sub(r"^(pre_process|upsample)\.0\.", rf"\g<1>.{branch}.", name)


def _members(model: EDSR | MDSR, facts: Facts) -> dict[str, bytes]:
    """Content of each file of the package, by its name."""
    weights, texts = own_contents(model)
    network = Network(**network_settings(facts)).eval().requires_grad_(False)
    network.load_state_dict(weights)
    made = {
        "README.md": readme(facts).encode(),
        "edsr.py": _shipped("bioimageio", "network.py"),
        "edsr.pt": _saved(weights),
        "edsr_torchscript.pt": _script(network),
        **pictures(
            _on_levels(network), facts.config.n_colors, facts.scale, facts.least_side
        ),
    }
    if _CREDITS in facts.credit:
        made[_CREDITS] = _shipped("models", _CREDITS)
    version = torch.__version__.partition("+")[0]
    content = describe(facts, made, texts, version)
    return {"rdf.yaml": _yaml(content), **made}


def _shipped(*place: str) -> bytes:
    return files("napari_edsr").joinpath(*place).read_bytes()


def _yaml(content: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def _saved(weights: State) -> bytes:
    """Not safetensors: bioimageio.core reads torch's own files alone."""
    stream = io.BytesIO()
    torch.save(weights, stream)
    return stream.getvalue()


def _script(network: Network) -> bytes:
    """TorchScript, for programs in other languages."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Torch advises other formats, which those programs do not read.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(network), stream)
    return _without_paths(stream)


def _without_paths(script: io.BytesIO) -> bytes:
    """Without the names of source files, and so of folders, on this machine."""
    with zipfile.ZipFile(script) as archive:
        kept = [i for i in archive.infolist() if not i.filename.endswith(".debug_pkl")]
        return _zipped({i.filename: archive.read(i) for i in kept}, zipfile.ZIP_STORED)


def _on_levels(network: Network) -> OnLevels:
    """The network on one image of 0-255, as the description says."""

    def run(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result = network(torch.from_numpy(planes)[None] / 255) * 255
        return result[0].numpy()

    return run


def _zipped(
    members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """An archive without the time at which it was made."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()
