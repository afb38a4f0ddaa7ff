"""Files made to be large, slow or misleading: refused before they cost anything."""

import collections
import datetime
import json
import os
import pickle
import zipfile

import layouts
import pytest
import torch
from layouts import Weights
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_edsr.checkpoints import load_model, save_model
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import CheckpointError, ModelError


def basicsr(n_feats=4):
    return layouts.basicsr(Weights.random(2, 1, n_feats, dtype=torch.float32))


def refused(path, reason):
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_model(path)
    assert str(caught.value).isprintable()


@pytest.mark.fault(
    "Weights files: tensors that claim more than the file holds",
    "It is refused before memory is taken.",
)
def test_tensors_larger_than_their_file(tmp_path):
    def expanded(tensor):
        return torch.zeros(1).expand(tensor.shape)

    weights = {k: expanded(v) for k, v in basicsr()["params"].items()}
    torch.save({"params": weights}, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", "no plain numbers")


@pytest.mark.fault("Weights files: zip bomb", "It is refused before memory is taken.")
def test_a_zip_whose_members_overlap(tmp_path):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(10_000))
        archive.filelist.extend(archive.filelist * 50)
    refused(path, "members are larger than the file")


@pytest.mark.fault("Weights files: a pipe instead of a file", "It is refused unopened.")
def test_an_endless_pipe_is_not_opened(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", "no ordinary file")


@pytest.mark.fault("Weights files: a file of 1 TB", "It is refused unread.")
@pytest.mark.parametrize("start", [b"\x80\x02", b"PK\x03\x04"])
def test_a_file_larger_than_any_model_is_not_read(tmp_path, start):
    path = tmp_path / "weights.pth"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(10**12)  # sparse: it takes no space
    refused(path, "too large")


@pytest.mark.fault(
    "Weights files: names that would command a terminal",
    "They are shown without what commands.",
)
def test_names_that_would_command_a_terminal(tmp_path):
    weights = basicsr()["params"] | {"evil\x1b[31m\nname": torch.zeros(1)}
    torch.save(weights, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", r"evil \[31m name")


def test_an_overlong_name_is_no_file():
    with pytest.raises(ModelError, match="no model called"):
        load_model("a" * 5000)


@pytest.mark.parametrize("protocol", [4, 5])
def test_pickle_protocols_that_are_not_read(tmp_path, protocol):
    torch.save(basicsr(), tmp_path / "weights.pth", pickle_protocol=protocol)
    refused(tmp_path / "weights.pth", "default protocol")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    refused(tmp_path / "bare.pth", "default protocol")


def test_programs_are_told_from_other_archives(tmp_path):
    path = tmp_path / "program.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"program/{name}", bytes(100))
    refused(path, "TorchScript")


def test_harmless_objects_of_training_logs(tmp_path):
    about = collections.defaultdict(list, {"loss": [0.5]})
    when = (datetime.datetime(2020, 6, 4), datetime.timedelta(hours=3), slice(1, 2))
    contents = {**basicsr(), "meta": {"log": about, "when": when, "ids": range(3)}}
    torch.save(contents, tmp_path / "weights.pth")
    model = load_model(tmp_path / "weights.pth")
    assert torch.equal(model.conv_first.weight, contents["params"]["conv_first.weight"])


def test_our_files_are_known_by_either_mark(tmp_path):
    network = load_model(_saved(tmp_path / "theirs.pth"), res_scale=0.1)
    path = save_model(network, tmp_path / "ours.safetensors")
    data = path.read_bytes()
    for mark in (b"napari_edsr_format", b"contents_sha256"):
        start = data.index(b'"' + mark) + 1
        for place in range(start, start + len(mark)):
            flipped = bytearray(data)
            flipped[place] ^= 1
            path.write_bytes(flipped)
            refused(path, "checksum differs|damaged")


def _saved(path):
    torch.save(basicsr(), path)
    return path


@pytest.mark.fault(
    "Weights files: senseless settings in a file",
    "One sentence names the file, what is wrong with it and what to do.",
)
@pytest.mark.parametrize(
    "changes",
    [
        {"res_scale": float("nan")},
        {"res_scale": "0.1"},
        {"res_scale": None},
        {"rgb_range": float("inf")},
        {"scales": [float("inf")]},
    ],
)
def test_senseless_settings_in_a_file_of_ours(tmp_path, monkeypatch, changes):
    path = save_model(
        load_model(_saved(tmp_path / "a.pth")), tmp_path / "a.safetensors"
    )
    with safe_open(path, "pt") as file:
        texts = file.metadata()
    weights = load_file(path)
    texts["config"] = json.dumps(json.loads(texts["config"]) | changes)
    monkeypatch.setattr(
        "napari_edsr.checkpoints._digest", lambda *_: texts["contents_sha256"]
    )
    save_file(weights, path, texts)
    refused(path, "description cannot be read")


@pytest.mark.fault(
    "Weights files: senseless settings in a file",
    "One sentence names the file, what is wrong with it and what to do.",
)
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('{"model_type": "EDSR", "res_scale": NaN}', "res_scale must be"),
        ('{"model_type": "EDSR", "res_scale": -1}', "res_scale must be"),
        (
            '{"model_type": "EDSR", "res_scale": 1' + "0" * 400 + "}",
            "res_scale must be",
        ),
    ],
)
def test_senseless_settings_beside_a_file(tmp_path, settings, reason):
    torch.save(layouts.edsr_pytorch(Weights.random(2)), tmp_path / "a.pt")
    (tmp_path / "config.json").write_text(settings)
    refused(tmp_path / "a.pt", reason)


@pytest.mark.parametrize("settings", ["[" * 200_000, '{"model_type": "bert"}'])
def test_settings_that_say_nothing_of_an_edsr(tmp_path, settings):
    torch.save(layouts.edsr_pytorch(Weights.random(2)), tmp_path / "a.pt")
    (tmp_path / "config.json").write_text(settings)
    assert load_model(tmp_path / "a.pt").provenance.layout == "edsr-pytorch"


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1"])
@pytest.mark.parametrize("key", ["res_scale", "rgb_range"])
def test_networks_have_positive_factors(key, value):
    with pytest.raises(ModelError, match=f"{key} must be a positive number"):
        EDSRConfig(**{key: value})


def test_means_that_were_trained_a_little_are_read_as_they_stand(tmp_path):
    weights = layouts.edsr_pytorch(Weights.random(2))
    for name in ("sub_mean.bias", "add_mean.bias"):
        weights[name] = weights[name] * (1 + 9e-7)
    torch.save(weights, tmp_path / "a.pt")
    network = load_model(tmp_path / "a.pt")
    assert torch.equal(network.sub_mean.bias, weights["sub_mean.bias"])
