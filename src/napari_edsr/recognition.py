"""Telling from a file's tensors which network they are, and checking all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from napari_edsr.config import DIV2K_MEAN, SCALES, EDSRConfig
from napari_edsr.errors import CheckpointError, ModelError, legible
from napari_edsr.layouts import (
    MEANS,
    Layout,
    State,
    tensor_names,
    tensor_shapes,
    unrounded_means,
    usual_means,
)

_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
_FIRST = ("head.0.weight", "conv_first.weight")
_DEEPEST = 4  # wrappers around the weights; a pickle may hold itself
#: What has one of these prefixes is the network; what has not is a discriminator...
_PARTS = ("generator_ema.", "generator.", "netG.")
#: Scalars that averaging and training keep beside the weights.
_COUNTERS = {"steps", "n_averaged", "step_counter"}
_OTHERS = {
    "rdb": "an ESRGAN (RRDBNet)",
    "conv_up1": "an ESRGAN",
    "upconv1": "an SRResNet",
    "relative_position": "a SwinIR or another transformer",
    "residual_group": "a SwinIR or RCAN",
    "conv_du": "an RCAN",
    "rcab": "an RCAN",
}
_ONLY = "only EDSR and MDSR can be loaded"
_WHOLE = "check that this is the whole file of an EDSR or MDSR"
_SHOWN, _LONGEST = 3, 80  # names in a message, letters of each
_DRIFT = 0.2  # of means that were trained by accident
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def unwrap(contents: object) -> dict[str, Any]:
    """What a file holds for the network, without wrappers and prefixes.

    Raises
    ------
    CheckpointError
        If it holds no tensors.
    """
    for _ in range(_DEEPEST):
        contents = _inner(contents)
    if not isinstance(contents, Mapping) or not _has_tensors(contents):
        raise CheckpointError("it holds no weights; save the model's state_dict()")
    state = {str(key): value for key, value in contents.items()}
    while (inner := _strip(state)) is not state:
        state = inner
    return {key: state[key] for key in state if key not in _COUNTERS}


def _inner(contents: object) -> object:
    """What the first wrapper holds, or `contents` where there is none."""
    parts = contents if isinstance(contents, Mapping) else {}
    inner = {key: part for key, part in parts.items() if isinstance(part, Mapping)}
    known = next((inner[key] for key in _WRAPPERS if key in inner), None)
    if known is not None:
        return known
    if _is_network(parts):
        return contents
    likely = {str(key): part for key, part in inner.items() if _is_network(part)}
    averaged = [part for key, part in likely.items() if key.lower().endswith("ema")]
    different = {id(part): part for part in averaged or likely.values()}
    if len(different) > 1:
        names = ", ".join(map(legible, likely))
        raise CheckpointError(f"it holds several networks ({names}); save one alone")
    return next(iter(different.values()), contents)


def _is_network(contents: Mapping[Any, Any]) -> bool:
    return any(str(key).endswith(_FIRST) for key in contents)


def _has_tensors(contents: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in contents.values())


def _strip(state: dict[str, Any]) -> dict[str, Any]:
    """Without one prefix, or `state` itself where there is none."""
    for prefix in _PARTS:
        part = [key for key in state if key.startswith(prefix)]
        if part:
            return {key.removeprefix(prefix): state[key] for key in part}
    part = [key for key in state if key not in _COUNTERS]
    prefix = f"{part[0].partition('.')[0]}." if part else ""
    inner = {key.removeprefix(prefix): state[key] for key in part}
    is_outer = _is_network(inner) and all(key.startswith(prefix) for key in part)
    return inner if is_outer else state


def detect(state: Mapping[str, Any]) -> str:
    """Name of the layout that has such keys.

    super-image's are those of EDSR-PyTorch: ``"edsr-pytorch"`` is returned for both.

    Raises
    ------
    CheckpointError
        If they are those of another architecture.
    """
    for mark, architecture in _OTHERS.items():
        if any(mark in key.lower() for key in state):
            raise CheckpointError(f"it looks like {architecture}; {_ONLY}")
    if _has(state, "head.0"):
        return "edsr-pytorch"
    if not _has(state, "conv_first"):
        raise CheckpointError(f"its tensors ({_few(state)}) are of no EDSR; {_ONLY}")
    if _has(state, "pre_process"):
        return "napari-edsr"
    steps = any(".upsample_conv." in key for key in state)
    return "mmagic" if steps else "basicsr"


def _has(state: Mapping[str, Any], module: str) -> bool:
    return any(key.startswith(f"{module}.") for key in state)


def infer_config(state: Mapping[str, Any], layout: Layout) -> EDSRConfig:
    """Shape of the network, told from its tensors.

    `res_scale` is the paper's, 0.1 for 32 blocks of 256 features and 1 otherwise;
    `rgb_range` is the layout's, or 1 where the colour means say so.

    Raises
    ------
    CheckpointError
        If they do not make an EDSR or MDSR.
    """
    multi_scale = _has(state, "pre_process")
    table = layout.mdsr if multi_scale else layout.edsr
    if not table:
        raise CheckpointError(f"it is an MDSR, which {layout.name} files never hold")
    n_feats, n_colors = _outs_and_ins(state, f"{table['conv_first']}.weight")
    n_resblocks = _count(state, "body") - ("{n}" in table["conv_after_body"])
    branches = range(_count(state, "pre_process") if multi_scale else 1)
    is_large = (n_feats, n_resblocks, multi_scale) == (256, 32, False)
    try:
        return EDSRConfig(
            scales=tuple(_scale(state, table, n_feats, k) for k in branches),
            n_resblocks=n_resblocks,
            n_feats=n_feats,
            n_colors=n_colors,
            res_scale=0.1 if is_large else 1.0,
            rgb_range=1.0 if _has_unit_means(state) else layout.rgb_range,
            multi_scale=multi_scale,
        )
    except ModelError as error:
        raise CheckpointError(f"it is incomplete; {_WHOLE}") from error


def _has_unit_means(state: Mapping[str, Any]) -> bool:
    """Whether the means are of colours from 0 to 1, in whatever way they were trained."""
    mean = state.get("add_mean.bias")
    if not isinstance(mean, Tensor) or mean.shape != (3,):
        return False
    _check_plain({"add_mean.bias": mean})
    return torch.allclose(mean.float(), torch.tensor(DIV2K_MEAN), rtol=_DRIFT)


def _outs_and_ins(state: Mapping[str, Any], key: str) -> tuple[int, int]:
    weight = state.get(key)
    if not isinstance(weight, Tensor) or weight.ndim != 4 or not weight.numel():
        raise CheckpointError(f"it lacks the convolution {key}; {_WHOLE}")
    _check_plain({key: weight})  # whose shape, else, may claim what it does not hold
    return weight.shape[0], weight.shape[1]


def _count(state: Mapping[str, Any], part: str) -> int:
    """One more than the largest index below `part`."""
    found = (re.match(rf"{part}\.(\d{{1,9}})\.", key) for key in state)
    count = max((int(match[1]) for match in found if match), default=-1) + 1
    if count > len(state):
        raise CheckpointError(
            f"it has {part}.{count - 1} but not those before; {_WHOLE}"
        )
    return count


def _scale(
    state: Mapping[str, Any], table: Mapping[str, str], n_feats: int, branch: int
) -> int:
    """Product of the factors of a branch's pixel shuffles."""
    name = next(theirs for ours, theirs in table.items() if "upsample_conv" in ours)
    pattern = name.format(k=branch, j=r"\d+", jj=r"\d+")
    modules = {key.rpartition(".")[0] for key in state}
    steps = sorted(module for module in modules if re.fullmatch(pattern, module))
    scale = math.prod(_factor(state, f"{step}.weight", n_feats) for step in steps)
    if scale in SCALES:
        return scale
    known = ", ".join(f"x{choice}" for choice in SCALES)
    raise CheckpointError(
        f"it upscales x{scale} (its upsampling: {_few(steps) or 'none'}); "
        f"only {known} can be loaded"
    )


