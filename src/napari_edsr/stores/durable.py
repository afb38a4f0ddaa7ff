"""Making sure that what was written stays when the power goes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from napari_edsr.atomic import settle


def sync_files(paths: Iterable[Path], root: Path) -> None:
    """Bring files to the disk, and the folders that lead to them from `root`.

    Files that are not there are left out: zarr writes no chunk that holds only zeros.
    """
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
