"""The files of a result in OME-Zarr, to compare one with another."""

from pathlib import Path


def files_of(path: Path) -> dict[str, bytes]:
    """Pixels of all levels as they lie on the disk, or in an object store."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != "zarr.json"
    }
