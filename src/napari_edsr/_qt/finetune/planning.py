"""From what the controls say to a run, or to the one sentence why not."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psutil
from napari.layers import Image

from napari_edsr import zoo
from napari_edsr._qt import layers as geometry
from napari_edsr._qt.finetune.requests import FinetuneRequest, Lesson
from napari_edsr._qt.layer_part import LayerPart
from napari_edsr._qt.models import ModelChoice
from napari_edsr._qt.pairing import find_partner
from napari_edsr._qt.wording import in_bytes
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import ImageError, TrainingError
from napari_edsr.train_config import (
    DataConfig,
    Degradation,
    TrainConfig,
    finetuning,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_edsr.training_data import Window

#: Bytes that a run holds for each byte of its images: they, a copy, and the small side.
_COPIES = 2.5


@dataclass(frozen=True)
class Choices:
    """What the controls say.

    Attributes
    ----------
    name : str
        Of the new model.
    model : ModelChoice
        To start from.
    scale : int
    folders : mapping of str to int
        Folders of sharp images, and how many there are in each.
    degradation : Degradation
    is_real : bool
        Whether the low-resolution side is of real images,
    partner : Image or str
        and which layer that is; `BY_POSITION` to find it.
    lr_folder : str
        Those that belong to the folder.
    rectangle : bool
        Whether a rectangle is kept aside,
    share : float
        or this part of each image.
    grey : bool
        Whether to make a network of one channel where all images have one.
    training : mapping
        Steps and the like, arguments of `TrainConfig`.
    """

    name: str
    model: ModelChoice
    scale: int
    folders: Mapping[str, int]
    degradation: Degradation
    is_real: bool
    partner: Image | str
    lr_folder: str
    rectangle: bool
    share: float
    grey: bool
    training: Mapping[str, Any]


def plan(
    viewer: ViewerModel, layers: Sequence[Image], choices: Choices
) -> FinetuneRequest:
    """The run; an `EDSRError` says in a sentence why there is none."""
    zoo.check_import_name(choices.name)
    _check_folders(choices)
    if choices.is_real and choices.model.config.multi_scale:
        raise TrainingError(
            "A network of several scales learns all of them at once, which real pairs do "
            "not show; start from one of a single scale."
        )
    lessons = [_lesson(viewer, layer, choices) for layer in layers]
    if choices.rectangle and not any(lesson.held_out for lesson in lessons):
        raise ImageError(
            "The rectangle holds no pixel of the ticked images, or too few; move it or "
            "draw a larger one."
        )
    _check_memory(lessons)
    return FinetuneRequest(_config(layers, choices), lessons, choices.scale)


def check_ticked(layers: Sequence[Image], folders: Collection[str]) -> None:
    """Refuse, with an `ImageError`, to learn from nothing."""
    if not (layers or folders):
        raise ImageError("Tick a sharp image to learn from, or add a folder.")


def _check_folders(choices: Choices) -> None:
    if not choices.folders:
        return
    if choices.rectangle:
        raise TrainingError(
            "A rectangle lies in no folder; keep a share aside instead."
        )
    if choices.is_real and not choices.lr_folder:
        raise TrainingError("Choose the folder of the low-resolution images as well.")
    for folder, images_in in choices.folders.items():
        if not images_in:
            raise TrainingError(f"There are no images in {folder}; untick it.")


def _lesson(viewer: ViewerModel, layer: Image, choices: Choices) -> Lesson:
    spec = geometry.layer_spec(layer)
    region, lr = None, None
    if choices.is_real:
        candidates = _candidates(viewer, layer, choices.partner)
        partner, match = find_partner(layer, candidates, choices.scale)
        region, lr = match.hr, LayerPart.of(partner, match.lr)
    if spec.dtype.kind not in "iuf":
        raise TrainingError(
            f"{layer.name} holds {spec.dtype}; convert it to integers or floats to learn "
            "from it."
        )
    if min(spec.size("Y"), spec.size("X")) < 2 * choices.scale:
        raise TrainingError(f"{layer.name} is too small to learn from.")
    hr = LayerPart.of(layer, region)
    return Lesson(hr, lr, _held_out(viewer, layer, choices, hr))


def _candidates(viewer: ViewerModel, layer: Image, partner: Image | str) -> list[Image]:
    if isinstance(partner, Image):
        return [partner]
    return [
        other
        for other in geometry.image_layers(viewer.layers)
        if other is not layer and not geometry.is_made_here(other)
    ]


def _held_out(
    viewer: ViewerModel, layer: Image, choices: Choices, hr: LayerPart
) -> Window | float:
    if not choices.rectangle:
        return choices.share
    region = geometry.rectangle_region(geometry.drawn_shapes(viewer), layer)
    if region is None:
        return 0.0  # it lies in another of the images
    edges = []
    for axis, start in zip("YX", hr.corner, strict=True):
        length = hr.data.shape[hr.axes.index(axis)]
        edges += [min(max(edge - start, 0), length) for edge in region[axis]]
    y0, y1, x0, x1 = edges
    if min(y1 - y0, x1 - x0) < 2 * choices.scale:
        return 0.0  # no whole pixel of the low-resolution side
    return y0, y1, x0, x1


def _check_memory(lessons: Sequence[Lesson]) -> None:
    parts = [part for lesson in lessons for part in (lesson.hr, lesson.lr) if part]
    bytes_ = sum(math.prod(p.data.shape) * p.data.dtype.itemsize for p in parts)
    free = psutil.virtual_memory().available
    if _COPIES * bytes_ > free:
        raise TrainingError(
            f"Learning from these images takes {in_bytes(_COPIES * bytes_)} of memory, "
            f"and {in_bytes(free)} are free; tick fewer, or crop them."
        )


def _config(layers: Sequence[Image], choices: Choices) -> TrainConfig:
    return TrainConfig(
        name=choices.name,
        start=choices.model.key,
        network=_network(layers, choices),
        data=DataConfig(
            hr=tuple(choices.folders),
            lr=(choices.lr_folder,) if choices.is_real and choices.folders else (),
            held_out=0.0 if choices.rectangle else choices.share,
        ),
        degradation=choices.degradation,
        **{**finetuning(choices.training["steps"]), **choices.training},
    )


def _network(layers: Sequence[Image], choices: Choices) -> EDSRConfig | None:
    """Shape of one channel, if that is wanted and suits; else that of the base."""
    own = choices.model.config
    if choices.grey and own.n_colors == 3 and all_grey(layers, choices.folders):
        return replace(own, n_colors=1)
    return None


def all_grey(layers: Sequence[Image], folders: Collection[str]) -> bool:
    """Whether all there is to learn from are layers of one channel at a time."""
    return bool(layers) and not folders and not any(layer.rgb for layer in layers)


def suggested_name(
    layers: Sequence[Image], folders: Collection[str], scale: int
) -> str:
    """A name for the new model that no other has, e.g. ``"cells-x2"``."""
    first = layers[0].name if layers else next(iter(folders), "tuned")
    last = re.split(r"[\\/]", first.rstrip("\\/"))[-1]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._") or "tuned"
    return zoo.free_name(f"{plain[:60]}-x{scale}")


def estimate_text(request: FinetuneRequest, device: str) -> str:
    """What will happen, e.g. ``"2000 steps of 16 squares of 48 px, on CPU"``."""
    config = request.config
    partners = sorted({lesson.lr.name for lesson in request.lessons if lesson.lr})
    text = f"{config.steps} steps of {config.batch} squares of {config.patch} px, on {device}"
    if partners:
        text += f"; low-resolution side: {', '.join(partners)}"
    if config.network is not None:
        text += "; the network becomes one of a single channel"
    return text


def describe(layers: Sequence[Image], folders: Mapping[str, int]) -> str:
    """How much there is to learn from, e.g. ``"3 images, 12 Mpx"``."""
    specs = [geometry.layer_spec(layer) for layer in layers]
    pixels = sum(s.n_planes * s.size("Y") * s.size("X") for s in specs)
    planes = sum(spec.n_planes for spec in specs)
    texts = [f"{planes} image{'s' * (planes != 1)}, {_megapixels(pixels)}"] * bool(
        specs
    )
    texts += [f"{n} image{'s' * (n != 1)} in a folder" for n in folders.values()]
    return "; ".join(texts)


def _megapixels(pixels: float) -> str:
    millions = pixels / 1e6
    return f"{millions:.0f} Mpx" if millions >= 9.5 else f"{millions:.2g} Mpx"
