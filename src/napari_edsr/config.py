"""The shape of a network, and what follows from it, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any

from napari_edsr.errors import ModelError

#: Mean colour of DIV2K, 0-1, subtracted before the network (EDSR, section 5.1).
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
SCALES = (2, 3, 4)
MDSR_PRE_BLOCKS = 2


@dataclass(frozen=True)
class EDSRConfig:
    """Hyperparameters of an EDSR, or of an MDSR when it has several scales.

    Parameters
    ----------
    scales : tuple of int
        Integer factors the network can upscale by: one for EDSR, several for MDSR.
    n_resblocks, n_feats : int
        Residual blocks in the body, and features per layer.
    n_colors : int
        Colour channels in and out.
    res_scale : float
        Factor on each residual branch: 0.1 in the paper's large network, else 1.
    rgb_range : float
        Value the weights take for white: 255 as published, 1 in mmagic's files.
    multi_scale : bool
        True for MDSR.

    References
    ----------
    Lim et al., "Enhanced Deep Residual Networks for Single Image
    Super-Resolution", CVPR Workshops 2017.
    """

    scales: tuple[int, ...] = (2,)
    n_resblocks: int = 16
    n_feats: int = 64
    n_colors: int = 3
    res_scale: float = 1.0
    rgb_range: float = 1.0
    multi_scale: bool = False

    def __post_init__(self) -> None:
        if not set(self.scales) <= set(SCALES):  # before int, which infinity breaks
            raise ModelError(f"Scales {self.scales} are not among {SCALES}.")
        object.__setattr__(self, "scales", tuple(int(scale) for scale in self.scales))
        if not self.scales:
            raise ModelError("A network needs a scale.")
        if len(self.scales) > 1 and not self.multi_scale:
            raise ModelError("An EDSR has one scale; several need multi_scale=True.")
        sizes = (self.n_resblocks, self.n_feats, self.n_colors)
        if min(sizes) < 1:
            raise ModelError(f"The sizes of a network must be positive: {self}.")
        for key in ("res_scale", "rgb_range"):
            if not _is_positive(value := getattr(self, key)):
                raise ModelError(f"{key} must be a positive number, not {value!r:.20}.")

    @classmethod
    def light(cls, scale: int = 2, **changes: Any) -> EDSRConfig:
        """16 blocks of 32 features: a quarter of the baseline's work."""
        return replace(cls(scales=(scale,), n_feats=32), **changes)

    @classmethod
    def baseline(cls, scale: int = 2, **changes: Any) -> EDSRConfig:
        """The paper's single-scale baseline: 16 blocks of 64 features."""
        return replace(cls(scales=(scale,)), **changes)

    @classmethod
    def large(cls, scale: int = 2, **changes: Any) -> EDSRConfig:
        """The paper's final EDSR: 32 blocks of 256 features, residuals x 0.1."""
        big = cls(scales=(scale,), n_resblocks=32, n_feats=256, res_scale=0.1)
        return replace(big, **changes)

    @classmethod
    def mdsr(cls, n_resblocks: int = 80, **changes: Any) -> EDSRConfig:
        """The paper's multi-scale network: 80 blocks (16 in its baseline) of 64."""
        multi = cls(scales=SCALES, n_resblocks=n_resblocks, multi_scale=True)
        return replace(multi, **changes)

    def receptive_field(self, scale: int) -> int:
        """Radius in input pixels beyond which nothing reaches an output pixel.

        A tile with this much context around it gives what the whole image gives.
        """
        radius = 1.0 + 2 * self.n_resblocks + 1
        if self.multi_scale:
            radius += MDSR_PRE_BLOCKS * 2 * 2  # two 5x5 convs in each block
        size = 1
        for factor in upsampling_steps(scale):
            radius += 1 / size
            size *= factor
        return math.ceil(radius + 1 / size)

    def flops(self, scale: int) -> float:
        """Operations per input pixel, a multiplication and an addition being two."""
        f, c = self.n_feats, self.n_colors
        tail, size = 0.0, 1
        for factor in upsampling_steps(scale):
            tail += 9.0 * size**2 * f * f * factor**2
            size *= factor
        return self._flops_before_tail() + 2 * (tail + 9.0 * size**2 * f * c)

    def folded_flops(self, scale: int) -> float:
        """Operations per input pixel with the tail folded, see `napari_edsr.folding`."""
        tail = 25.0 * self.n_feats * self.n_colors * scale**2
        return self._flops_before_tail() + 2 * tail

    def _flops_before_tail(self) -> float:
        f, c = self.n_feats, self.n_colors
        weights = 9.0 * (c * f + (2 * self.n_resblocks + 1) * f * f)
        if self.multi_scale:
            weights += MDSR_PRE_BLOCKS * 2 * 25 * f * f
        return 2 * weights

    def activation_bytes(self, scale: int) -> int:
        """Peak memory per input pixel of a tile run at once, in bytes: an upper estimate.

        A residual block holds its input, what is between its convolutions, and a copy
        of both with the rows around them.
        """
        at_body = 6 * self.n_feats
        at_tail = 2 * self.n_feats + 3 * self.n_colors * scale**2
        return 4 * max(at_body, at_tail)

    def row_bytes(self, scale: int, band: int = 8) -> int:
        """Peak memory per column of bands run one after the other: an upper estimate.

        Parameters
        ----------
        scale : int
        band : int
            Rows of a band. The last one brings those that waited as well.
        """
        waiting = self.receptive_field(scale)
        kept = 2 * 2 * (self.n_resblocks + 1)
        if self.multi_scale:
            kept += 2 * 4 * MDSR_PRE_BLOCKS
        return 4 * self.n_feats * (kept + 2 * waiting) + (
            band + waiting
        ) * self.activation_bytes(scale)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON or YAML."""
        return {**asdict(self), "scales": list(self.scales)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EDSRConfig:
        """Inverse of `to_dict`; keys it does not know are an error."""
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            raise ModelError(f"Unknown network settings: {', '.join(sorted(unknown))}.")
        return cls(**{**values, "scales": tuple(values.get("scales", (2,)))})


def _is_positive(value: object) -> bool:
    try:
        return isinstance(value, Real) and 0 < float(value) < math.inf
    except OverflowError:  # an integer of hundreds of digits
        return False


def upsampling_steps(scale: int) -> list[int]:
    """Factors of the pixel shuffles that make up `scale`: x4 is two steps of x2."""
    if scale not in SCALES:
        choices = ", ".join(f"x{known}" for known in SCALES)
        raise ModelError(f"Scale {scale} is not available; choose one of {choices}.")
    return [2, 2] if scale == 4 else [scale]
