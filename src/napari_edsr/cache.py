"""The folder of downloaded and imported models, and the small record kept in it."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
from filelock import FileLock, Timeout

from napari_edsr.atomic import replacing, underlying
from napari_edsr.errors import DownloadError, EDSRWarning
from napari_edsr.events import BytesDone

CACHE_VARIABLE = "NAPARI_EDSR_CACHE"
RECORD_NAME = "registry.json"
_LOCK_SECONDS = 10
_POLL_SECONDS = 0.2


def store(hashes: Mapping[str, str], urls: Mapping[str, str]) -> pooch.Pooch:
    """Pooch over the cache folder, for files of known sha256."""
    return pooch.create(
        path=pooch.os_cache("napari-edsr"),
        base_url="",
        env=CACHE_VARIABLE,
        registry=dict(hashes),
        urls=dict(urls),
    )


def folder() -> Path:
    """Where models are kept: the system's cache folder, or ``NAPARI_EDSR_CACHE``."""
    return Path(store({}, {}).path)


def place(name: str, sha256: str, part: Path) -> Path:
    """Let pooch check a finished download once more and move it to its place."""

    def hand_over(url: str, output: str, unused: pooch.Pooch) -> None:
        os.replace(part, output)

    here = store({name: sha256}, {name: name})
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # it would announce a download that is already over
    try:
        return Path(here.fetch(name, downloader=hand_over))
    finally:
        logger.setLevel(level)


@contextmanager
def writing() -> Iterator[None]:
    """Turn a failure to write in the cache folder into one sentence.

    Raises
    ------
    DownloadError
        If the disk is full, or the folder cannot be made or written.
    """
    try:
        yield
    except OSError as error:
        raise DownloadError(_why_not_written(error)) from error


def _why_not_written(error: OSError) -> str:
    error = underlying(error)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return (
            f"The disk is full: free some space, or set {CACHE_VARIABLE} to a folder on "
            f"another disk instead of {folder()}, and run it again."
        )
    return (
        f"Cannot write to the model folder {folder()} ({error.strerror or error}); make it "
        f"writable or set {CACHE_VARIABLE} to another folder."
    )


def iter_lock(path: Path) -> Generator[BytesDone, None, FileLock]:
    """Wait until no other process is busy with `path`, showing how far it is.

    Returns
    -------
    filelock.FileLock
        Held; leave it as a context manager, or release it.
    """
    lock = FileLock(f"{path}.lock", thread_local=False)
    part = Path(f"{path}.part")
    while True:
        try:
            lock.acquire(timeout=_POLL_SECONDS)
            return lock
        except Timeout:
            yield BytesDone(part.stat().st_size if part.exists() else 0, None)


def recorded(section: str) -> dict[str, Any]:
    """One section of the record, ``"sha256"`` or ``"imported"``, by name.

    A record that is damaged or cannot be read is as good as none, after a warning.
    """
    path = folder() / RECORD_NAME
    try:
        return dict(_read().get(section, {}))
    except OSError as error:
        problem = (
            f"cannot be read ({error.strerror or error}): make it readable or set "
            f"{CACHE_VARIABLE} to another folder."
        )
    except ValueError as error:
        problem = f"is damaged and ignored ({error})."
    warnings.warn(f"{path} {problem}", EDSRWarning, stacklevel=2)
    return {}


def record(section: str, name: str, value: object) -> None:
    """Add an entry to the record, which is replaced as a whole or not at all.

    Raises
    ------
    DownloadError
        If the cache folder cannot be written.
    """
    with writing():
        folder().mkdir(parents=True, exist_ok=True)
        path = folder() / RECORD_NAME
        with FileLock(f"{path}.lock", timeout=_LOCK_SECONDS):
            try:
                values = _read()
            except ValueError:
                values = {}
                os.replace(path, f"{path}.damaged")  # it may be mended by hand
            values.setdefault(section, {})[name] = value
            with replacing(path) as partial:
                text = json.dumps(values, indent=1, sort_keys=True)
                partial.write_text(text, encoding="utf-8")


def _read() -> dict[str, dict[str, Any]]:
    path = folder() / RECORD_NAME
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    if not all(isinstance(section, dict) for section in values.values()):
        raise ValueError("a section is not a JSON object")
    return values
