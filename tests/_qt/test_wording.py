from __future__ import annotations

import pytest

from napari_edsr._qt import wording


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_960, "10 kB"),
        (999_400, "999 kB"),
        (999_600, "1.0 MB"),
        (320e6, "320 MB"),
        (1.44e9, "1.4 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes(count, words):
    assert wording.in_bytes(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (38.4, "38 s"), (99, "99 s"), (100, "2 min")]
    + [(360, "6 min"), (3590, "1 h 0 min"), (7800, "2 h 10 min")],
)
def test_durations(seconds, words):
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (17, "0:17"), (59.6, "1:00"), (3725, "1:02:05")]
)
def test_countdown(seconds, words):
    assert wording.clock(seconds) == words


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("cpu", "CPU"),
        ("cuda:0", "GPU (cuda:0)"),
        ("cuda:0,cuda:1", "2 GPUs (cuda:0,cuda:1)"),
    ],
)
def test_devices(device, words):
    assert wording.device_name(device) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EDSR light x2 (2000 x 3000 px)", "EDSR light ×2 (2000 × 3000 px)"),
        ("cells-x2 is not x2 of cells_x2", "cells-x2 is not ×2 of cells_x2"),
    ],
)
def test_factors_but_not_names_have_a_proper_sign(text, words):
    assert wording.times(text) == words


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("edsr-light-x2", "light"),
        ("edsr-baseline-x4", "baseline"),
        ("snu/edsr_baseline_x2", "baseline"),
        ("snu/edsr_x2", "edsr_x2"),
        ("snu/mdsr", "mdsr"),
        ("my cells", "my cells"),
        ("/models/tuned v2.safetensors", "tuned v2"),
    ],
)
def test_model_labels(model, label):
    assert wording.model_label(model) == label


def test_results_are_named_after_source_scale_and_model():
    assert wording.result_name("cells", 2, "edsr-light-x2") == "cells ×2 (light)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EDSR light x2", "EDSR light ×2"),
        ("2048 x 1024, uint16", "2048 × 1024, uint16"),
        ("max 2 boxes", "max 2 boxes"),
    ],
)
def test_times_sign(text, words):
    assert wording.times(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ""), ("no file", "No file."), ("Try again!", "Try again!"), (" a. ", "A.")],
)
def test_sentences(text, words):
    assert wording.sentence(text) == words
