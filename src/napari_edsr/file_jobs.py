"""The files that a run over a folder or glob reads and writes."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_edsr import files
from napari_edsr.atomic import check_place, make_folder
from napari_edsr.errors import FileError
from napari_edsr.stores import staging
from napari_edsr.stores.location import is_remote
from napari_edsr.stores.read import is_zarr
from napari_edsr.stores.result import read_state

if TYPE_CHECKING:
    from napari_edsr.images import ImageSpec

_DOUBLE = (".ome.tif", ".ome.tiff", ".ome.zarr")


@dataclass(frozen=True)
class Job:
    """A file to read, one to write, and perhaps others for maps of what to trust."""

    source: Path
    target: Path
    uncertainty: Path | None = None
    consistency: Path | None = None

    @property
    def to_store(self) -> bool:
        """Whether the result is an OME-Zarr."""
        return self.target.suffix.lower() == ".zarr"

    @property
    def maps(self) -> dict[str, Path]:
        """Those that are wanted, by what they show."""
        wanted = {"uncertainty": self.uncertainty, "consistency": self.consistency}
        return {name: path for name, path in wanted.items() if path is not None}

    def is_stored(self, spec: ImageSpec, shared: bool) -> bool:
        """Whether the result grows part by part on the disk."""
        is_tiff = self.target.suffix.lower() in (".tif", ".tiff") and not self.maps
        by_parts = shared or staging.is_worthwhile(spec)
        return self.to_store or (is_tiff and by_parts)

    def is_done(self) -> bool:
        """Whether all of its files are there, and complete."""
        if not all(path.exists() for path in (self.target, *self.maps.values())):
            return False
        if not self.to_store:
            return True
        try:
            return (read_state(self.target) or {}).get("state") == "complete"
        except FileError:  # it is not from here, as the run will say
            return False


def name_parts(name: str) -> tuple[str, str]:
    """Stem and suffix of a result; formats that cannot be written become PNG."""
    if Path(name).suffix.lower() not in (*files.READABLE, ".zarr"):  # a folder of zarr
        return name, ".ome.zarr"
    suffix = next((s for s in _DOUBLE if name.lower().endswith(s)), Path(name).suffix)
    stem, suffix = name[: -len(suffix)], name[-len(suffix) :]
    if Path(name).suffix.lower() in (*files.WRITABLE, ".zarr"):
        return stem, suffix
    return stem, ".tif" if suffix.lower() == ".lsm" else ".png"


def same_name(source: Path) -> str:
    """What the result of a file is called in another folder."""
    return "".join(name_parts(source.name))


def batch_jobs(
    source: str,
    output: Path,
    pattern: str | None = None,
    name: Callable[[Path], str] = same_name,
) -> list[Job]:
    """One job for each file that `source` names, in alphabetical order.

    Parameters
    ----------
    source : str
        A folder or glob.
    output : Path
        A folder.
    pattern : str, optional
        Of the files of a folder; those of its folders stay in such folders.
    name : callable, optional
        Gives the name of a result.

    Raises
    ------
    FileError
        If there are no inputs, outputs collide, or an input would be overwritten.
    """
    inputs = _inputs(source, pattern, output)
    if not inputs:
        raise FileError(
            f"No images in {source}{f' that match {pattern}' if pattern else ''}; known "
            f"are {', '.join(files.READABLE)} and .zarr."
        )
    root = Path(source) if Path(source).is_dir() else None
    jobs = []
    for path in inputs:
        folder = output / path.relative_to(root).parent if root else output
        jobs.append(Job(path, folder / name(path)))
    _refuse_collisions(jobs)
    check_stores(jobs)
    _check_folder(output)
    refuse_inputs(jobs)
    return jobs


def make_folders(jobs: Sequence[Job]) -> None:
    """Make the folders of all outputs, which must let files be written.

    Raises
    ------
    FileError
        If that cannot be done.
    """
    for folder in sorted({job.target.parent for job in jobs}):
        make_folder(folder)
    for job in jobs:
        check_place(job.target)


def _inputs(source: str, pattern: str | None, output: Path) -> list[Path]:
    """Images and OME-Zarr; names with a dot in front are hidden, or by-products."""
    root = Path(source)
    if not root.is_dir():
        if pattern is not None:
            raise FileError(f"The pattern is for a folder, which {source} is not.")
        named = map(Path, glob.glob(source, recursive=True))
        inputs = {path for path in named if _is_input(path)}
        found = sorted(path for path in inputs if inputs.isdisjoint(path.parents))
        if is_remote(output):
            return found
        made = output.resolve()  # where results of before are no inputs
        return [path for path in found if made not in path.resolve().parents] or found
    try:
        found = list(root.glob("*" if pattern is None else pattern))
    except (ValueError, NotImplementedError, IndexError) as error:  # the last for "."
        raise FileError(
            f"The pattern {pattern} cannot be read; write it as in '**/*.tif'."
        ) from error
    elsewhere = is_remote(output) or output.resolve() == root.resolve()
    own = None if elsewhere else output.resolve()
    return sorted(
        path
        for path in found
        if _is_input(path) and not any(_is_apart(path, root, own))
    )


def _is_input(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return is_zarr(path) or (path.suffix.lower() in files.READABLE and path.is_file())


def _is_apart(path: Path, root: Path, output: Path | None) -> Iterator[bool]:
    """Whether a folder on the way from `root` is hidden, an OME-Zarr, or the output."""
    folders = list(path.relative_to(root).parents)[:-1]
    for folder in folders:
        yield folder.name.startswith(".") or is_zarr(root / folder)
        yield output is not None and (root / folder).resolve() == output


def _check_folder(output: Path) -> None:
    if output.is_file() or (
        output.suffix.lower() in (*files.READABLE, ".zarr") and not output.is_dir()
    ):
        raise FileError(
            f"A folder or glob goes into a folder, which {output.name} is not; "
            "name one for the results."
        )


def _refuse_collisions(jobs: list[Job]) -> None:
    counts = Counter(job.target for job in jobs)
    twice = [target for target, count in counts.items() if count > 1]
    if twice:
        raise FileError(
            f"Several inputs would become {twice[0].name}; choose among them by a pattern, "
            "or name the outputs otherwise."
        )


def check_stores(jobs: Sequence[Job]) -> None:
    """Refuse to write anything but an OME-Zarr into an object store."""
    for job in jobs:
        if is_remote(job.target) and not job.to_store:
            raise FileError(
                f"{job.target} would lie in an object store, which takes OME-Zarr alone; "
                "end it in .ome.zarr, or name a place on a disk."
            )


def refuse_inputs(jobs: Sequence[Job]) -> None:
    """Refuse to overwrite any input, under whatever name."""
    inputs = [job.source for job in jobs]
    outputs = [path for job in jobs for path in (job.target, *job.maps.values())]
    sources = {_identity(path) for path in inputs if path.exists()}
    for output in outputs:
        if output.exists() and _identity(output) in sources:
            raise FileError(f"{output} is the input itself; name another output.")
    _refuse_nested(inputs, outputs)


def _refuse_nested(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """An OME-Zarr is a folder, which nothing else may be written into or replace."""
    sources = {path.resolve() for path in inputs if not is_remote(path)}
    targets = {path.resolve() for path in outputs if not is_remote(path)}
    inside = [path for path in targets if not sources.isdisjoint(path.parents)]
    around = [path for path in sources if not targets.isdisjoint(path.parents)]
    if inside or around:
        raise FileError(
            f"{(inside or around)[0]} lies inside an input or an output; "
            "name an output beside it."
        )


def _identity(path: Path) -> tuple[Any, ...]:
    """The same for all names of a file, links included."""
    if is_remote(path):
        return (str(path),)
    status = path.stat()
    return status.st_dev, status.st_ino
