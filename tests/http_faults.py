"""A real HTTP server on loopback that misbehaves on request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = b"\x80\x02" + bytes(range(256)) * 1000
HALF = len(BODY) // 2
Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next behaviour of the server's list."""

    server: Server

    def do_GET(self) -> None:  # noqa: N802, the name http.server wants
        state = self.server.state
        state.requests.append((self.path, self.headers.get("Range")))
        behave = state.behaviours.pop(0) if state.behaviours else serve
        behave(self)

    def head(self, status: int, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *unused: object) -> None:
        """Keep the test output clean."""


class Server(ThreadingHTTPServer):
    state: State


@dataclass
class State:
    url: str
    behaviours: list[Behaviour] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    client_left: threading.Event = field(default_factory=threading.Event)


def serve(handler: Handler) -> None:
    """A good server: the whole file, or the rest of it."""
    wanted = handler.headers.get("Range")
    start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
    if not wanted:
        handler.head(200, length=len(BODY))
    elif start < len(BODY):
        span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        handler.head(206, length=len(BODY) - start, Content_Range=span)
    else:
        handler.head(416, length=0, Content_Range=f"bytes */{len(BODY)}")
        return
    handler.wfile.write(BODY[start:])


def serve_whole(handler: Handler) -> None:
    handler.head(200, length=len(BODY))
    handler.wfile.write(BODY)


def drop_halfway(handler: Handler) -> None:
    handler.head(200, length=len(BODY))
    handler.wfile.write(BODY[:HALF])


def hang_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def stall_halfway(handler: Handler) -> None:
    drop_halfway(handler)
    handler.server.state.go_on.wait(20)


def watch_client_leave(handler: Handler) -> None:
    drop_halfway(handler)
    if handler.connection.recv(1) == b"":
        handler.server.state.client_left.set()


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.head(status, length=len(body), **headers)
        handler.wfile.write(body)

    return behave


def serve_in_chunks(handler: Handler, *, cut: bool = False) -> None:
    """HTTP/1.1 as proxies send it: in chunks, the whole size unsaid."""
    handler.protocol_version = "HTTP/1.1"
    handler.head(200, Transfer_Encoding="chunked", Connection="close")
    for piece in (BODY[:HALF], BODY[HALF:]):
        handler.wfile.write(b"%x\r\n" % len(piece))
        handler.wfile.write(piece[:1000] if cut else piece + b"\r\n")
        if cut:
            return
    handler.wfile.write(b"0\r\n\r\n")


def quietly(behave: Behaviour) -> Behaviour:
    """As it is, but a client that leaves is no error."""

    def run(handler: Handler) -> None:
        try:
            behave(handler)
        except OSError:
            handler.close_connection = True

    return run


@contextmanager
def running() -> Iterator[State]:
    """The server on a free port; leaving stops it."""
    http = Server(("127.0.0.1", 0), Handler)
    http.state = State(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield http.state
    finally:
        http.state.go_on.set()
        http.shutdown()
        http.server_close()
        thread.join()
