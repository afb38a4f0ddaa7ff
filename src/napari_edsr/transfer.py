"""The network a training run starts from: fresh, or taken over from another."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from napari_edsr.checkpoints import load_model
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import TrainingError
from napari_edsr.layouts import State, rescaled
from napari_edsr.model import EDSR, MDSR, Provenance, build_model, weights_key
from napari_edsr.train_config import TrainConfig


def starting_network(config: TrainConfig) -> EDSR | MDSR:
    """Build the network of a configuration, with the weights of its `start`.

    What the starting model lacks is fresh, and follows from the seed: for another
    scale the upsampler, as the paper trains x3 and x4 from x2. From a narrower model a
    wider one starts as the same function.

    Raises
    ------
    TrainingError
        If the starting model is wider, or of another depth.
    CheckpointError, DownloadError, ModelError
        If it cannot be loaded.
    """
    base = load_model(config.start) if config.start else None
    shape = config.network or (base.config if base else EDSRConfig())
    network = _fresh(shape, config.seed)
    if base is not None:
        _check_sizes(base.config, shape)
        wide = _widened(base, shape.n_feats, config.seed)
        network.load_state_dict(_taken_over(wide, network))
        network.provenance = _descent(base)
    return network.train()


def blended(base: EDSR | MDSR, trained: EDSR | MDSR, share: float = 0.5) -> EDSR | MDSR:
    """A network between two of the same shape: the weights are mixed linearly.

    Parameters
    ----------
    base, trained : EDSR or MDSR
        Where the training began, and where it led.
    share : float
        Of `trained`, 0-1.

    Returns
    -------
    EDSR or MDSR
        New, with the provenance of `trained`.

    Raises
    ------
    TrainingError
        If the networks differ in shape, or the share is not between 0 and 1.

    References
    ----------
    Wang et al., "Deep Network Interpolation for Continuous Imagery Effect Transition",
    CVPR 2019.
    """
    if base.config != trained.config:
        raise TrainingError("Only networks of the same shape can be blended.")
    if not 0 <= share <= 1:
        raise TrainingError(f"The share of a blend is from 0 to 1, not {share}.")
    network = build_model(trained.config)
    start, end = base.state_dict(), trained.state_dict()
    mixed = {name: torch.lerp(start[name], end[name], share) for name in end}
    network.load_state_dict(mixed)
    network.provenance = trained.provenance
    return network.eval().requires_grad_(False)


def _fresh(shape: EDSRConfig, seed: int) -> EDSR | MDSR:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(shape)


def _descent(base: EDSR | MDSR) -> Provenance:
    """What is known of a model that was trained from another: its terms stay."""
    known = base.provenance
    source = f"trained from {known.name}"
    return Provenance(
        licence=known.licence,
        credit=known.credit,
        source=source + (f" ({known.source})" if known.source else ""),
        extra={"start_weights": weights_key(base)},
    )


def _taken_over(base: EDSR | MDSR, network: EDSR | MDSR) -> State:
    """The weights of `base` where they fit, those of `network` elsewhere."""
    state = rescaled(base.state_dict(), base.config.rgb_range, network.config.rgb_range)
    if base.config.n_colors != network.config.n_colors:
        state = _in_grey(state)
    fresh = network.state_dict()
    fits = {
        name: value.float()
        for name, value in state.items()
        if name in fresh and value.shape == fresh[name].shape
    }
    return {**fresh, **fits}


def _widened(base: EDSR | MDSR, n_feats: int, seed: int) -> EDSR | MDSR:
    """A network of more features that computes the same as `base`.

    Old features read nothing from new ones at first, while those are as fresh as ever:
    Wei et al., "Network Morphism", ICML 2016, with zeros for what is to be learnt.
    """
    if base.config.n_feats == n_feats:
        return base
    wide = _fresh(replace(base.config, n_feats=n_feats), seed)
    fresh, narrow = wide.state_dict(), base.state_dict()
    wide.load_state_dict({key: _corner(narrow[key], fresh[key]) for key in fresh})
    return wide


def _corner(narrow: Tensor, fresh: Tensor) -> Tensor:
    """The first outputs from the first inputs; pixel shuffle keeps features together."""
    wide = fresh.clone()
    wide[: len(narrow)] = 0
    wide[tuple(slice(size) for size in narrow.shape)] = narrow
    return wide


def _check_sizes(base: EDSRConfig, wanted: EDSRConfig) -> None:
    if base.n_feats > wanted.n_feats:
        raise TrainingError(
            f"The model to start from has n_feats {base.n_feats}, but the network is to "
            f"have {wanted.n_feats}; it cannot have fewer."
        )
    sizes = ("n_resblocks", "res_scale", "multi_scale")
    for size in sizes:
        if getattr(base, size) != getattr(wanted, size):
            raise TrainingError(
                f"The model to start from has {size} {getattr(base, size)}, but the "
                f"network is to have {getattr(wanted, size)}; make them equal."
            )
    if (base.n_colors, wanted.n_colors) not in ((3, 1), (wanted.n_colors,) * 2):
        raise TrainingError(
            f"A network of {wanted.n_colors} colours cannot start from one of "
            f"{base.n_colors}; choose another model."
        )


def _in_grey(state: State) -> State:
    """An RGB network as one of grey: equal colours in, the mean of its outputs out.

    The same but at the image's edges, where a colour network pads each colour with its
    own mean, and this one with the mean of those.
    """
    first, last = state["conv_first.weight"], state["conv_last.weight"]
    means, output = -state["sub_mean.bias"], state["add_mean.bias"]
    grey = means.mean(0, keepdim=True)
    moved = (first.sum((2, 3)) * (grey - means)).sum(1)
    one = torch.ones(1, 1, 1, 1)
    return {
        **state,
        "sub_mean.weight": one,
        "add_mean.weight": one,
        "sub_mean.bias": -grey,
        "add_mean.bias": output.mean(0, keepdim=True),
        "conv_first.weight": first.sum(1, keepdim=True),
        "conv_first.bias": state["conv_first.bias"] + moved,
        "conv_last.weight": last.mean(0, keepdim=True),
        "conv_last.bias": state["conv_last.bias"].mean(0, keepdim=True),
    }
