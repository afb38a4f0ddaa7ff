"""How published files name and scale the weights of an EDSR or MDSR, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor

from napari_edsr.config import EDSRConfig
from napari_edsr.model import build_model, default_mean

#: Tensors by name.
State = dict[str, Tensor]

MEANS = ("sub_mean.weight", "sub_mean.bias", "add_mean.weight", "add_mean.bias")
_ROUNDING = 2e-7  # relative, of a mean that was kept as float32


@dataclass(frozen=True)
class Layout:
    """One way to store a network.

    Attributes
    ----------
    name : str
        As in `LAYOUTS`.
    edsr : mapping of str to str
        The file's name of each canonical module. ``{i}`` counts the residual blocks
        and ``{n}`` is their number, ``{j}`` counts steps and ``{jj}`` is twice that.
    mdsr : mapping of str to str
        The same for an MDSR, with ``{k}`` for its branches; empty if it has none.
    rgb_range : float
        Value of white.
    has_mean : bool
        Whether its files hold the colour means.
    shifts_mean : bool
        Whether its networks subtract a mean at all.
    wrapper, prefix : str
        Key the weights lie under, if any, and how each of their names begins.
    """

    name: str
    edsr: Mapping[str, str]
    mdsr: Mapping[str, str]
    rgb_range: float
    has_mean: bool = True
    shifts_mean: bool = True
    wrapper: str = ""
    prefix: str = ""


_MMAGIC = {
    "conv_first": "conv_first",
    "body.{i}.conv1": "body.{i}.conv1",
    "body.{i}.conv2": "body.{i}.conv2",
    "conv_after_body": "conv_after_body",
    "upsample.{j}.upsample_conv": "upsample.{j}.upsample_conv",
    "conv_last": "conv_last",
}
_BASICSR = _MMAGIC | {"upsample.{j}.upsample_conv": "upsample.{jj}"}
_PYTORCH = {
    "conv_first": "head.0",
    "body.{i}.conv1": "body.{i}.body.0",
    "body.{i}.conv2": "body.{i}.body.2",
    "conv_after_body": "body.{n}",
    "upsample.{j}.upsample_conv": "tail.0.{jj}",
    "conv_last": "tail.1",
}
_PYTORCH_MDSR = {
    "conv_first": "head.0",
    "pre_process.{k}.{j}.conv1": "pre_process.{k}.{j}.body.0",
    "pre_process.{k}.{j}.conv2": "pre_process.{k}.{j}.body.2",
    "body.{i}.conv1": "body.{i}.body.0",
    "body.{i}.conv2": "body.{i}.body.2",
    "conv_after_body": "body.{n}",
    "upsample.{k}.{j}.upsample_conv": "upsample.{k}.{jj}",
    "conv_last": "tail.0",
}
_OWN_MDSR = {ours: ours for ours in _PYTORCH_MDSR}

LAYOUTS = {
    "napari-edsr": Layout("napari-edsr", _MMAGIC, _OWN_MDSR, 1.0),
    "mmagic": Layout(
        "mmagic", _MMAGIC, {}, 1.0, False, wrapper="state_dict", prefix="generator."
    ),
    "edsr-pytorch": Layout("edsr-pytorch", _PYTORCH, _PYTORCH_MDSR, 255.0),
    "super-image": Layout(
        "super-image", _PYTORCH, _PYTORCH_MDSR, 1.0, shifts_mean=False
    ),
    "basicsr": Layout("basicsr", _BASICSR, {}, 255.0, False, wrapper="params"),
}


@lru_cache(maxsize=8)
def tensor_shapes(config: EDSRConfig) -> Mapping[str, tuple[int, ...]]:
    """Shape of each tensor of a network, by its canonical name."""
    with torch.device("meta"):
        state = build_model(config).state_dict()
    return {name: tuple(value.shape) for name, value in state.items()}


def tensor_names(layout: Layout, config: EDSRConfig) -> dict[str, str]:
    """Name that a layout gives to each tensor, by its canonical name."""
    modules = dict(_modules(layout.mdsr if config.multi_scale else layout.edsr, config))
    names = {}
    for name in tensor_shapes(config):
        module, _, kind = name.rpartition(".")
        names[name] = f"{modules.get(module, module)}.{kind}"
    return names


def _modules(table: Mapping[str, str], config: EDSRConfig) -> Iterator[tuple[str, str]]:
    counts = {"i": config.n_resblocks, "j": 2, "k": len(config.scales)}
    for ours, theirs in table.items():
        used = [letter for letter in counts if f"{{{letter}}}" in ours]
        for numbers in product(*(range(counts[letter]) for letter in used)):
            index = dict(zip(used, numbers, strict=True))
            more = {"n": config.n_resblocks, "jj": 2 * index.get("j", 0)}
            yield ours.format(**index), theirs.format(**index, **more)


def usual_means(config: EDSRConfig, *, zero: bool = False) -> State:
    """The four tensors of the colour means where a file has none, in float64."""
    mean = torch.tensor(default_mean(config), dtype=torch.float64) * config.rgb_range
    mean = mean * 0 if zero else mean
    colors = config.n_colors
    same = torch.eye(colors, dtype=torch.float64).view(colors, colors, 1, 1)
    return dict(zip(MEANS, (same, -mean, same.clone(), mean), strict=True))


def unrounded_means(means: Mapping[str, Tensor], config: EDSRConfig) -> State:
    """Means of a file in float64, the usual ones with all their digits."""
    usual = usual_means(config)
    wide = {name: means[name].double() for name in MEANS}
    return {
        name: torch.where(_is_close(wide[name], usual[name]), usual[name], wide[name])
        for name in MEANS
    }


def has_usual_means(means: Mapping[str, Tensor], config: EDSRConfig) -> bool:
    """Whether a layout without means can hold the network."""
    usual = usual_means(config)
    return all(
        bool(_is_close(means[name].double(), usual[name]).all()) for name in MEANS
    )


def _is_close(value: Tensor, usual: Tensor) -> Tensor:
    return (value - usual).abs() <= _ROUNDING * usual.abs()


def rescaled(state: Mapping[str, Tensor], source: float, target: float) -> State:
    """Canonical weights made for an `rgb_range` of `source`, for one of `target`.

    Computed in float64 and rounded once to each tensor's own dtype.
    """
    shrinks = ("conv_last.weight", "conv_last.bias", "sub_mean.bias", "add_mean.bias")
    scaled = dict(state)
    for name, white, divisor in (
        ("conv_first.weight", source, target),
        *((name, target, source) for name in shrinks),
    ):
        value = state[name]
        scaled[name] = (value.double() * white / divisor).to(value.dtype)
    return scaled
