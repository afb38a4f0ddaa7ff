"""Official models: downloaded, checked and kept."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pooch
import pytest
from http_faults import (
    BODY,
    HALF,
    State,
    answer,
    watch_client_leave,
)
from typer.testing import CliRunner

from napari_edsr import download, zoo
from napari_edsr.cards import ModelCard
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import DownloadError, EDSRWarning
from napari_edsr.events import BytesDone, drain

SHA256 = hashlib.sha256(BODY).hexdigest()
CONFIG = EDSRConfig(n_resblocks=2, n_feats=32)


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


@pytest.mark.promise("fetches the published weights")
def test_fetch_places_the_file_and_leaves_no_part(server, card, own_cache):
    assert not zoo.is_available(card)
    path = zoo.fetch(card)
    assert path == own_cache / "weights.pt"
    assert path.read_bytes() == BODY
    assert zoo.is_available(card)
    assert not list(own_cache.glob("*.part"))
    assert zoo.fetch(card) == path
    assert server.requests == [("/models/weights.pt", None)]


@pytest.mark.fault(
    "Stopping: a download cancelled",
    "The connection closes; what is there is kept for the next try.",
)
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


@pytest.mark.fault(
    "Network: another file, or a part of it, is sent",
    "It is recognised by its sha256 and deleted.",
)
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


def test_a_part_of_another_file_is_thrown_away(server, card, own_cache):
    (own_cache / "weights.pt.part").write_bytes(b"x" * 1000)
    assert zoo.fetch(card).read_bytes() == BODY
    assert [wanted for _, wanted in server.requests] == ["bytes=1000-", None]


@pytest.mark.fault(
    "Weights files: a downloaded file changed on disk",
    "It is recognised before each use and set aside; the error gives the command to fetch it.",
)
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


@pytest.mark.fault(
    "Settings: the record of the model folder is damaged",
    "A warning says so; models work, and the record is made anew.",
)
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


@pytest.mark.fault(
    "Network: two downloads of one file at once",
    "The second waits and takes the file of the first.",
)
def test_a_second_download_waits_for_the_first_and_uses_its_file(server, card):
    first, second = zoo.iter_download(card), zoo.iter_download(card)
    assert next(first) == BytesDone(0, len(BODY))
    assert next(second) == BytesDone(0, None)
    assert drain(first).read_bytes() == BODY
    assert drain(second).read_bytes() == BODY
    assert len(server.requests) == 1


@pytest.mark.fault(
    "Network: two downloads of one file at once",
    "The second waits and takes the file of the first.",
)
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


@pytest.mark.fault(
    "Disk: model folder that cannot be made or written",
    "An error names the folder and the setting for another.",
)
def test_a_cache_folder_that_can_not_be_made_is_named(card, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAPARI_EDSR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match="Cannot write.*set NAPARI_EDSR_CACHE"):
        zoo.fetch(card)


@pytest.mark.fault(
    "Disk: full during a download",
    "An error says to free space or to set another folder.",
)
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


@pytest.mark.promise(
    "`napari-edsr models download snu/edsr_baseline_x2` fetches the published weights"
)
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
