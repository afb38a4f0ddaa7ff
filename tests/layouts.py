"""Checkpoints of every layout from one set of random weights, and the networks that
those packages run on them, written with `torch.nn.functional` straight on the file's
own tensors: what loading is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
MEAN = (0.4488, 0.4371, 0.4040)
FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}


@dataclass(frozen=True)
class Weights:
    """Convolutions of an EDSR for colours of 0-255, by part."""

    first: State
    blocks: list[tuple[State, State]]
    after: State
    steps: list[State]
    last: State
    colors: int = 3

    @classmethod
    def random(
        cls,
        scale: int,
        blocks: int = 2,
        feats: int = 8,
        *,
        colors: int = 3,
        dtype: torch.dtype = torch.float64,
        seed: int = 0,
    ) -> Weights:
        conv = _random_conv(seed, dtype)
        return cls(
            first=conv(colors, feats),
            blocks=[(conv(feats, feats), conv(feats, feats)) for _ in range(blocks)],
            after=conv(feats, feats),
            steps=[conv(feats, feats * factor**2) for factor in FACTORS[scale]],
            last=conv(feats, colors),
            colors=colors,
        )


def _random_conv(seed: int, dtype: torch.dtype) -> Callable[..., State]:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return 2 * torch.rand(shape, generator=generator, dtype=dtype) - 1

    def conv(n_in: int, n_out: int, size: int = 3) -> State:
        bound = (n_in * size**2) ** -0.5
        weight = random(n_out, n_in, size, size)
        return {"weight": weight * bound, "bias": random(n_out) * bound}

    return conv


def means(dtype: torch.dtype = torch.float64, white: float = 255.0) -> State:
    """`sub_mean` and `add_mean` as EDSR-PyTorch stores them."""
    mean = torch.tensor(MEAN, dtype=torch.float64) * white
    same = torch.eye(3, dtype=dtype).view(3, 3, 1, 1)
    return {
        "sub_mean.weight": same.clone(),
        "sub_mean.bias": -mean.to(dtype),
        "add_mean.weight": same.clone(),
        "add_mean.bias": mean.to(dtype),
    }


def _named(**convs: State) -> State:
    return {
        f"{name}.{kind}": value
        for name, conv in convs.items()
        for kind, value in conv.items()
    }


def edsr_pytorch(weights: Weights) -> State:
    state = means(weights.last["bias"].dtype) if weights.colors == 3 else {}
    for i, (one, two) in enumerate(weights.blocks):
        state |= _named(**{f"body.{i}.body.0": one, f"body.{i}.body.2": two})
    n = len(weights.blocks)
    steps = {f"tail.0.{2 * j}": step for j, step in enumerate(weights.steps)}
    ends = {"head.0": weights.first, f"body.{n}": weights.after, "tail.1": weights.last}
    return state | _named(**ends, **steps)


def super_image(weights: Weights) -> State:
    """For colours of 0-1, with means that its network does not use."""
    return edsr_pytorch(_for_white_of_1(weights))


def basicsr(weights: Weights, key: str = "params") -> dict[str, State]:
    steps = {f"upsample.{2 * j}": step for j, step in enumerate(weights.steps)}
    return {key: _basic(weights) | _named(**steps)}


def mmagic(weights: Weights) -> dict[str, object]:
    small = _for_white_of_1(weights)
    steps = {f"upsample.{j}.upsample_conv": step for j, step in enumerate(small.steps)}
    state = _basic(small) | _named(**steps)
    return {
        "meta": {"iter": 300000, "mmedit_version": "0.5.0"},
        "state_dict": {f"generator.{key}": value for key, value in state.items()},
    }


def _basic(weights: Weights) -> State:
    ends = {"conv_first": weights.first, "conv_after_body": weights.after}
    state = _named(**ends, conv_last=weights.last)
    for i, (one, two) in enumerate(weights.blocks):
        state |= _named(**{f"body.{i}.conv1": one, f"body.{i}.conv2": two})
    return state


def _for_white_of_1(weights: Weights) -> Weights:
    first, last = weights.first, weights.last
    return Weights(
        first={"weight": first["weight"] * 255, "bias": first["bias"]},
        blocks=weights.blocks,
        after=weights.after,
        steps=weights.steps,
        last={name: value / 255 for name, value in last.items()},
        colors=weights.colors,
    )


def mdsr(
    blocks: int = 2,
    feats: int = 8,
    scales: tuple[int, ...] = (2, 3, 4),
    *,
    dtype: torch.dtype = torch.float64,
) -> State:
    """State dict of an MDSR of EDSR-PyTorch."""
    conv = _random_conv(3, dtype)
    parts: dict[str, State] = {"head.0": conv(3, feats)}
    for k, scale in enumerate(scales):
        for j in range(2):
            for place in (0, 2):
                parts[f"pre_process.{k}.{j}.body.{place}"] = conv(feats, feats, 5)
        for j, factor in enumerate(FACTORS[scale]):
            parts[f"upsample.{k}.{2 * j}"] = conv(feats, feats * factor**2)
    for i in range(blocks):
        for place in (0, 2):
            parts[f"body.{i}.body.{place}"] = conv(feats, feats)
    parts |= {f"body.{blocks}": conv(feats, feats), "tail.0": conv(feats, 3)}
    return means(dtype) | _named(**parts)


def _conv(x: Tensor, state: State, name: str) -> Tensor:
    weight = state[f"{name}.weight"]
    bias = state[f"{name}.bias"]
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def _block(
    x: Tensor, state: State, one: str, two: str, res_scale: float = 1.0
) -> Tensor:
    return x + res_scale * _conv(F.relu(_conv(x, state, one)), state, two)


def run_edsr_pytorch(
    state: State, x: Tensor, blocks: int, scale: int, res_scale: float = 1.0
) -> Tensor:
    """0-255 in and out."""
    x = _conv(x, state, "sub_mean") if "sub_mean.bias" in state else x
    x = _tail(state, _conv(x, state, "head.0"), blocks, scale, res_scale)
    return _conv(x, state, "add_mean") if "add_mean.bias" in state else x


def run_super_image(
    state: State, x: Tensor, blocks: int, scale: int, res_scale: float = 1.0
) -> Tensor:
    """0-1 in and out, without the means."""
    return _tail(state, _conv(x, state, "head.0"), blocks, scale, res_scale)


def _tail(
    state: State, head: Tensor, blocks: int, scale: int, res_scale: float
) -> Tensor:
    x = head
    for i in range(blocks):
        x = _block(x, state, f"body.{i}.body.0", f"body.{i}.body.2", res_scale)
    x = head + _conv(x, state, f"body.{blocks}")
    for j, factor in enumerate(FACTORS[scale]):
        x = F.pixel_shuffle(_conv(x, state, f"tail.0.{2 * j}"), factor)
    return _conv(x, state, "tail.1")


def run_basicsr(
    state: State, x: Tensor, blocks: int, scale: int, res_scale: float = 1.0
) -> Tensor:
    """0-1 in and out, times 255 inside."""
    steps = ["upsample.0", "upsample.2"]
    mean = _mean_of(x)
    x = _plain(state, (x - mean) * 255.0, blocks, scale, res_scale, steps)
    return x / 255.0 + mean


def run_mmagic(
    state: State, x: Tensor, blocks: int, scale: int, res_scale: float = 1.0
) -> Tensor:
    """0-1 in and out; `state` without the prefix."""
    steps = ["upsample.0.upsample_conv", "upsample.1.upsample_conv"]
    mean = _mean_of(x)
    return _plain(state, x - mean, blocks, scale, res_scale, steps) + mean


def _mean_of(x: Tensor) -> Tensor:
    return torch.tensor(MEAN, dtype=x.dtype).view(1, 3, 1, 1)


def _plain(
    state: State, x: Tensor, blocks: int, scale: int, res_scale: float, steps: list[str]
) -> Tensor:
    head = x = _conv(x, state, "conv_first")
    for i in range(blocks):
        x = _block(x, state, f"body.{i}.conv1", f"body.{i}.conv2", res_scale)
    x = head + _conv(x, state, "conv_after_body")
    for name, factor in zip(steps, FACTORS[scale], strict=False):
        x = F.pixel_shuffle(_conv(x, state, name), factor)
    return _conv(x, state, "conv_last")


def run_mdsr(state: State, x: Tensor, blocks: int, branch: int, scale: int) -> Tensor:
    """0-255 in and out."""
    x = _conv(_conv(x, state, "sub_mean"), state, "head.0")
    for j in range(2):
        name = f"pre_process.{branch}.{j}.body"
        x = _block(x, state, f"{name}.0", f"{name}.2")
    start = x
    for i in range(blocks):
        x = _block(x, state, f"body.{i}.body.0", f"body.{i}.body.2")
    x = start + _conv(x, state, f"body.{blocks}")
    for j, factor in enumerate(FACTORS[scale]):
        x = F.pixel_shuffle(_conv(x, state, f"upsample.{branch}.{2 * j}"), factor)
    return _conv(_conv(x, state, "tail.0"), state, "add_mean")
