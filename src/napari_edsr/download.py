"""One file over HTTP, resumable and cancellable: a generator over `requests`.

The bytes go to a ``.part`` file. Closing the generator closes the connection and
keeps that file; the next transfer asks the server for the rest of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.exceptions import NewConnectionError

from napari_edsr.errors import DownloadError
from napari_edsr.events import BytesDone

CHUNK = 64 * 1024
ATTEMPTS = 5
CONNECT_SECONDS = 10.0
READ_SECONDS = 10.0
RETRY_SECONDS = 0.5


class _Dropped(Exception):
    """The transfer broke off; the next attempt may go on from the part file."""


def iter_transfer(
    url: str, part: Path, *, limit: int
) -> Generator[BytesDone, None, None]:
    """Fetch `url` into `part`, going on from what the file already holds.

    A connection that breaks is taken up again, up to `ATTEMPTS` times without a
    new byte. Proxies are those of the environment, as `requests` reads them.

    Parameters
    ----------
    url : str
        Address of the file.
    part : Path
        File to write, ``NAME.part``; its folder exists.
    limit : int
        Bytes beyond which a file is refused: it cannot be the one expected.

    Yields
    ------
    BytesDone
        When the server answers, then after each piece, of at most `CHUNK` bytes.

    Raises
    ------
    DownloadError
        If there is no network, the server refuses, sends something else, or the
        connection keeps breaking.
    OSError
        If the part file cannot be written.
    """
    if _size(part) > limit:
        part.unlink()
    failures, most = 0, _size(part)
    while True:
        try:
            yield from _iter_attempt(url, part, limit)
            return
        except _Dropped as reason:
            failures = 1 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures >= ATTEMPTS:
                raise DownloadError(_gave_up(url, part, reason)) from reason
            yield BytesDone(_size(part), None)
            time.sleep(RETRY_SECONDS * failures)


def host(url: str) -> str:
    """Server and port of an address, without a user's name and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _iter_attempt(url: str, part: Path, limit: int) -> Generator[BytesDone, None, None]:
    with _request(url, part) as response:
        done = _offset(response, part)
        total = _total(response, done)
        _refuse_size(url, max(done, total or 0), limit)
        yield BytesDone(done, total)
        chunk = _read(response)
        _refuse_page(response, chunk if done == 0 else b"")
        with part.open("ab" if done else "wb") as stream:
            while chunk:
                stream.write(chunk)
                stream.flush()
                done += len(chunk)
                _refuse_size(url, done, limit)
                yield BytesDone(done, total)
                chunk = _read(response)
    if total is not None and done < total:
        raise _Dropped(f"the server stopped at {done} of {total} bytes")


def _request(url: str, part: Path) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}
    if _size(part):
        headers["Range"] = f"bytes={_size(part)}-"
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    try:
        return requests.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.ConnectionError as error:
        if _never_connected(error):
            raise DownloadError(_no_network(url, part, error)) from error
        raise _Dropped(_reason(error)) from error
    except requests.Timeout as error:
        raise _Dropped("the server did not answer in time") from error
    except (
        OSError,
        ValueError,
    ) as error:  # what requests finds wrong with its settings
        raise DownloadError(_can_not_ask(url, error)) from error


def _offset(response: requests.Response, part: Path) -> int:
    """Where in the file the body of the answer begins."""
    status = response.status_code
    if status == 200:
        return 0
    if status == 206 and _content_range(response)[0] == _size(part):
        return _size(part)
    if status in (206, 416):
        part.unlink(missing_ok=True)
        raise _Dropped("the server does not go on from what is there")
    raise DownloadError(_refused(response, part))


def _content_range(response: requests.Response) -> tuple[int, int | None]:
    value = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", value.strip())
    if not found:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _total(response: requests.Response, offset: int) -> int | None:
    if response.status_code == 206:
        return _content_range(response)[1]
    length = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return offset + int(length) if length.isdecimal() and not encoded else None


def _read(response: requests.Response) -> bytes:
    """What has arrived, without waiting for a whole chunk."""
    try:
        return bytes(response.raw.read1(CHUNK, decode_content=True))
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        raise _Dropped(_reason(error)) from error


def _refuse_size(url: str, size: int, limit: int) -> None:
    if size > limit:
        raise DownloadError(
            f"What {host(url)} offers is too large to be the model ({size / 1e6:.1f} MB "
            f"where at most {limit / 1e6:.1f} MB can be right); check the mirror's address."
        )


def _refuse_page(response: requests.Response, start: bytes) -> None:
    kind = response.headers.get("Content-Type", "").lower()
    if kind.startswith("text/html") or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
        b"<"
    ):
        raise DownloadError(
            f"The server {host(response.url)} sent a web page (a login or proxy page?) "
            "instead of the model; log in to the network with a browser or set "
            "NAPARI_EDSR_MIRROR, and try again."
        )


def _never_connected(error: requests.ConnectionError) -> bool:
    if isinstance(
        error, (requests.exceptions.ProxyError, requests.exceptions.SSLError)
    ):
        return True
    cause = error.args[0] if error.args else None
    failed = isinstance(getattr(cause, "reason", None), NewConnectionError)
    return failed or isinstance(error, requests.exceptions.ConnectTimeout)


def _no_network(url: str, part: Path, error: requests.ConnectionError) -> str:
    if isinstance(error, requests.exceptions.ProxyError):
        problem = f"The proxy on the way to {host(url)} does not let it through"
    elif isinstance(error, requests.exceptions.SSLError):
        problem = f"The certificate of {host(url)} could not be verified"
    else:
        problem = f"The server {host(url)} cannot be reached (no network?)"
    return f"{problem}; {_by_hand(part)}."


def _refused(response: requests.Response, part: Path) -> str:
    said = f"{response.status_code} {response.reason or ''}".strip()
    if response.status_code >= 500:
        advice = f"try again later, or {_by_hand(part)}"
    else:
        advice = _by_hand(part)
    return f"The server {host(response.url)} does not give out {part.stem} ({said}); {advice}."


def _gave_up(url: str, part: Path, reason: Exception) -> str:
    return (
        f"The connection to {host(url)} broke off {ATTEMPTS} times ({reason}); "
        f"{_size(part) / 1e6:.1f} MB are there, and running it again goes on from them."
    )


def _can_not_ask(url: str, error: Exception) -> str:
    problem = f"The address {url} cannot be asked ({_reason(error)})"
    problem = re.sub(r"//[^/\s]*@", "//", problem)  # a user's name and password
    return (
        f"{problem}; check NAPARI_EDSR_MIRROR and this machine's proxy and certificate "
        "settings."
    )


def _by_hand(part: Path) -> str:
    return f"put the file {part.stem} into {part.parent} or set NAPARI_EDSR_MIRROR"


def _reason(error: BaseException) -> str:
    """Innermost message of the nested exceptions of requests and urllib3."""
    inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
    if isinstance(inner, BaseException):
        return _reason(inner)
    return " ".join(str(error).split()).rstrip(".")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
