"""What ``napari-edsr upscale`` makes of INPUT, OUTPUT and ``--name``."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from napari_edsr import files
from napari_edsr.atomic import check_place
from napari_edsr.errors import FileError
from napari_edsr.file_jobs import (
    Job,
    batch_jobs,
    check_stores,
    name_parts,
    refuse_inputs,
)
from napari_edsr.stores.location import is_remote, location
from napari_edsr.stores.read import is_zarr

_FIELDS = ("stem", "suffix", "scale")


@dataclass(frozen=True)
class Naming:
    """How outputs are called: by their input's name, or as `template` says."""

    template: str | None = None

    @property
    def with_scale(self) -> bool:
        """Whether the names tell the scale."""
        return "scale" in self._fields()

    def name(self, source: Path, scale: int | None) -> str:
        """Of the output.

        Raises
        ------
        FileError
            If the template has other fields, or gives no name of a file.
        """
        stem, suffix = name_parts(source.name)
        if self.template is None:
            return stem + suffix
        if unknown := [field for field in self._fields() if field not in _FIELDS]:
            raise FileError(
                f"--name {self.template} has a field {{{unknown[0]}}}; use {{stem}}, "
                "{suffix} and {scale}."
            )
        try:
            name = self.template.format(stem=stem, suffix=suffix, scale=scale)
        except ValueError as error:
            raise self._malformed() from error
        return self._checked(name)

    def _checked(self, name: str) -> str:
        if Path(name).name != name:
            raise FileError(f"--name {self.template} names a folder; name files alone.")
        if Path(name).suffix.lower() not in (*files.WRITABLE, ".zarr"):
            raise FileError(
                f"--name {self.template} gives {name}; end it in {{suffix}}, .tif, .png "
                "or .ome.zarr."
            )
        return name

    def _fields(self) -> list[str]:
        try:
            parsed = list(Formatter().parse(self.template or ""))
        except ValueError as error:
            raise self._malformed() from error
        return [field for _, field, _, _ in parsed if field is not None]

    def _malformed(self) -> FileError:
        return FileError(
            f"--name {self.template} cannot be read; write it as in "
            "'{stem}_x{scale}{suffix}'."
        )


def is_single(source: str) -> bool:
    """Whether INPUT is one file, or OME-Zarr, that is there or should be.

    Raises
    ------
    FileError
        If it is empty.
    """
    if not source:
        raise FileError("INPUT is empty; name a file, a glob or a folder.")
    path = location(source)
    if is_remote(path) or path.is_file() or is_zarr(path):
        return True
    return not (path.is_dir() or glob.has_magic(source))


def single_job(asked: Job, pattern: str | None, naming: Naming) -> Job:
    """What was asked for, if nothing is lost by it.

    Raises
    ------
    FileError
        If the output is an input, cannot be written, or options are for folders.
    """
    given = {"pattern": pattern, "name": naming.template}
    for option in (name for name, value in given.items() if value is not None):
        raise FileError(f"--{option} is for a folder or glob; INPUT is a single file.")
    check_stores([asked])
    refuse_inputs([asked])
    for output in (asked.target, *asked.maps.values()):
        if not is_remote(output):
            check_place(output)
    _check_maps(asked)
    return asked


def folder_jobs(
    source: str, asked: Job, pattern: str | None, naming: Naming, scale: int | None
) -> list[Job]:
    """One job for each file of a folder or glob.

    Parameters
    ----------
    source : str
    asked : Job
        From and to a folder.
    pattern : str or None
    naming : Naming
    scale : int or None
        For `naming`.

    Raises
    ------
    FileError
        As `batch_jobs`, or if maps are wanted.
    """
    if asked.maps:
        raise FileError(f"--{min(asked.maps)} needs a single INPUT file.")
    return batch_jobs(
        source, asked.target, pattern, lambda path: naming.name(path, scale)
    )


def _check_maps(job: Job) -> None:
    if job.to_store and job.maps:
        raise FileError(f"--{min(job.maps)} needs an OUTPUT such as .tif.")
    taken = {job.target.resolve(): "OUTPUT"} if job.maps else {}
    for name, path in job.maps.items():
        if path.resolve() in taken:
            other = taken[path.resolve()]
            raise FileError(f"{other} and --{name} are the same file; name two.")
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise FileError(f"The {name} is written as .tif; name such a file.")
        taken[path.resolve()] = f"--{name}"
