"""Fixtures every test may use.

- applied to each test: `offline` (only the loopback network answers), `own_cache`
  (an empty cache folder of its own) and the skip of `gui` tests without a display;
- `rng`: a seeded generator; `tiny_model`: makes small networks with random weights;
- `tiny`: such a network's file; `run`: calls the command line;
- `server`: an HTTP server that misbehaves on request, asked again without a pause;
- `set5`: reads the Set5 benchmark; skips the test where it is not at hand;
- `one_thread`: lets torch compute in one thread;
- `nothing_kept`: forgets the models of runs before, and of the test;
- `no_leaked_threads`: fails a test whose workers outlive it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from http_faults import State, running
from PIL import Image
from xdist import is_xdist_controller

if TYPE_CHECKING:
    from torch import nn

# Torch reads these when it is imported. Sums depend on the number of threads; and
# threads that wait by counting keep the cores from the tests in other processes.
os.environ["OMP_NUM_THREADS"] = "2"
os.environ["OMP_WAIT_POLICY"] = "passive"

ROOT = Path(__file__).parents[1]


def is_headless() -> bool:
    return sys.platform == "linux" and not os.environ.get("DISPLAY")


def pytest_sessionstart(session: pytest.Session) -> None:
    # pytest-xvfb has made a screen by now, if it can, but for the process that shares
    # out the tests, and whose environment the others get.
    if is_headless() and not is_xdist_controller(session):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gui") and is_headless():
        pytest.skip("needs a display; `make test` brings one")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20170710)


@pytest.fixture
def tiny_model() -> Callable[..., nn.Module]:
    """`tiny_model(scale=2, seed=0, **changes)`: an EDSR or MDSR of 2 blocks x 8."""
    return _make_tiny_model


def _make_tiny_model(scale: int = 2, *, seed: int = 0, **changes: Any) -> nn.Module:
    import torch

    from napari_edsr.config import EDSRConfig
    from napari_edsr.model import build_model

    settings = {"scales": (scale,), "n_resblocks": 2, "n_feats": 8, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(EDSRConfig(**settings)).eval().requires_grad_(False)


@pytest.fixture
def tiny(tiny_model: Callable[..., nn.Module], tmp_path: Path) -> str:
    """A small network's file."""
    from napari_edsr import save_model

    return str(save_model(tiny_model(), tmp_path / "models.safetensors"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command line in this process: exit code, its output, its errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        from napari_edsr import cli

        with pytest.raises(SystemExit) as stopped:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return stopped.value.code, printed.out, printed.err

    return call


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    from napari_edsr import download

    monkeypatch.setattr(download, "RETRY_SECONDS", 0.0)
    with running() as state:
        yield state


@pytest.fixture
def set5() -> Callable[[int], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """`set5(scale)`: pairs (lr, hr) of RGB uint8 by name; hr is scale times lr.

    The files lie in `NAPARI_EDSR_SET5`, or beside the repository.
    """
    beside = ROOT.parent / "shared" / "data" / "set5"
    folder = Path(os.environ.get("NAPARI_EDSR_SET5", beside))
    if not folder.is_dir():
        pytest.skip(f"Set5 is not at {folder}; NAPARI_EDSR_SET5 names its folder")
    return lambda scale: _read_set5(folder, scale)


def _read_set5(folder: Path, scale: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    pairs = {}
    for name in ("baby", "bird", "butterfly", "head", "woman"):
        lr = _read_rgb(folder / f"LRx{scale}" / f"{name}.png")
        hr = _read_rgb(folder / "HR" / f"{name}.png")
        pairs[name] = (lr, hr[: lr.shape[0] * scale, : lr.shape[1] * scale])
    return pairs


def _read_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(autouse=True)
def own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("NAPARI_EDSR_CACHE", str(folder))
    monkeypatch.delenv("NAPARI_EDSR_MIRROR", raising=False)
    return folder


@pytest.fixture(autouse=True)
def same_precision_on_every_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have bf16, which "auto" would take for what these tests compare to the bit."""
    if "torch" in sys.modules:  # else no test of this process computes
        monkeypatch.setattr("napari_edsr.device.fast_half", lambda device: None)
        monkeypatch.setattr("napari_edsr.precision.fast_half", lambda device: None)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the machine look unplugged: loopback answers, nothing else resolves."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connect_to_loopback(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_remote(address[0])
        connect(self, address)

    def resolve_loopback(host: Any, *rest: Any, **options: Any) -> Any:
        _refuse_remote(host)
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket.socket, "connect", connect_to_loopback)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_loopback)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def _refuse_remote(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise socket.gaierror(socket.EAI_NONAME, f"tests run offline, without {name}")


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads cost more than they bring on tensors this small, here and in what it runs."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    from napari_edsr import kept

    kept.release()
    yield
    kept.release()


@pytest.fixture
def no_leaked_threads() -> Iterator[None]:
    from qtpy.QtCore import QThreadPool

    before = set(threading.enumerate())
    yield
    pool = QThreadPool.globalInstance()
    assert pool.waitForDone(30_000), f"{pool.activeThreadCount()} workers still run"
    assert [thread for thread in _own_threads() if thread not in before] == []


def _own_threads() -> list[threading.Thread]:
    """Those started in Python: a Qt thread that ran Python stays listed as a dummy."""
    dummy = threading._DummyThread
    return [t for t in threading.enumerate() if not (t.daemon or isinstance(t, dummy))]


@pytest.fixture(scope="session")
def photo_planes() -> np.ndarray:
    """A small photograph, (3, H, W), 0-1."""
    from napari_edsr import samples

    return samples.photo_lr()[:96, :120].transpose(2, 0, 1) / 255
