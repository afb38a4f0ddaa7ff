"""Damaged weights files and odd arguments, for a while: a result or a sentence, always.

The seed is printed with a failure; `NAPARI_EDSR_FUZZ_SEED` brings the same ones again, and
`NAPARI_EDSR_FUZZ_SECONDS` says how long each of the tests goes on.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from collections import Counter
from pathlib import Path

import layouts
import numpy as np
import pytest
import torch
from layouts import Weights
from PIL import Image

from napari_edsr.checkpoints import load_model
from napari_edsr.errors import EDSRError

SECONDS = float(os.environ.get("NAPARI_EDSR_FUZZ_SECONDS", 300))
_log = logging.getLogger(__name__)
pytestmark = pytest.mark.usefixtures("one_thread")

#: Of each command one call that works, in files of the test.
COMMANDS = (
    "upscale in.png out.png --model tiny.safetensors --scale 2 --tile 16 --device cpu",
    "upscale in.png out.ome.zarr --model tiny.safetensors --normalize 0,255 --overwrite",
    "upscale images out --model tiny.safetensors --pattern *.png --name {stem}_x{scale}.tif",
    "upscale in.png out.tif --model tiny.safetensors --axes YXS --uncertainty u.tif --dry-run",
    "evaluate in.png in.png --protocol microscopy --border 2 --json scores.json",
    "models info tiny.safetensors",
    "models import tiny.safetensors --name mine --replace",
    "models export tiny.safetensors out.safetensors --layout edsr-pytorch",
)
ODD = (
    *("", " ", "-1", "0", "1", "2", "5", "nan", "inf", "1e9", "0x10", "999999999999"),
    *(
        "--",
        "-",
        "--scale",
        "--model",
        "--tile",
        "--no-such",
        "-x",
        "auto",
        "cuda",
        "mnn",
    ),
    *(
        "rows",
        ".",
        "..",
        "in.png",
        "notes.txt",
        "tiny.safetensors",
        "images",
        "missing",
    ),
    *(
        "{stem}",
        "{",
        "%s",
        "*",
        "[",
        "**/*",
        "ä ö.png",
        "\u202e",
        "x" * 300,
        "a\nb",
        "1,0",
    ),
    *("0,1,2", "YX", "CYX", "TTYX", "percentile", "s3://", "https://", "file:///"),
)


@pytest.fixture
def rng():
    seed = int(os.environ.get("NAPARI_EDSR_FUZZ_SEED", secrets.randbits(32)))
    print(f"NAPARI_EDSR_FUZZ_SEED={seed}")  # noqa: T201
    return np.random.default_rng(seed)


def damaged(contents, others, rng):
    """The same file with some of its bytes changed, lost, repeated or of another file."""
    changed = bytearray(contents)
    for _ in range(rng.integers(1, 5)):
        # The heads of files decide more than their numbers do.
        end = len(changed) if rng.random() < 0.5 else min(len(changed), 600)
        start, length = int(rng.integers(0, max(end, 1))), int(rng.integers(1, 40))
        kind = rng.integers(0, 6)
        if kind == 0 and changed:
            changed[start] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            changed[start : start + length] = rng.bytes(length)
        elif kind == 2:
            del changed[start : start + length]
        elif kind == 3:
            changed[start:start] = changed[start : start + length]
        elif kind == 4:
            del changed[start:]
        else:
            other = others[rng.integers(len(others))]
            changed[start : start + length] = other[start : start + length]
    return bytes(changed)


@pytest.fixture
def weights(tmp_path, tiny):
    """Files of every container that is read."""
    state = layouts.edsr_pytorch(Weights.random(2, dtype=torch.float32))
    torch.save(state, tmp_path / "zip.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"params": state, "iter": 3}, tmp_path / "nested.pth")
    names = ("zip.pth", "old.pth", "nested.pth")
    return [Path(tiny).read_bytes(), *((tmp_path / n).read_bytes() for n in names)]


@pytest.mark.fuzz
@pytest.mark.timeout(SECONDS + 300)
def test_damaged_weights_give_a_model_or_a_sentence(weights, tmp_path, rng):
    path, outcomes = tmp_path / "damaged.pth", Counter()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        contents = weights[rng.integers(len(weights))]
        path.write_bytes(damaged(contents, weights, rng))
        try:
            load_model(path)
            outcomes["loaded"] += 1
        except EDSRError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            outcomes[type(error).__name__] += 1
    _log.info(f"damaged weights: {dict(outcomes)}")
    assert outcomes["loaded"] and outcomes["CheckpointError"]


def odd(words, rng):
    """The same call with some of its words replaced, lost, repeated or added."""
    changed = list(words)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(1, len(changed) + 1))
        word = ODD[rng.integers(len(ODD))]
        kind = rng.integers(0, 4)
        if kind == 0 and place < len(changed):
            changed[place] = word
        elif kind == 1 and place < len(changed):
            del changed[place]
        elif kind == 2:
            changed[place:place] = changed[max(1, place - 2) : place]
        else:
            changed.insert(place, word)
    return changed


@pytest.fixture
def files_of_the_calls(tmp_path, tiny, monkeypatch):
    os.rename(tiny, tmp_path / "tiny.safetensors")
    monkeypatch.chdir(tmp_path)
    for name in ("in.png", "images/a.png", "images/b.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.arange(16 * 18 * 3, dtype=np.uint8).reshape(16, 18, 3)).save(
            path
        )
    (tmp_path / "notes.txt").write_text("no image")
    # What is not foreseen is raised instead of told.
    monkeypatch.setenv("NAPARI_EDSR_TRACEBACK", "1")


@pytest.mark.fuzz
@pytest.mark.timeout(SECONDS + 300)
def test_odd_arguments_give_a_result_or_a_sentence(files_of_the_calls, run, rng):
    codes = Counter()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        words = odd(COMMANDS[rng.integers(len(COMMANDS))].split(), rng)
        try:
            code, said, error = run(*words)
        except BaseException:  # the words that led to it are worth more than the trace
            print(json.dumps(words))  # noqa: T201
            raise
        assert code in (0, 1, 2), words
        assert (code == 0) or error.strip() or "Usage:" in said, words
        codes[code] += 1
    _log.info(f"odd arguments, exit codes: {dict(codes)}")
    assert codes[0] and codes[1] and codes[2]
