"""Runs whose result goes to a file: which one, and what of it is there already."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_edsr import zoo
from napari_edsr._qt.output_options import SUFFIX
from napari_edsr.errors import FileError, ImageError
from napari_edsr.files import ImageFile, lazy_layer_file
from napari_edsr.stores import ngff, result
from napari_edsr.stores.plan import Wanted, difference

_NOT_INSTALLED = (
    "Results in files need the extra 'large': pip install 'napari-edsr[large]'."
)
#: Bytes; systems end at 255, and a suffix and what stands there meanwhile take some.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Found:
    """A result of ours where one is to go, as its own records tell.

    Attributes
    ----------
    share : float
        How much of it is there, from 0 to 1.
    made_with : str
        What it was made with, if that differs from what is asked for.
    """

    share: float
    made_with: str = ""


def plain_name(layer_name: str) -> str:
    """A layer's name as the name of a file that every system takes."""
    plain = re.sub(r"[^\w.-]+", "_", layer_name.replace("×", "x")).strip("_")
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore") or "image"


def suggested_path(layers: Sequence[Image], scale: int) -> Path | None:
    """Beside the file of the only layer, or a folder for several; else in the home."""
    if not layers:
        return None
    source = layers[0].source.path
    folder = Path(source).parent if source else Path.home()
    if not os.access(folder, os.W_OK):
        folder = Path.home()
    return folder / file_name(layers[0], scale) if len(layers) == 1 else folder


def file_name(layer: Image, scale: int) -> str:
    """Of a layer's result."""
    return f"{plain_name(layer.name)}_x{scale}{SUFFIX}"


def checked_path(text: str, layer: Image, scale: int) -> str:
    """The file of a layer's result; of a folder one in it.

    Raises
    ------
    FileError
        If nothing can be written there, saying what to do.
    """
    path = Path(text).expanduser()
    if find_spec("zarr") is None:
        raise FileError(_NOT_INSTALLED)
    if path.suffix.lower() != ".zarr" and os.path.isdir(path):
        path /= file_name(layer, scale)
    if not text or path.suffix.lower() != ".zarr":
        raise FileError(f"End the name of the file in {SUFFIX}.")
    if not os.path.isdir(path.parent):  # `Path.is_dir` raises where it may not look
        raise FileError(f"There is no folder {path.parent}; choose another.")
    if not os.access(path.parent, os.W_OK):
        raise FileError(f"Nothing can be written in {path.parent}; choose another.")
    return str(path.absolute())


def check_storable(axes: str, options: Mapping[str, Any]) -> None:
    """Refuse early what the core would refuse."""
    if options.get("uncertainty"):
        raise ImageError(
            "The uncertainty is not written to a file; leave it out under Quality."
        )
    ngff.stored_axes(axes)


def likeness(layer: Image) -> ImageFile:
    """What the file is to say of place and look; nothing of the layer is read."""
    like = lazy_layer_file(*layer.as_layer_data_tuple()[:2])
    spatial = like.axes.replace("S", "")
    scales = zip(spatial, layer.scale, strict=True)
    sizes = {axis: abs(float(size)) for axis, size in scales if axis in "ZYX"}
    return replace(
        like,
        pixel_size=like.pixel_size or sizes,
        channel_names=() if "C" in spatial or layer.rgb else (layer.name,),
    )


def found_at(path: str, model: str, axes: str, wanted: Wanted) -> Found | None:
    """What stands there; image and weights are compared when the run begins.

    Raises
    ------
    FileError
        If it is not from here.
    """
    about = result.read_state(Path(path))
    if about is None:
        return None
    asked = {**wanted.plain(), "axes": axes}
    made_with = difference(asked, about["asked"])
    if not made_with and zoo.find_card(model) and model != about["asked"]["model"]:
        made_with = f"model {about['asked']['model']}"
    return Found(result.share_done(Path(path), about), made_with)
