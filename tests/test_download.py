"""One file over HTTP, from a server that misbehaves on request."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from http_faults import (
    BODY,
    HALF,
    Handler,
    State,
    answer,
    drop_halfway,
    hang_up,
    quietly,
    serve_in_chunks,
    serve_whole,
    stall_halfway,
    watch_client_leave,
)

from napari_edsr import download
from napari_edsr.download import iter_transfer
from napari_edsr.errors import DownloadError
from napari_edsr.events import BytesDone, drain


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt.part"


def transfer(server: State, part: Path, limit: int = 10 * len(BODY)) -> list[BytesDone]:
    return list(iter_transfer(f"{server.url}/weights.pt", part, limit=limit))


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


@pytest.mark.fault(
    "Network: a server that resumes at the wrong place",
    "The file is fetched anew, and is whole.",
)
def test_a_wrong_range_is_not_appended(server, part):
    server.behaviours = [
        answer(206, BODY[7:], Content_Range=f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
    ]
    part.write_bytes(BODY[:1000])
    transfer(server, part)
    assert part.read_bytes() == BODY


@pytest.mark.fault(
    "Network: connection dropped",
    "The download goes on where it broke off, and the file is whole.",
)
@pytest.mark.parametrize("drop", [drop_halfway, hang_up])
def test_a_dropped_connection_is_taken_up_again(server, part, drop):
    server.behaviours = [drop, drop]
    transfer(server, part)
    assert part.read_bytes() == BODY


@pytest.mark.fault(
    "Network: connection dropped",
    "The download goes on where it broke off, and the file is whole.",
)
def test_after_a_drop_only_the_rest_is_asked_for(server, part):
    server.behaviours = [drop_halfway]
    transfer(server, part)
    assert [wanted for _, wanted in server.requests] == [None, f"bytes={HALF}-"]


@pytest.mark.fault(
    "Network: connection dropped again and again",
    "It is given up with a sentence; what is there is kept for the next try.",
)
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


@pytest.mark.fault(
    "Network: connection stalled",
    "The download goes on where it broke off, and the file is whole.",
)
def test_a_stalled_server_times_out_and_is_asked_again(server, part, monkeypatch):
    monkeypatch.setattr(download, "READ_SECONDS", 0.2)
    server.behaviours = [stall_halfway]
    transfer(server, part)
    assert part.read_bytes() == BODY
    assert server.requests[1] == ("/weights.pt", f"bytes={HALF}-")


@pytest.mark.fault(
    "Network: slow connection",
    "Each piece shows as progress, and is a moment to cancel.",
)
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


@pytest.mark.fault(
    "Stopping: a download cancelled",
    "The connection closes; what is there is kept for the next try.",
)
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


@pytest.mark.fault(
    "Network: connection dropped by a proxy",
    "The download goes on where it broke off, and the file is whole.",
)
@pytest.mark.parametrize("cut", [False, True])
def test_a_body_in_chunks_is_resumed_if_cut_within_one(server, part, cut):
    server.behaviours = [lambda handler: serve_in_chunks(handler, cut=cut)]
    transfer(server, part)
    assert part.read_bytes() == BODY
    rest = ["bytes=1000-"] if cut else []
    assert [wanted for _, wanted in server.requests] == [None, *rest]


@pytest.mark.fault(
    "Network: a login page instead of the file",
    "An error says what was sent; nothing of it is kept.",
)
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
    with pytest.raises(
        DownloadError,
        match=r"^The server .* sent a web page \(a login or proxy page\?\)",
    ):
        transfer(server, part)
    assert not part.exists()


def test_a_web_page_leaves_an_earlier_part_alone(server, part):
    part.write_bytes(BODY[:1000])
    server.behaviours = [answer(200, b"<html>", Content_Type="text/html")]
    with pytest.raises(DownloadError, match="web page"):
        transfer(server, part)
    assert part.read_bytes() == BODY[:1000]


@pytest.mark.fault(
    "Network: the server refuses",
    "An error says its status, and how to put the file there by hand.",
)
@pytest.mark.parametrize("status", [401, 403, 404, 410, 500, 503])
def test_a_refusal_says_the_status_and_the_way_out(server, part, status):
    server.behaviours = [answer(status)]
    with pytest.raises(
        DownloadError, match=f"^The server .*{status} .*put the file weights.pt into"
    ):
        transfer(server, part)
    assert len(server.requests) == 1


@pytest.mark.fault(
    "Network: far more than the file is sent",
    "It is refused at a bound; the disk does not fill up.",
)
def test_a_size_far_beyond_the_model_is_refused_unread(server, part):
    with pytest.raises(
        DownloadError, match=r"too large .* \(0\.3 MB where at most 0\.1 MB"
    ):
        transfer(server, part, limit=100_000)
    assert not part.exists()


@pytest.mark.fault(
    "Network: far more than the file is sent",
    "It is refused at a bound; the disk does not fill up.",
)
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


@pytest.mark.fault("Network: a mirror's address that is none", "An error names it.")
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
    with pytest.raises(DownloadError, match="^The address .* check NAPARI_EDSR"):
        drain(iter_transfer(address, part, limit=1))


@pytest.mark.fault(
    "Network: offline, or names cannot be resolved",
    "An error says so, and how to put the file there by hand.",
)
def test_without_a_network_the_message_says_what_to_do_by_hand(part):
    with pytest.raises(DownloadError, match="no network.*put the file weights.pt into"):
        drain(iter_transfer("http://no-such-host.invalid/weights.pt", part, limit=1))


@pytest.mark.fault(
    "Network: proxy dead or misconfigured",
    "An error names the proxy, and how to put the file there by hand.",
)
def test_a_dead_proxy_is_named(part, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DownloadError, match="The proxy on the way to example.org"):
        drain(iter_transfer("http://example.org/weights.pt", part, limit=1))


@pytest.mark.fault(
    "Network: proxy dead or misconfigured", "An error says to check these settings."
)
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


@pytest.mark.fault("Network: an address with a password", "No message shows it.")
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
