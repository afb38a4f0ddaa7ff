"""Reading a weights file without running anything in it, whatever its suffix."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import threading
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.dtypes
import safetensors.torch
import torch

from napari_edsr.errors import CheckpointError

_AGAIN = "download or copy it again"
_ZIP, _PICKLE = b"PK", b"\x80"
_START = 512  # bytes that tell what a file is
#: Bytes; the largest published file, with an optimiser's state, has a tenth of them.
LARGEST = 5_000_000_000
#: Torch's allow-list and Python's warning filters belong to the whole process.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file holds.

    Attributes
    ----------
    contents : object
        The unpickled object, or the tensors of a safetensors file by name.
    metadata : mapping of str to str
        Of a safetensors file; else empty.
    sha256 : str
        64 hex digits over the bytes that were read.
    """

    contents: object
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_weights_file(path: Path) -> WeightsFile:
    """Read a safetensors file, or a ``.pt``/``.pth`` of either of torch's formats.

    The kind is told from the first bytes. Pickles are read with `weights_only`;
    the few names in training logs that it refuses are replaced by inert objects.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged, is no weights file, or holds
        anything but plain values and tensors.
    """
    return parse_weights(path, read_bytes(path))


def parse_weights(path: Path, data: bytes) -> WeightsFile:
    """What the bytes of a weights file hold, see `read_weights_file`.

    Parameters
    ----------
    path : Path
        What messages call it.
    data : bytes

    Raises
    ------
    CheckpointError
        As `read_weights_file`.
    """
    _check_start(path, data[:_START])
    sha256 = hashlib.sha256(data).hexdigest()
    if _is_safetensors(data):
        tensors, metadata = _parse_safetensors(path, data)
        return WeightsFile(tensors, sha256, metadata)
    if data.startswith(_ZIP):
        _check_zip(path, data)
    return WeightsFile(_unpickle(path, data), sha256)


def read_bytes(path: Path) -> bytes:
    """All of a file that can be one of weights, judging by its size and first bytes.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is none.
    """
    if os.path.isdir(path):
        raise CheckpointError(f"{path} is a folder; name the weights file in it.")
    try:
        _check_kind(path, path.stat())
        with path.open("rb") as stream:
            start = stream.read(_START)
            _check_start(path, start)
            return start + stream.read()
    except (OSError, ValueError) as error:  # the latter for a name with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"{path} cannot be read ({reason}); check the name and its permissions."
        ) from error


def _check_kind(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"{path} is no ordinary file; name a weights file.")
    if status.st_size > LARGEST:
        raise CheckpointError(
            f"{path} is too large to be an EDSR or MDSR ({status.st_size / 1e9:.0f} GB); "
            "name its weights file."
        )


def _check_start(path: Path, start: bytes) -> None:
    """Refuse what is no weights file before all of it is read."""
    if not start:
        raise CheckpointError(f"{path} is empty; {_AGAIN}.")
    if start.lstrip().startswith(b"<"):
        raise CheckpointError(
            f"{path} is a web page, not weights; download the file its link leads to."
        )
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not weights; fetch it with 'git lfs pull'."
        )
    if not (start.startswith((_ZIP, _PICKLE)) or _is_safetensors(start)):
        raise CheckpointError(
            f"{path} is not a weights file; "
            "give a .pt, .pth or .safetensors file of an EDSR or MDSR."
        )


def _is_safetensors(start: bytes) -> bool:
    return start[8:9] == b"{"


def _parse_safetensors(
    path: Path, data: bytes
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        tensors = safetensors.torch.load(data)
    except Exception as error:  # the library raises several types for a bad header
        raise damaged(path, error) from error
    length = int.from_bytes(data[:8], "little")
    return tensors, json.loads(data[8 : 8 + length]).get("__metadata__") or {}


def _check_zip(path: Path, data: bytes) -> None:
    """Compare the checksums, which torch does not, and refuse zip bombs."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(path, archive.infolist(), len(data))
            broken = archive.testzip()
    except CheckpointError:
        raise
    except Exception as error:  # a flipped byte can surface as nearly any type
        raise damaged(path, error) from error
    if broken:
        raise damaged(path, f"the checksum of {broken} differs")


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    names = {member.filename.rpartition("/")[2] for member in members}
    if "constants.pkl" in names:
        raise CheckpointError(
            f"{path} is a TorchScript program, not plain weights; "
            "save the model's state_dict() instead."
        )
    packed = any(member.compress_type for member in members)
    if packed or "data.pkl" not in names:
        raise CheckpointError(
            f"{path} is a zip archive but not one of torch's, nor a BioImage.IO package; "
            "unpack it first."
        )
    if sum(member.file_size for member in members) > size:
        raise damaged(path, "its members are larger than the file")


def _unpickle(path: Path, data: bytes) -> object:
    stream = io.BytesIO(data)
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about formats and dtypes of the past
        with torch.serialization.safe_globals(_STAND_INS):
            try:
                return torch.load(
                    stream, map_location="cpu", weights_only=True, mmap=False
                )
            except Exception as error:  # a damaged pickle can raise nearly any type
                raise _not_loadable(path, error) from error


def _not_loadable(path: Path, error: Exception) -> CheckpointError:
    if "Unsupported operand" in str(error):
        return CheckpointError(
            f"{path} was pickled with a protocol that cannot be read safely; save it "
            "again with torch.save and its default protocol."
        )
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if not refused:
        return damaged(path, error)
    return CheckpointError(
        f"{path} was refused because it holds Python objects that could run code when "
        f"loaded ({refused[1]}); save only the model's state_dict() and load that."
    )


def damaged(path: Path, reason: object) -> CheckpointError:
    """The error for a file that is not what was written."""
    said = str(reason).split("WeightsUnpickler error: ")[-1].strip()
    brief = " ".join(said.split("\n")[0].split())[:120] or type(reason).__name__
    return CheckpointError(f"{path} is damaged or incomplete ({brief}); {_AGAIN}.")


class _Inert:
    """Stands in for an object of a training log: takes anything, does nothing."""

    def __new__(cls, *_: Any) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def _ordinary_dict(*_: object) -> dict[Any, Any]:
    """Stands in for a dict with defaults, whose factory is not wanted."""
    return {}


_NUMPY = [
    *("numpy.ndarray", "numpy.dtype"),
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *(f"numpy.dtypes.{name}" for name in numpy.dtypes.__all__),
]
#: What checkpoints of mmengine and of training scripts hold beside the weights. Such a
#: buffer refers to its methods through `getattr`, which here does nothing either.
_INERT = [
    "mmengine.logging.history_buffer.HistoryBuffer",
    "argparse.Namespace",
    *(f"builtins.{name}" for name in ("getattr", "slice", "range", "frozenset")),
    *(f"builtins.{name}" for name in ("list", "dict", "int", "float", "complex")),
    *(f"datetime.{name}" for name in ("date", "datetime", "timedelta", "timezone")),
    *(
        f"{module}.{kind}Path"
        for module in ("pathlib", "pathlib._local")
        for kind in ("Posix", "Windows", "PurePosix", "PureWindows")
    ),
    *_NUMPY,
]
_STAND_INS: list[Any] = [
    (_ordinary_dict, "collections.defaultdict"),
    *((_Inert, name) for name in _INERT),
]
