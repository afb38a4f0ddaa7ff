"""Upscaling an array: every plane tile by tile, equal to the untiled result."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_edsr import images, intensities
from napari_edsr.canvas import Canvas
from napari_edsr.engines import (
    checked_scale,
    iter_run,
    make_engines,
    tiling_for,
)
from napari_edsr.errors import DeviceError, FileError, ImageError
from napari_edsr.events import BytesDone, drain
from napari_edsr.files import ImageFile
from napari_edsr.images import Region
from napari_edsr.intensities import Range
from napari_edsr.kept import kept_model
from napari_edsr.model import EDSR, MDSR
from napari_edsr.runs import Event
from napari_edsr.stores.location import is_place, is_remote, location, roots
from napari_edsr.stores.plan import Wanted
from napari_edsr.storing import Here, Runner, StoredJob, iter_stored

Events = Generator[Event | BytesDone, None, "UpscaleResult"]


@dataclass(frozen=True)
class UpscaleResult:
    """What a run gives.

    Attributes
    ----------
    image : ndarray
        The upscaled image, or region, in the input's dtype and axes; a dask array where
        it was written to a file.
    axes : str
        One letter for each axis of `image`.
    metadata : dict
        Provenance as plain values: model, scale, device, precision, tile, ranges, ...
    uncertainty : ndarray of float32 or None
        Standard deviation over the self-ensemble in the input's intensities, of the
        shape of `image` without its axis S.
    """

    image: NDArray
    axes: str
    metadata: dict[str, Any]
    uncertainty: NDArray[np.float32] | None = None


def upscale(
    image: ArrayLike, model: str | Path | EDSR | MDSR, **options: Any
) -> NDArray:
    """Upscale an image.

    Parameters
    ----------
    image : array_like
        Grey, RGB, RGBA or multi-channel, with any leading axes; bool, integers or
        floats. See `iter_upscale`.
    model : str, Path, EDSR or MDSR
        A name (``"edsr-light-x2"``), a weights file, or a loaded model.
    **options
        As for `iter_upscale`: `scale`, `axes`, `tile`, `device`, `precision`,
        `normalize`, `self_ensemble`, ...

    Returns
    -------
    ndarray
        Exactly `scale` times as high and wide, of the same dtype and axes.

    Examples
    --------
    >>> from napari_edsr import samples, upscale
    >>> upscale(samples.photo_lr(), "edsr-light-x2", scale=2).dtype
    dtype('uint8')
    """
    return drain(iter_upscale(image, model, **options)).image


def iter_upscale(
    image: ArrayLike,
    model: str | Path | EDSR | MDSR,
    *,
    scale: int | None = None,
    axes: str | None = None,
    tile: int | str = "auto",
    device: str | torch.device = "auto",
    precision: str = "auto",
    normalize: str | Range = "auto",
    contrast_limits: Range | Sequence[Range] | None = None,
    self_ensemble: bool = False,
    uncertainty: bool = False,
    region: Region | None = None,
    out: NDArray | str | os.PathLike[str] | None = None,
    like: ImageFile | None = None,
    overwrite: bool = False,
    scheduler: str | None = None,
    workers: int = 0,
) -> Events:
    """Upscale an image part by part; closing the generator cancels within one pass.

    The result is the untiled one: bands of rows run through the network one after the
    other, or tiles with the network's receptive field around them. Planes along leading
    axes are upscaled one by one with one intensity range. NaN and infinities are filled
    for the network and come back as NaN.

    Parameters
    ----------
    image : array_like
        Real numbers or bool with at least two axes.
    model : str, Path, EDSR or MDSR
        A name (``"edsr-light-x2"``), a weights file, or a loaded model.
    scale : int, optional
        2, 3 or 4; the model's own by default.
    axes : str, optional
        One letter an axis, e.g. ``"TCYX"`` or ``"YXS"``; see `napari_edsr.images`.
    tile : int, "rows" or "auto"
        Side of a tile in input pixels, which is never changed. ``"rows"`` takes bands
        of rows from top to bottom, which computes nothing twice and needs little
        memory. ``"auto"`` means rows on a CPU without `self_ensemble`, else tiles as
        large as the work and the free memory allow; it halves when memory runs out.
    device : str or torch.device
        ``"auto"`` takes the first accelerator, else the CPU; ``"cuda:0,cuda:1"`` shares
        the tiles between several. ``"mnn"`` is the CPU with MNN, if that is installed:
        quicker, with an error of hundredths of a grey level.
    precision : {"auto", "fp32", "fp16", "bf16"}
        Of the body's convolutions; what they are added to stays in fp32. ``"auto"`` is
        half precision for 8-bit images where that is quicker and cannot be seen, see
        `napari_edsr.precision`, and fp32 for all others.
    normalize : str or (float, float)
        Intensities that the network sees as 0 and 1, see
        `napari_edsr.intensities.intensity_ranges`.
    contrast_limits : (float, float) or sequence of them, optional
        For ``normalize="contrast-limits"``.
    self_ensemble : bool
        Average eight flips and turns: eight times the work, a little more quality.
    uncertainty : bool
        Also return the ensemble's standard deviation; implies `self_ensemble`.
    region : mapping of str to (int, int), optional
        Part of the image by axis, in input pixels, e.g. ``{"Y": (0, 64), "T": (3, 4)}``.
        Its pixels are those of the whole run.
    out : ndarray, str or Path, optional
        Array of the result's shape and dtype to write into as tiles finish; or a file
        to be made, for results of any size: an OME-Zarr (``"x.ome.zarr"``), or a TIFF
        (``"x.tif"``), which is tiled and has several resolutions if it is large. Files
        take the extra ``large``. Called again with the same arguments after it was
        interrupted, it goes on from there and ends with the same bytes.
    like : ImageFile, optional
        What is known of the image, as `napari_edsr.files.read_image` gives it: pixel
        size, position, channels, contrast limits and the like go into that file.
    overwrite : bool
        Replace a result of other arguments.
    scheduler : str, optional
        Address of dask's scheduler, ``"tcp://host:8786"``, whose workers do the parts
        of a file; they must reach the image and the file under the same names.
    workers : int
        Processes of this machine that do so without a scheduler; each takes its share
        of the cores.

    Yields
    ------
    UpscalePlanned
        Before the first tile, and again if memory ran out.
    PassDone
        After each pass of the network over a tile but the last.
    TileDone
        After each tile.
    BytesDone
        While a large image is looked at before it goes to a file, and while a large
        TIFF is written.

    Returns
    -------
    UpscaleResult

    Raises
    ------
    ImageError
        If the image, its axes, range, region or `out` cannot be used.
    ModelError
        If the model is unknown or does not fit `scale` or the channels.
    CheckpointError, DownloadError
        If the weights cannot be read or fetched.
    DeviceError
        If the device is missing, or its memory does not suffice.
    FileError
        If `out` cannot be written, or holds another result.
    """
    given, image = image, images.as_source(image)
    spec = images.understand(image, axes)
    kept = kept_model(model)
    if is_place(out):
        _refuse_uncertainty(uncertainty)
        wanted = Wanted(
            scale=checked_scale(kept.model.config, scale),
            device=str(device),
            precision=precision,
            self_ensemble=self_ensemble,
            tile=tile,
            region=region,
            normalize=normalize,
            contrast_limits=contrast_limits,
        )
        path = location(str(out))
        place = path if is_remote(path) else path.resolve()  # of what a link leads to
        _refuse_itself(given, place)
        job = StoredJob(image, spec, kept, wanted, place.absolute(), path)
        with _runner(scheduler, workers) as runner:
            run = iter_stored(job, runner, like=like, overwrite=overwrite)
            stored = yield from run
        return UpscaleResult(stored.image, spec.axes, stored.metadata)
    if scheduler or workers:
        raise ImageError("Workers write to a file; name one, out='result.ome.zarr'.")
    engines = make_engines(
        kept,
        spec.dtype,
        scale=scale,
        device=device,
        precision=precision,
        self_ensemble=self_ensemble or uncertainty,
    )
    canvas = Canvas(
        image,
        spec,
        intensities.intensity_ranges(image, spec.axes, normalize, contrast_limits),
        n_colors=kept.model.config.n_colors,
        scale=engines[0].scale,
        region=region,
        out=out,  # type: ignore[arg-type]  # checked there
        uncertainty=uncertainty,
    )
    canvas.notes += intensities.sampling_notes(image, spec, normalize)
    tiling = tiling_for(tile, engines)
    metadata = yield from iter_run(canvas, engines, tiling, normalize)
    assert canvas.out is not None
    return UpscaleResult(canvas.out, spec.axes, metadata, canvas.uncertainty)


@contextmanager
def _runner(scheduler: str | None, workers: int) -> Iterator[Runner]:
    """What does the parts of a file: this process, or workers."""
    if scheduler is None and not workers:
        yield Here()
        return
    try:
        from napari_edsr.cluster import Cluster, connected
    except ImportError as error:
        raise DeviceError(
            "Workers need the extra 'large': pip install 'napari-edsr[large]'."
        ) from error
    with connected(scheduler, workers) as client:
        yield Cluster(client)


def _refuse_itself(image: Any, out: Path) -> None:
    """An image cannot be replaced by what is made of it."""
    for root in roots(image):
        if out.absolute() in (root, *root.parents):
            raise FileError(f"{out} is the image itself; name another output.")


def _refuse_uncertainty(uncertainty: bool) -> None:
    if uncertainty:
        raise ImageError("The uncertainty is not written to disk; leave it out.")
