"""What is to be upscaled, complete and independent of the widget, and the job itself."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_edsr import zoo
from napari_edsr._qt.busy import computing
from napari_edsr._qt.layers import iter_enlarge
from napari_edsr._qt.worker import Awaited
from napari_edsr.estimate import region_shape, region_slices
from napari_edsr.events import BytesDone, PassDone, TileDone, UpscalePlanned
from napari_edsr.images import Region, understand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_edsr._qt.to_file import Found
    from napari_edsr.files import ImageFile
    from napari_edsr.inference import UpscaleResult


@dataclass(frozen=True)
class UpscaleRequest:
    """One layer's run: a snapshot, so that the layer may change or go meanwhile.

    Attributes
    ----------
    data : array_like
        All of the source's pixels, possibly lazy; the engine reads ranges off the whole.
    axes : str
        One letter for each of its axes.
    scale, model, options
        Arguments of `napari_edsr.inference.iter_upscale`.
    region : mapping of str to (int, int)
        Part of the source to upscale, in its pixels; empty for all of it.
    settings : mapping
        Arguments of the `napari.layers.Image` that shows the result.
    name, source : str
        What the result's layer will be called, and what the source's is.
    preview : bool
        Whether the result is a preview, replaced by the next one.
    contrast_range : (float, float) or None
        How far the contrast limits of the result's layer can be moved.
    source_key : int
        Identity of the source's layer.
    out : str
        Path of the file that the result goes to; empty for one in memory.
    like : ImageFile or None
        What that file is to say of the source.
    found : Found or None
        What stood there when this was planned.
    overwrite : bool
        Whether to begin anew, whatever stands there.
    """

    data: Any
    axes: str
    scale: int
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    region: Region = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = "upscaled"
    source: str = ""
    preview: bool = False
    contrast_range: tuple[float, float] | None = None
    source_key: int = 0
    out: str = ""
    like: ImageFile | None = None
    found: Found | None = None
    overwrite: bool = False

    @cached_property
    def model_name(self) -> str:
        """Of a file only its name: folders are private."""
        return self.model if zoo.find_card(self.model) else Path(self.model).name

    @property
    def done_before(self) -> float:
        """Share of the result that an earlier run has left, from 0 to 1."""
        return 0.0 if self.found is None or self.overwrite else self.found.share

    @property
    def values(self) -> int:
        """Values of the source that are to be upscaled: how much work it is."""
        spec = understand(self.data, self.axes)
        return math.prod(region_shape(region_slices(spec, self.region), 1))


@dataclass(frozen=True)
class Placeholder(Awaited):
    """What shows the result while it is made.

    Attributes
    ----------
    image : ndarray or list of array
        The source enlarged, in the array into which the result will be written; or the
        resolutions of the file it goes to, read where they are looked at.
    """

    image: NDArray | list[Any]


UpscaleEvents = Generator[
    Placeholder | UpscalePlanned | PassDone | TileDone | BytesDone | None,
    None,
    "UpscaleResult",
]


def iter_request(request: UpscaleRequest) -> UpscaleEvents:
    """Do what was requested; the job of a worker.

    Yields
    ------
    Placeholder, then UpscalePlanned, PassDone and TileDone
        The array of the first is the result's and sharpens tile by tile. None comes
        before, after each plane that is read to fill it. Nothing comes after it where
        a file was finished before.

    Raises
    ------
    DeviceError
        If another run is under way in this program.
    EDSRError
        As `napari_edsr.inference.iter_upscale`.
    """
    with computing(f"Upscaling of {request.source}"):
        if request.out:
            return (yield from _iter_to_file(request))
        out = yield from iter_enlarge(
            request.data, request.axes, request.scale, request.region
        )
        yield Placeholder(out)
        from napari_edsr.inference import iter_upscale

        return (
            yield from iter_upscale(
                request.data,
                request.model,
                scale=request.scale,
                axes=request.axes,
                region=request.region,
                out=out,
                **request.options,
            )
        )


def _iter_to_file(request: UpscaleRequest) -> UpscaleEvents:
    """The file is there with the first event of the run, or was finished before."""
    yield None
    from napari_edsr.inference import iter_upscale
    from napari_edsr.stores.result import views

    job = iter_upscale(
        request.data,
        request.model,
        scale=request.scale,
        axes=request.axes,
        region=request.region,
        out=request.out,
        like=request.like,
        overwrite=request.overwrite,
        **request.options,
    )
    with closing(job):
        try:
            while isinstance(event := next(job), BytesDone):
                yield event  # it looks at the image
        except StopIteration as stop:
            yield Placeholder(views(Path(request.out), request.axes))
            return stop.value
        yield Placeholder(views(Path(request.out), request.axes))
        yield event
        return (yield from job)


def partial_metadata(
    request: UpscaleRequest, planned: UpscalePlanned | None, done: int
) -> dict[str, Any]:
    """Provenance of a result that is not finished: which tiles are, and how."""
    about: dict[str, Any] = {
        "partial": planned is None or done < planned.total,
        "model": request.model_name,
        "scale": request.scale,
        "axes": request.axes,
        "source": request.source,
        "region": {axis: list(span) for axis, span in request.region.items()},
        "tiles": done,
    }
    if request.out:
        about["file"] = Path(request.out).name
    if planned is not None:
        about |= {
            "tiles_planned": planned.total,
            "tile": planned.tile,
            "halo": planned.halo,
            "device": planned.device,
            "precision": planned.precision,
            "notes": list(planned.notes),
        }
    return about
