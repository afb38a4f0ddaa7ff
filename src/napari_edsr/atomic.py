"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from napari_edsr.errors import FileError

#: "7200 requested and 1728 written" is what numpy says on a disk that is full.
_NUMPY_IS_SHORT = " requested and "
_REMEDIES = {
    errno.ENOSPC: "make room",
    getattr(errno, "EDQUOT", errno.ENOSPC): "make room",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def remedy(error: OSError) -> str:
    """What helps where something cannot be written."""
    return _REMEDIES.get(error.errno or 0, "choose another place")


def underlying(error: OSError) -> OSError:
    """What the system said, where an error of ours or of numpy tells of it."""
    cause = error.__cause__
    if isinstance(error, FileError) and isinstance(cause, OSError):
        error = cause
    if error.errno is None and _NUMPY_IS_SHORT in str(error):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to, which takes its place at the end.

    On any failure or interruption the partial file is removed and what stood at
    `path` stays. A link is followed: the file it points at is replaced.

    Raises
    ------
    FileError
        If the file cannot be written there.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{secrets.token_hex(8)}.partial{target.suffix}")
    try:
        yield partial
        settle(partial)
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except FileError:
        raise
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        with suppress(OSError):  # a file may stand where its folder should
            partial.unlink(missing_ok=True)


def take_lock(path: Path, busy: str) -> FileLock:
    """Keep other programs out by a file in a folder, or refuse if one was first.

    The system forgets the lock when this program ends.

    Raises
    ------
    FileError
        Saying `busy` if another program has it; or if the file cannot be written.
    """
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise FileError(busy) from None
    except OSError as error:
        raise _refusal(path.parent, error) from error
    return lock


def _refusal(path: Path, error: OSError) -> FileError:
    told = underlying(error)
    reason = told.strerror or str(told)
    return FileError(f"{path} cannot be written: {reason}; {remedy(told)}.")


def make_folder(path: Path) -> Path:
    """Make a folder, and those it lies in, unless it is there.

    Raises
    ------
    FileError
        If that cannot be done.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {path} cannot be made ({error.strerror}); name another."
        ) from error
    return path


def check_place(output: Path) -> None:
    """Refuse, before time is spent on it, a file that cannot be written.

    Raises
    ------
    FileError
        If its folder is missing or closed, or it is a folder itself.
    """
    folder = output.absolute().parent
    if not folder.is_dir():
        raise FileError(f"There is no folder {output.parent}; make it first.")
    if output.is_dir() and output.suffix.lower() != ".zarr":
        raise FileError(f"{output} is a folder; name a file in it.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"Nothing can be written to {folder}; name another place.")


def settle(path: Path) -> None:
    """Bring what was written to a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
