"""Results in OME-Zarr: made in small units, asked for in the dock, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from napari_edsr._qt.upscale_widget import UpscaleWidget


def files_of(path: Path) -> dict[str, bytes]:
    """Pixels of all levels as they lie on the disk, or in an object store."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != "zarr.json"
    }


def choose_file(widget: UpscaleWidget, path: Path) -> None:
    """Let the dock's results go to a file, or into a folder."""
    output = widget.controls.output
    output.where.button("file").click()
    output.path.setText(str(path))
    output.path.textEdited.emit(str(path))


def share_small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of 64 rows; workers take over the plan that this process makes of it."""
    from napari_edsr import cluster, storing
    from napari_edsr.stores import plan

    monkeypatch.setattr(plan, "_CHUNK", 128)
    monkeypatch.setattr(plan, "UNIT_PIXELS", 64 * 64)
    monkeypatch.setattr(cluster.Cluster, "settle", storing.Here.settle)
    monkeypatch.setattr(cluster.Cluster, "_engines", None, raising=False)
