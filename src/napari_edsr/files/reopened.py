"""An image that other processes open themselves, from the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_edsr.files import ImageFile, read_image


class FileImage:
    """Pixels of a file, which are read once in each process that it is sent to.

    Parameters
    ----------
    path : Path
        Where all of them find it.
    image : ImageFile
        As it was read here.
    axes : str, optional
        As it was read with.
    """

    def __init__(self, path: Path, image: ImageFile, axes: str | None = None) -> None:
        self._path, self._axes, self._data = path.absolute(), axes, image.data
        self.shape, self.ndim = image.data.shape, image.data.ndim
        self.dtype: np.dtype = image.data.dtype

    def __getitem__(self, index: Any) -> Any:
        """A part of it."""
        if self._data is None:
            self._data = read_image(self._path, self._axes).data
        return self._data[index]

    def __getstate__(self) -> dict[str, Any]:
        """Without the pixels."""
        return {**vars(self), "_data": None}
