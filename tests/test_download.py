"""Downloads, against a real HTTP server on loopback that misbehaves on request."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest
from typer.testing import CliRunner

from napari_edsr import download, zoo
from napari_edsr.cards import ModelCard
from napari_edsr.config import EDSRConfig
from napari_edsr.download import iter_transfer
from napari_edsr.errors import DownloadError, EDSRWarning
from napari_edsr.events import BytesDone, drain

BODY = b"\x80\x02" + bytes(range(256)) * 1000
HALF = len(BODY) // 2
SHA256 = hashlib.sha256(BODY).hexdigest()
CONFIG = EDSRConfig(n_resblocks=2, n_feats=32)
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


@pytest.fixture
def server() -> Iterator[State]:
    http = Server(("127.0.0.1", 0), Handler)
    http.state = State(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield http.state
    http.state.go_on.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RETRY_SECONDS", 0.0)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt.part"


@pytest.fixture
def card(server: State) -> ModelCard:
    return ModelCard(
        name="other/tiny",
        title="Tiny",
        config=CONFIG,
        filename="weights.pt",
        sha256=SHA256,
        bytes=len(BODY),
        url=f"{server.url}/models/weights.pt",
    )


def transfer(server: State, part: Path, limit: int = 10 * len(BODY)) -> list[BytesDone]:
    return list(iter_transfer(f"{server.url}/weights.pt", part, limit=limit))


# --- the transfer -------------------------------------------------------------------


def test_the_file_arrives_and_progress_ends_at_its_size(server, part):
    events = transfer(server, part)
    assert part.read_bytes() == BODY
    assert events[0] == BytesDone(0, len(BODY))
    assert events[-1] == BytesDone(len(BODY), len(BODY))
    steps = [event.done for event in events]
    assert steps == sorted(steps)
    assert max(b - a for a, b in zip(steps, steps[1:], strict=False)) <= download.CHUNK


def test_a_part_is_resumed_where_it_ends(server, part):
    part.write_bytes(BODY[:1000])
    events = transfer(server, part)
    assert part.read_bytes() == BODY
    assert server.requests == [("/weights.pt", "bytes=1000-")]
    assert events[0] == BytesDone(1000, len(BODY))


def test_a_server_that_ignores_range_sends_it_all_again(server, part):
    server.behaviours = [serve_whole]
    part.write_bytes(b"stale")
    assert transfer(server, part)[-1] == BytesDone(len(BODY), len(BODY))
    assert part.read_bytes() == BODY


def test_a_part_longer_than_the_file_is_started_again(server, part):
    part.write_bytes(BODY + b"more")
    transfer(server, part)
    assert part.read_bytes() == BODY
    assert [wanted for _, wanted in server.requests] == [
        f"bytes={len(BODY) + 4}-",
        None,
    ]


def test_a_wrong_range_is_not_appended(server, part):
    server.behaviours = [
        answer(206, BODY[7:], Content_Range=f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
    ]
    part.write_bytes(BODY[:1000])
    transfer(server, part)
    assert part.read_bytes() == BODY


@pytest.mark.parametrize("drop", [drop_halfway, hang_up])
def test_a_dropped_connection_is_taken_up_again(server, part, drop):
    server.behaviours = [drop, drop]
    transfer(server, part)
    assert part.read_bytes() == BODY


def test_after_a_drop_only_the_rest_is_asked_for(server, part):
    server.behaviours = [drop_halfway]
    transfer(server, part)
    assert [wanted for _, wanted in server.requests] == [None, f"bytes={HALF}-"]


def test_a_server_that_always_drops_is_given_up_and_the_part_kept(server, part):
    server.behaviours = [drop_halfway] * 50
    with pytest.raises(
        DownloadError, match="0.1 MB are there, and running it again goes on"
    ):
        transfer(server, part)
    assert part.read_bytes() == BODY[:HALF]
    assert len(server.requests) == 1 + download.ATTEMPTS - 1
    server.behaviours = []
    transfer(server, part)
    assert part.read_bytes() == BODY


def test_a_stalled_server_times_out_and_is_asked_again(server, part, monkeypatch):
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    server.behaviours = [stall_halfway]
    transfer(server, part)
    assert part.read_bytes() == BODY
    assert server.requests[1] == ("/weights.pt", f"bytes={HALF}-")


def test_small_pieces_are_delivered_as_they_come(server, part):
    def trickle(handler: Handler) -> None:
        handler.head(200, length=len(BODY))
        handler.wfile.write(BODY[:3])
        handler.server.state.go_on.wait(20)
        handler.wfile.write(BODY[3:])

    server.behaviours = [trickle]
    job = iter_transfer(f"{server.url}/weights.pt", part, limit=len(BODY))
    assert [next(job), next(job)] == [BytesDone(0, len(BODY)), BytesDone(3, len(BODY))]
    server.go_on.set()
    drain(job)
    assert part.read_bytes() == BODY


def test_closing_the_job_closes_the_connection_and_keeps_the_part(server, part):
    server.behaviours = [watch_client_leave]
    job = iter_transfer(f"{server.url}/weights.pt", part, limit=len(BODY))
    while next(job).done < HALF:
        pass
    job.close()
    assert part.read_bytes() == BODY[:HALF]
    assert server.client_left.wait(10)


def test_a_redirect_is_followed(server, part):
    server.behaviours = [answer(302, Location="/elsewhere")]
    transfer(server, part)
    assert part.read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/weights.pt", "/elsewhere"]


def test_a_body_without_a_length_is_taken_to_its_end(server, part):
    def serve_unmeasured(handler: Handler) -> None:
        handler.head(200)
        handler.wfile.write(BODY)

    server.behaviours = [serve_unmeasured]
    assert transfer(server, part)[-1] == BytesDone(len(BODY), None)
    assert part.read_bytes() == BODY


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


@pytest.mark.parametrize("cut", [False, True])
def test_a_body_in_chunks_is_resumed_if_cut_within_one(server, part, cut):
    server.behaviours = [lambda handler: serve_in_chunks(handler, cut=cut)]
    transfer(server, part)
    assert part.read_bytes() == BODY
    rest = ["bytes=1000-"] if cut else []
    assert [wanted for _, wanted in server.requests] == [None, *rest]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"weights?", "text/html; charset=utf-8"),
        (b"<!DOCTYPE html><title>Log in</title>", "application/octet-stream"),
        (b"\xef\xbb\xbf\r\n <html>", "application/octet-stream"),
    ],
)
def test_a_web_page_is_refused_and_not_kept(server, part, body, kind):
    server.behaviours = [answer(200, body, Content_Type=kind)]
    with pytest.raises(DownloadError, match=r"web page \(a login or proxy page\?\)"):
        transfer(server, part)
    assert not part.exists()


def test_a_web_page_leaves_an_earlier_part_alone(server, part):
    part.write_bytes(BODY[:1000])
    server.behaviours = [answer(200, b"<html>", Content_Type="text/html")]
    with pytest.raises(DownloadError, match="web page"):
        transfer(server, part)
    assert part.read_bytes() == BODY[:1000]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500, 503])
def test_a_refusal_says_the_status_and_the_way_out(server, part, status):
    server.behaviours = [answer(status)]
    with pytest.raises(DownloadError, match=f"{status} .*put the file weights.pt into"):
        transfer(server, part)
    assert len(server.requests) == 1


def test_a_size_far_beyond_the_model_is_refused_unread(server, part):
    with pytest.raises(
        DownloadError, match=r"too large .* \(0\.3 MB where at most 0\.1 MB"
    ):
        transfer(server, part, limit=100_000)
    assert not part.exists()


def test_an_endless_body_is_cut_at_the_limit(server, part):
    def serve_endlessly(handler: Handler) -> None:
        handler.head(200)
        while not handler.server.state.go_on.is_set():
            handler.wfile.write(BODY)

    server.behaviours = [quietly(serve_endlessly)]
    with pytest.raises(DownloadError, match="too large"):
        transfer(server, part, limit=len(BODY))
    server.go_on.set()
    transfer(server, part, limit=len(BODY))
    assert part.read_bytes() == BODY


def quietly(behave: Behaviour) -> Behaviour:
    """As it is, but a client that leaves is no error."""

    def run(handler: Handler) -> None:
        try:
            behave(handler)
        except OSError:
            handler.close_connection = True

    return run


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "ftp://127.0.0.1/x",
        "http://",
        "http://[::",
        "http://localhost:abc/",
        f"http://{'a' * 64}.org/",
    ],
)
def test_an_address_that_is_none_is_named(part, address):
    with pytest.raises(DownloadError, match="check NAPARI_EDSR_MIRROR"):
        drain(iter_transfer(address, part, limit=1))


def test_without_a_network_the_message_says_what_to_do_by_hand(part):
    with pytest.raises(DownloadError, match="no network.*put the file weights.pt into"):
        drain(iter_transfer("http://no-such-host.invalid/weights.pt", part, limit=1))


def test_a_dead_proxy_is_named(part, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DownloadError, match="The proxy on the way to example.org"):
        drain(iter_transfer("http://example.org/weights.pt", part, limit=1))


@pytest.mark.parametrize(
    ("variable", "value", "scheme"),
    [
        ("http_proxy", "http://", "http"),
        ("http_proxy", "http://127.0.0.1:port", "http"),
        ("http_proxy", "carrier-pigeon://127.0.0.1", "http"),
        ("REQUESTS_CA_BUNDLE", "/no/such/file", "https"),
    ],
)
def test_unusable_settings_are_named(part, monkeypatch, variable, value, scheme):
    monkeypatch.setenv(variable, value)
    with pytest.raises(DownloadError, match="proxy and certificate settings"):
        drain(iter_transfer(f"{scheme}://example.org/x", part, limit=1))


def test_no_message_shows_a_password(part):
    for address in ("http://me:secret@host:port/x", "http://me:secret@127.0.0.1:1/x"):
        with pytest.raises(DownloadError) as problem:
            drain(iter_transfer(address, part, limit=1))
        assert "secret" not in str(problem.value)


def test_the_proxy_of_the_environment_is_used(server, part, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    drain(iter_transfer("http://example.org/weights.pt", part, limit=len(BODY)))
    assert server.requests == [("http://example.org/weights.pt", None)]
    assert part.read_bytes() == BODY


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- the zoo over it ----------------------------------------------------------------


def test_fetch_places_the_file_and_leaves_no_part(server, card, own_cache):
    assert not zoo.is_available(card)
    path = zoo.fetch(card)
    assert path == own_cache / "weights.pt"
    assert path.read_bytes() == BODY
    assert zoo.is_available(card)
    assert not list(own_cache.glob("*.part"))
    assert zoo.fetch(card) == path
    assert server.requests == [("/models/weights.pt", None)]


def test_a_cancelled_download_goes_on_from_its_part(server, card, own_cache):
    server.behaviours = [watch_client_leave]
    job = zoo.iter_download(card)
    while next(job).done < HALF:
        pass
    job.close()
    assert server.client_left.wait(10)
    assert not zoo.is_available(card)
    assert (own_cache / "weights.pt.part").read_bytes() == BODY[:HALF]
    assert zoo.fetch(card).read_bytes() == BODY
    assert server.requests[1] == ("/models/weights.pt", f"bytes={HALF}-")


def test_a_finished_part_is_not_fetched_again(server, card, own_cache):
    (own_cache / "weights.pt.part").write_bytes(BODY)
    assert zoo.fetch(card).read_bytes() == BODY
    assert server.requests == []


@pytest.mark.parametrize(
    "wrong", [BODY[:-1] + b"!", BODY[:HALF], b""], ids=["altered", "truncated", "empty"]
)
def test_a_wrong_file_is_deleted_and_the_next_try_starts_afresh(server, card, wrong):
    server.behaviours = [answer(200, wrong)]
    with pytest.raises(DownloadError, match="sha256 differs.*try again"):
        zoo.fetch(card)
    assert not zoo.is_available(card)
    assert zoo.fetch(card).read_bytes() == BODY
    assert [wanted for _, wanted in server.requests] == [None, None]


def test_a_part_of_another_file_is_found_out(server, card, own_cache):
    (own_cache / "weights.pt.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="sha256 differs"):
        zoo.fetch(card)
    assert zoo.fetch(card).read_bytes() == BODY


def test_a_damaged_file_is_set_aside_and_can_be_fetched_again(server, card, own_cache):
    path = zoo.fetch(card)
    flip_last_byte(path)
    with pytest.raises(DownloadError, match="damaged.*models download other/tiny"):
        zoo.fetch(card)
    assert not path.exists()
    assert zoo.fetch(card).read_bytes() == BODY


def test_downloading_replaces_a_damaged_file(server, card):
    path = zoo.fetch(card)
    flip_last_byte(path)
    assert drain(zoo.iter_download(card)).read_bytes() == BODY


def test_a_file_put_there_by_hand_is_used(server, card, own_cache):
    (own_cache / "weights.pt").write_bytes(BODY)
    assert zoo.fetch(card).read_bytes() == BODY
    assert drain(zoo.iter_download(card)) == own_cache / "weights.pt"
    assert server.requests == []


def test_eight_digits_are_checked_at_the_download(server, card):
    short = replace(card, sha256="0" * 8)
    with pytest.raises(DownloadError, match="sha256 differs"):
        zoo.fetch(short)
    assert not zoo.is_available(short)


def test_the_full_hash_is_recorded_and_required_afterwards(server, card, own_cache):
    short = replace(card, sha256=SHA256[:8], bytes=None)
    zoo.fetch(short)
    record = json.loads((own_cache / "registry.json").read_text())
    assert record["sha256"] == {"weights.pt": SHA256}
    # Only the recorded hash tells this file, whose 8 first digits fit by chance.
    record["sha256"]["weights.pt"] = SHA256[:8] + "0" * 56
    (own_cache / "registry.json").write_text(json.dumps(record))
    with pytest.raises(DownloadError, match="damaged"):
        zoo.fetch(short)
    with pytest.raises(DownloadError, match="sha256 differs"):
        zoo.fetch(short)


def test_a_full_hash_is_recorded_for_a_file_put_by_hand(card, own_cache):
    (own_cache / "weights.pt").write_bytes(BODY)
    zoo.fetch(replace(card, sha256=SHA256[:8]))
    record = json.loads((own_cache / "registry.json").read_text())
    assert record["sha256"] == {"weights.pt": SHA256}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 3}', "\x00\xff"])
def test_a_corrupt_record_is_ignored_with_a_warning(server, card, own_cache, text):
    (own_cache / "registry.json").write_text(text)
    short = replace(card, sha256=SHA256[:8])
    with pytest.warns(EDSRWarning, match="registry.json is damaged"):
        assert zoo.fetch(short).read_bytes() == BODY
    assert json.loads((own_cache / "registry.json").read_text()) == {
        "sha256": {"weights.pt": SHA256}
    }


def test_the_mirror_is_asked_by_file_name(server, card, monkeypatch):
    monkeypatch.setenv("NAPARI_EDSR_MIRROR", f"{server.url}/mirror/")
    zoo.fetch(replace(card, url="https://no-such-host.invalid/weights.pt"))
    assert server.requests == [("/mirror/weights.pt", None)]


def test_the_card_bounds_the_size(server, card):
    server.behaviours = [lambda handler: handler.head(200, length=10**10)]
    with pytest.raises(DownloadError, match="too large"):
        zoo.fetch(card)


def test_a_file_of_unknown_size_may_be_as_large_as_a_training_state(server, card):
    room = 4 * 4 * card.parameters + 2**20
    unknown = replace(card, bytes=None)
    for size, problem in ((room + 1, "too large"), (room, "broke off")):
        server.behaviours = [
            lambda handler, size=size: handler.head(200, length=size)
        ] * download.ATTEMPTS
        with pytest.raises(DownloadError, match=problem):
            zoo.fetch(unknown)


def test_a_second_download_waits_for_the_first_and_uses_its_file(server, card):
    first, second = zoo.iter_download(card), zoo.iter_download(card)
    assert next(first) == BytesDone(0, len(BODY))
    assert next(second) == BytesDone(0, None)
    assert drain(first).read_bytes() == BODY
    assert drain(second).read_bytes() == BODY
    assert len(server.requests) == 1


def test_two_threads_asking_at_once_get_one_good_file(server, card):
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(zoo.fetch(card).read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 4
    assert len(server.requests) == 1


def test_a_cancelled_download_frees_the_file_for_others(server, card):
    job = zoo.iter_download(card)
    next(job)
    job.close()
    assert next(zoo.iter_download(card)) == BytesDone(0, len(BODY))


def test_a_cache_folder_that_can_not_be_made_is_named(card, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAPARI_EDSR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match="Can not write.*set NAPARI_EDSR_CACHE"):
        zoo.fetch(card)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(server, card, own_cache):
    (own_cache / "weights.pt.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="The disk is full"):
        zoo.fetch(card)


def test_pooch_announces_no_second_download(server, card, caplog):
    pooch.get_logger().addHandler(caplog.handler)
    zoo.fetch(card)
    pooch.get_logger().removeHandler(caplog.handler)
    assert caplog.messages == []


def test_the_command_downloads_an_official_model(server, own_cache, monkeypatch):
    from napari_edsr.cli.models import app

    monkeypatch.setenv("NAPARI_EDSR_MIRROR", server.url)
    result = CliRunner().invoke(app, ["download", "snu/edsr_baseline_x2"])
    assert isinstance(result.exception, DownloadError)
    assert "sha256 differs" in str(result.exception)
    assert server.requests == [("/edsr_baseline_x2-1bc95232.pt", None)]


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
