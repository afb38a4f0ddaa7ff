"""Where results lie: on a disk, or in an object store that fsspec reaches."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from napari_edsr.atomic import replacing, settle
from napari_edsr.errors import FileError

_MISSING = "OME-Zarr needs the extra 'large': pip install 'napari-edsr[large]'."


def zarr() -> Any:
    """The library, or one sentence on how to get it."""
    try:
        import zarr
    except ImportError as error:
        raise FileError(_MISSING) from error
    return zarr


def is_place(out: Any) -> bool:
    """Whether it names a place, and is no array."""
    return isinstance(out, str | os.PathLike) or hasattr(out, "joinpath")


def location(place: str | os.PathLike[str]) -> Path:
    """A path, or what answers like one where the place is a URL such as ``s3://...``.

    Raises
    ------
    FileError
        If what reaches such places is not installed.
    """
    text = str(place)
    if text.startswith("file://"):
        return Path(url2pathname(text.removeprefix("file://")))
    if "://" not in text:
        return Path(os.path.expanduser(text))
    try:
        from upath import UPath

        # Others write there as well, and what is listed changes.
        found: Any = UPath(text, use_listings_cache=False)
        found.fs  # noqa: B018  reached by a package of its own
    except (ImportError, ValueError) as error:
        raise FileError(
            f"{text} cannot be reached: {error}. Object stores need the extra 'large', "
            "and a package such as s3fs or gcsfs."
        ) from error
    return found


def roots(image: Any) -> Iterator[Path]:
    """Folders on this disk that a zarr or dask array is read from."""
    for part in (image, *_sources(getattr(image, "dask", None))):
        root = getattr(getattr(part, "store", None), "root", None)
        if root is not None:
            yield Path(root).resolve()


def _sources(graph: Any) -> Iterator[Any]:
    """Whatever stands in a dask graph as it is; where this is depends on the layer."""
    for layer in getattr(graph, "layers", {}).values():
        if hasattr(layer, "indices"):
            yield from (value for value, index in layer.indices if index is None)
        elif hasattr(layer, "mapping"):
            yield from layer.mapping.values()


def is_remote(path: Path) -> bool:
    """Whether it lies in an object store."""
    return not isinstance(path, Path)


def open_group(place: Path | dict[str, Any], mode: str, **options: Any) -> Any:
    """A zarr group, wherever it lies: in a dict, it is in memory."""
    if isinstance(place, dict):
        return zarr().open_group(place, mode=mode, **options)
    if is_remote(place):
        remote: Any = place
        options["storage_options"] = dict(remote.storage_options)
    return zarr().open_group(str(place), mode=mode, **options)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all, and bring it to the disk."""
    if is_remote(path):
        path.write_bytes(content)  # whole by nature
        return
    with replacing(path) as partial:
        partial.write_bytes(content)
    sync_files([path], path.parent)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of small files, whole or not at all, and bring it to the disk."""
    partial = unfinished(path)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, content in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(content)
        sync_files([partial / name for name in files], partial)
        partial.rename(path)
    finally:  # it is there no more, unless something went wrong
        shutil.rmtree(partial, ignore_errors=True)


def unfinished(path: Path) -> Path:
    """Where a folder is while it comes into being, or goes."""
    return path.with_name(f".{path.name}.partial")


def remove(path: Path) -> None:
    """Remove a folder with all that is in it, whole or not at all."""
    if is_remote(path):
        remote: Any = path
        inside = [p for p in remote.fs.find(remote.path) if not _is_root(p, remote)]
        remote.fs.rm(inside)  # what tells that it is of ours goes last
        remote.fs.rm(remote.path, recursive=True)
        return
    going = unfinished(path)
    shutil.rmtree(going, ignore_errors=True)
    path.rename(going)
    shutil.rmtree(going)


def _is_root(name: str, folder: Any) -> bool:
    return name.strip("/") == f"{folder.path.strip('/')}/zarr.json"


def sync_files(paths: Iterable[Path], root: Path) -> None:
    """Bring files to the disk, and the folders that lead to them from `root`.

    Files that are not there are left out: zarr writes no chunk that holds only zeros.
    """
    if is_remote(root):
        return  # an object is kept once it is written
    folders: set[Path] = set()
    for path in paths:
        if path.exists():
            settle(path)
            folders.update(_folders(path, root))
    if os.name == "nt":
        return  # where folders cannot be opened, and need not be
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        _sync_folder(folder)


def _folders(path: Path, root: Path) -> Iterable[Path]:
    for folder in path.parents:
        yield folder
        if folder == root:
            return


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