def _factor(state: Mapping[str, Any], key: str, n_feats: int) -> int:
    """Factor of the pixel shuffle that follows a convolution."""
    outs, _ = _outs_and_ins(state, key)
    factor = math.isqrt(outs // n_feats)
    if factor < 2 or outs != n_feats * factor**2:
        raise CheckpointError(
            f"it has the wrong shapes: {key} makes {outs} of {n_feats} features; "
            f"{_WHOLE}"
        )
    return factor


def canonicalise(state: Mapping[str, Any], layout: Layout, config: EDSRConfig) -> State:
    """The network's tensors under canonical names, means included.

    All are of one dtype: float64 if any of the file's is, else float32.

    Raises
    ------
    CheckpointError
        If tensors are missing, unknown, of another shape, or not finite numbers.
    """
    names = tensor_names(layout, config)
    given = _given_means(state, layout, config)
    weights = {key: value for key, value in state.items() if key not in MEANS}
    _check_names(weights, {*names.values()} - {*MEANS})
    _check_plain(weights)
    found = {ours: weights[key] for ours, key in names.items() if ours not in MEANS}
    _check_shapes(found, tensor_shapes(config), names)
    _check_finite(weights)
    means = unrounded_means(given, config) if given else _default(layout, config)
    wide = any(value.dtype == torch.float64 for value in found.values())
    dtype = torch.float64 if wide else torch.float32
    every = {**found, **means}
    return {name: every[name].detach().to(dtype).contiguous() for name in names}


def _default(layout: Layout, config: EDSRConfig) -> State:
    return usual_means(config, zero=not layout.shifts_mean)


def _given_means(state: Mapping[str, Any], layout: Layout, config: EDSRConfig) -> State:
    """Colour means of the file, if it has any and its network uses them.

    EDSR-PyTorch stores three colours even for a network of one, and skips them.
    """
    given = {key: state[key] for key in MEANS if key in state}
    if not given or not layout.shifts_mean:
        return {}
    _check_names(given, {*MEANS})
    _check_plain(given)
    if config.n_colors != 3 and given["sub_mean.bias"].shape == (3,):
        return {}
    shapes = tensor_shapes(config)
    _check_shapes(given, {name: shapes[name] for name in MEANS}, {})
    _check_finite(given)
    return given


def _check_names(state: Mapping[str, Any], expected: set[str]) -> None:
    if missing := expected - state.keys():
        raise CheckpointError(f"it lacks {_few(missing)}; {_WHOLE}")
    if extra := state.keys() - expected:
        raise CheckpointError(f"it has {_few(extra)}, which no EDSR has; {_ONLY}")


def _check_plain(state: Mapping[str, Any]) -> None:
    def is_plain(value: object) -> bool:
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            return False
        held = value.device.type == "cpu" and value.untyped_storage().nbytes()
        return value.dtype in _DTYPES and held >= value.numel() * value.itemsize

    if odd := [key for key, value in state.items() if not is_plain(value)]:
        raise CheckpointError(f"{_few(odd)} hold no plain numbers; {_WHOLE}")


def _check_finite(state: Mapping[str, Tensor]) -> None:
    def is_finite(value: Tensor) -> bool:
        return all(bool(bound.isfinite()) for bound in value.aminmax())

    if bad := [key for key, value in state.items() if not is_finite(value)]:
        raise CheckpointError(
            f"{_few(bad)} hold NaN or infinity; the training that made it failed, "
            "use an earlier checkpoint"
        )


def _check_shapes(
    state: State, expected: Mapping[str, tuple[int, ...]], names: Mapping[str, str]
) -> None:
    wrong = [
        f"{names.get(name, name)} {tuple(value.shape)} instead of {expected[name]}"
        for name, value in state.items()
        if tuple(value.shape) != expected[name]
    ]
    if wrong:
        raise CheckpointError(f"it has the wrong shapes: {_few(wrong)}; {_WHOLE}")


def _few(names: Iterable[str]) -> str:
    """The first few names, in order, and how many more there are."""
    ordered = sorted(names)
    shown = ", ".join(legible(name)[:_LONGEST] for name in ordered[:_SHOWN])
    more = len(ordered) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
