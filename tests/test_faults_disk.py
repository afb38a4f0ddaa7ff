"""Disks that are full, for real, and programs that are killed while they write."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from http_faults import BODY
from limits import files_end_at
from PIL import Image
from stored_files import files_of
from test_training import PHOTO, assert_same, config, weights
from zarr.storage import LocalStore

from napari_edsr import cache, iter_upscale, plan, save_model, upscale
from napari_edsr.errors import DownloadError, FileError
from napari_edsr.events import TileDone
from napari_edsr.files import ImageFile, images_at, write_image
from napari_edsr.stores import plan as store_plan
from napari_edsr.training import train
from napari_edsr.zoo import download_url, fetch, get_card

pytestmark = pytest.mark.usefixtures("one_thread")

LIMIT = 2000


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.fault(
    "Disk: full while an image is written",
    "An error says what helps; the old file stays, nothing is left behind.",
)
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".png", ".jpg"])
def test_a_disk_that_is_full_for_an_image(suffix, tmp_path, rng):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"old")
    image = ImageFile(rng.integers(0, 255, (90, 80), np.uint8), "YX")
    with (
        pytest.raises(FileError, match="cannot be written: .*; (make room|choose)"),
        files_end_at(LIMIT),
    ):
        write_image(path, image)
    assert left_in(tmp_path) == [path.name]
    assert path.read_bytes() == b"old"


@pytest.mark.fault(
    "Disk: full while a model is saved",
    "An error says what helps; the old file stays, nothing is left behind.",
)
@pytest.mark.parametrize("layout", ["napari-edsr", "mmagic"])
def test_a_disk_that_is_full_for_a_model(layout, tiny_model, tmp_path):
    path = save_model(tiny_model(), tmp_path / "m.pth", layout=layout)
    old = path.read_bytes()
    with (
        pytest.raises(FileError, match="cannot be written: .*; choose another place"),
        files_end_at(LIMIT),
    ):
        save_model(tiny_model(seed=1), path, layout=layout)
    assert left_in(tmp_path) == ["m.pth"]
    assert path.read_bytes() == old


@pytest.fixture
def small_units(monkeypatch):
    """Units of 64 rows, of an image 70 pixels wide."""
    monkeypatch.setattr(plan, "_BAND_PIXELS", 8 * 70)
    monkeypatch.setattr(store_plan, "_CHUNK", 128)
    monkeypatch.setattr(store_plan, "UNIT_PIXELS", 64 * 64)


@pytest.mark.fault(
    "Disk: full at the start, in the middle or at the end of a result in a file",
    "An error says what helps; what is done is kept, and a new start ends with the same "
    "bytes.",
)
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("r.ome.zarr", 300),
        ("r.ome.zarr", 8000),
        ("r.tif", 300),
        ("r.tif", 8000),
        ("r.tif", 20_000),
    ],
)
def test_a_disk_that_is_full_for_a_large_result(
    name, limit, tiny, rng, tmp_path, small_units
):
    image = rng.integers(0, 256, (150, 70), dtype=np.uint8)
    out, whole = tmp_path / "out" / name, tmp_path / "whole" / name
    for path in (out, whole):
        path.parent.mkdir()
    expected = np.asarray(upscale(image, tiny, out=whole))
    with (
        pytest.raises(FileError, match="cannot be written: .*([Mm]ake room|place)"),
        files_end_at(limit),
    ):
        upscale(image, tiny, out=out)
    assert (left_in(out.parent) == []) == (limit == 300)  # before anything was begun
    np.testing.assert_array_equal(np.asarray(upscale(image, tiny, out=out)), expected)
    assert left_in(out.parent) == [name]
    if out.is_dir():
        assert files_of(out) == files_of(whole)


def test_no_thread_goes_on_writing_a_result_that_failed_to_begin(
    tiny, rng, tmp_path, monkeypatch
):
    by_threads = []
    for name in ("set", "set_if_not_exists"):
        monkeypatch.setattr(LocalStore, name, lambda *what: by_threads.append(what))
    image = rng.integers(0, 256, (150, 70), dtype=np.uint8)
    with pytest.raises(FileError, match="cannot be written"), files_end_at(300):
        upscale(image, tiny, out=tmp_path / "r.ome.zarr")
    assert by_threads == []


def test_what_was_done_before_the_disk_was_full_is_not_done_again(
    tiny, rng, tmp_path, small_units
):
    image, out = rng.integers(0, 256, (150, 70), np.uint8), tmp_path / "r.ome.zarr"
    job = iter_upscale(image, tiny, out=out)
    next(event for event in job if isinstance(event, TileDone) and event.done == 9)
    with pytest.raises(FileError), files_end_at(100):
        list(job)
    left = list(iter_upscale(image, tiny, out=out))
    assert sum(isinstance(event, TileDone) for event in left) < 19


@pytest.mark.fault(
    "Disk: full while the state of a training is saved",
    "An error says what helps; the state before stays, and the run goes on from it.",
)
def test_a_disk_that_is_full_for_a_training(tmp_path):
    train(config(), [PHOTO], folder=tmp_path, seconds=0.0)
    state = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(FileError, match="choose another place"), files_end_at(LIMIT):
        train(config(), [PHOTO], folder=tmp_path)
    assert left_in(tmp_path) == ["state.safetensors"]
    assert (tmp_path / "state.safetensors").read_bytes() == state
    result = train(config(), [PHOTO], folder=tmp_path)
    assert_same(weights(train(config(), [PHOTO]).model), weights(result.model))


@pytest.mark.fault(
    "Disk: full during a download",
    "An error says to free space or to set another folder.",
)
def test_a_disk_that_is_full_for_a_download(server, own_cache, monkeypatch):
    monkeypatch.setenv("NAPARI_EDSR_MIRROR", server.url)
    card = get_card("snu/edsr_baseline_x2")
    part = own_cache / f"{card.filename}.part"
    with (
        pytest.raises(DownloadError, match="set NAPARI_EDSR_CACHE to another folder"),
        files_end_at(LIMIT),
    ):
        fetch(card)
    assert part.read_bytes() == BODY[:LIMIT]
    with pytest.raises(DownloadError, match="sha256 differs"):  # all of it, for a test
        fetch(card)
    assert server.requests[1] == (
        f"/{Path(download_url(card)).name}",
        f"bytes={LIMIT}-",
    )


@pytest.mark.fault(
    "Disk: full while the record of the model folder is written",
    "An error says to set another folder; the record stays as it was.",
)
def test_a_disk_that_is_full_for_the_record(own_cache):
    cache.record("sha256", "a", "0" * 64)
    with (
        pytest.raises(DownloadError, match="set NAPARI_EDSR_CACHE to another folder"),
        files_end_at(50),
    ):
        cache.record("sha256", "b", "1" * 64)
    assert cache.recorded("sha256") == {"a": "0" * 64}
    assert left_in(own_cache) == ["registry.json", "registry.json.lock"]


@pytest.mark.fault(
    "Disk: model folder removed while the program runs", "It is made again."
)
def test_a_model_folder_that_is_gone(own_cache):
    cache.record("sha256", "a", "0" * 64)
    shutil.rmtree(own_cache)
    assert cache.recorded("sha256") == {}
    cache.record("sha256", "b", "1" * 64)
    assert cache.recorded("sha256") == {"b": "1" * 64}


def on_its_own_disk(script, *arguments, cwd):
    """Run a shell's script in a namespace of its own, where anybody may mount a disk."""
    if not shutil.which("unshare"):
        pytest.skip("needs Linux's unshare")
    (cwd / "disk").mkdir()
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    done = subprocess.run(
        [*own, f"mount -t tmpfs -o size=512k disk disk || exit 99\n{script}"]
        + [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    if done.returncode in (1, 99) and "napari-edsr" not in done.stderr:
        pytest.skip(f"no disk can be mounted here: {done.stderr}")
    return done


@pytest.mark.fault(
    "Disk: a small disk full in the middle of a result",
    "The command says to make room, in one line; what is done is kept.",
)
def test_a_disk_of_half_a_megabyte(tiny, tmp_path, rng):
    noise = rng.integers(0, 256, (450, 400), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png")
    script = 'exec "$0" -m napari_edsr upscale in.png disk/out.ome.zarr --model "$1"'
    done = on_its_own_disk(script, tiny, cwd=tmp_path)
    assert done.returncode == 1
    assert "No space left on device. Make room, and start again" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.fault(
    "Disk: read-only disk with the model folder and the output",
    "The output is refused before the work, in one line; all else works.",
)
def test_a_disk_that_is_read_only(tiny, tmp_path):
    Image.new("L", (9, 8)).save(tmp_path / "in.png")
    script = """
mkdir disk/cache && mount -o remount,ro disk || exit 99
export NAPARI_EDSR_CACHE=disk/cache
"$0" -m napari_edsr upscale in.png out.png --model "$1" || exit 3
exec "$0" -m napari_edsr upscale in.png disk/out.png --model "$1"
"""
    done = on_its_own_disk(script, tiny, cwd=tmp_path)
    assert (tmp_path / "out.png").exists()
    assert done.returncode == 1
    assert "Nothing can be written to" in done.stderr
    assert "name another place" in done.stderr
    assert done.stderr.count("\n") == 1


#: Killed when all is written but for the last step: the new file takes the old one's place.
_KILLED = """
import os, signal, sys
from pathlib import Path
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
kind, path = sys.argv[1], Path(sys.argv[2])
if kind == "model":
    from napari_edsr import load_model, save_model
    save_model(load_model(path), path)
elif kind == "image":
    from napari_edsr.files import read_image, write_image
    write_image(path, read_image(path))
else:
    from napari_edsr import cache
    cache.record("sha256", "b", "1" * 64)
"""


@pytest.mark.fault(
    "Stopping: killed while a model, an image or the model folder's record is saved",
    "The old file stays whole; what is left is hidden, never read, and in no one's way.",
)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals are those of POSIX")
@pytest.mark.parametrize("kind", ["model", "image", "record"])
def test_a_program_that_is_killed_while_it_saves(
    kind, tiny_model, tmp_path, own_cache, rng
):
    image = ImageFile(rng.integers(0, 255, (9, 8), np.uint8), "YX")
    files = {
        "model": lambda: save_model(tiny_model(), tmp_path / "m.safetensors"),
        "image": lambda: write_image(tmp_path / "x.tif", image),
        "record": lambda: (
            cache.record("sha256", "a", "0" * 64) or own_cache / "registry.json"
        ),
    }
    path = files[kind]()
    before, old = set(path.parent.iterdir()), path.read_bytes()
    ended = subprocess.run([sys.executable, "-c", _KILLED, kind, str(path)])
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == old
    (partial,) = set(path.parent.iterdir()) - before
    assert partial.name.startswith(".") and ".partial" in partial.name
    assert images_at(path.parent) == ([path] if kind == "image" else [])
    assert files[kind]() == path
