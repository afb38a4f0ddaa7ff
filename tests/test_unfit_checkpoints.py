"""Files that are damaged, dangerous, or of another network: one clear error each."""

import argparse
import pathlib
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import layouts
import numpy as np
import pytest
import torch
from layouts import Weights
from safetensors import safe_open
from safetensors.torch import save_file

from napari_edsr.checkpoints import load_model, save_model
from napari_edsr.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("one_thread")


def state(scale=2):
    return layouts.edsr_pytorch(Weights.random(scale, dtype=torch.float32))


def refusal(path):
    """The message, after checking that it is one sentence that begins with the file."""
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))
    return message


def saved(tmp_path, contents, **options):
    torch.save(contents, tmp_path / "weights.pth", **options)
    return tmp_path / "weights.pth"


CONTENTS = {
    "empty": (b"", "is empty; download or copy it again"),
    "page": (b"\n<!DOCTYPE html><html></html>", "is a web page"),
    "text": (b"just some words, longer than a header", "is not a weights file"),
    "short": (b"\x01\x02", "is not a weights file"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a weights file"),
    "claims 100 GB": ((10**11).to_bytes(8, "little") + b"{}", "damaged"),
    "bad header": ((4).to_bytes(8, "little") + b"{]}}", "damaged"),
    "only a pickle": (pickle.dumps([1, 2], protocol=2), "damaged or incomplete"),
    "zip start": (b"PK\x03\x04" + bytes(60), "damaged or incomplete"),
}


@pytest.mark.fault(
    "Weights files: empty, a web page, text, or a header that claims 100 GB",
    "One sentence names the file, what is wrong with it and what to do.",
)
@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_hold_no_weights(tmp_path, name, suffix):
    contents, reason = CONTENTS[name]
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(contents)
    assert reason in refusal(path)


@pytest.mark.fault(
    "Weights files: missing, or a folder",
    "One sentence names the file, what is wrong with it and what to do.",
)
def test_missing_files_and_folders(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing.pth")
    assert "is a folder" in refusal(tmp_path)


def test_missing_file_named_by_a_relative_string(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "No such file" in refusal("missing.weights")


@pytest.mark.fault(
    "Weights files: truncated",
    "One sentence names the file, what is wrong with it and what to do.",
)
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files(tmp_path, zipped):
    path = saved(tmp_path, state(), _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for kept in (3, 20, 600, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:kept])
        assert any(word in refusal(path) for word in ("damaged", "not a weights file"))


@pytest.mark.fault(
    "Weights files: truncated",
    "One sentence names the file, what is wrong with it and what to do.",
)
def test_truncated_safetensors(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"conv_first.weight": torch.zeros(8, 3, 3, 3)}, path)
    data = path.read_bytes()
    for kept in (9, 40, len(data) - 1):
        path.write_bytes(data[:kept])
        assert "damaged or incomplete" in refusal(path)


@pytest.mark.fault(
    "Weights files: bits flipped",
    "One sentence names the file, what is wrong with it and what to do.",
)
def test_flipped_bytes_of_a_zip(tmp_path):
    path = saved(tmp_path, state())
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if "/data/" in e.filename]
    for entry in entries[::5]:
        flipped = bytearray(data)
        start = data.index(state_bytes(path, entry.filename))
        flipped[start + entry.file_size // 2] ^= 1
        path.write_bytes(flipped)
        assert "damaged or incomplete" in refusal(path)
        path.write_bytes(data)


def state_bytes(path, name):
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def test_zip_files_of_other_kinds(tmp_path):
    path = tmp_path / "weights.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "not one of torch's" in refusal(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    assert "not one of torch's" in refusal(path)


class Payload:
    """Writes a file when unpickled without care."""

    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path(self.sentinel),))


class Shell(Payload):
    def __reduce__(self):
        return (subprocess.call, (["touch", str(self.sentinel)],))


class Evaluated(Payload):
    def __reduce__(self):
        return (eval, (f"open({str(self.sentinel)!r}, 'w')",))


class Attribute(Payload):
    """Through the name that is let through for the sake of training logs."""

    def __reduce__(self):
        return (getattr(pathlib.Path(self.sentinel), "touch"), ())  # noqa: B009


@pytest.mark.promise("never runs code found in a weights file")
@pytest.mark.fault(
    "Weights files: malicious pickle", "It is refused, and its payload never runs."
)
@pytest.mark.parametrize("kind", [Payload, Shell, Evaluated, Attribute])
@pytest.mark.parametrize("zipped", [True, False])
def test_malicious_pickles_run_nothing(tmp_path, kind, zipped):
    sentinel = tmp_path / "sentinel"
    contents = {**state(), "payload": kind(str(sentinel))}
    path = saved(tmp_path, contents, _use_new_zipfile_serialization=zipped)
    message = refusal(path)
    assert "could run code" in message or "unrecognized function" in message
    assert not sentinel.exists()


@pytest.mark.fault(
    "Weights files: a pickled program object",
    "It is refused, saying to save the state_dict.",
)
def test_whole_modules_are_refused(tmp_path):
    path = saved(tmp_path, torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3)))
    message = refusal(path)
    assert "torch.nn.modules.container.Sequential" in message
    assert "save only the model's state_dict()" in message


@pytest.fixture
def history_buffer(monkeypatch):
    """A class named and pickled as mmengine's."""
    module = types.ModuleType("mmengine.logging.history_buffer")
    source = """
class HistoryBuffer:
    _statistics_methods = {}
    def __init__(self, values):
        import numpy as np
        self.max_length = 1000000
        self._log_history = np.array(values)
        self._count_history = np.ones(len(values), dtype=np.int64)
        self._statistics_methods = {"mean": HistoryBuffer.mean}
    def mean(self, window_size=None):
        return self._log_history.mean()
    def __getstate__(self):
        return {**self.__dict__, "statistics_methods": self._statistics_methods}
"""
    exec(source, module.__dict__)
    module.HistoryBuffer.__module__ = module.__name__
    module.HistoryBuffer.mean.__module__ = module.__name__
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.HistoryBuffer


def full_mmengine_checkpoint(history_buffer):
    weights = layouts.mmagic(Weights.random(3, dtype=torch.float32))
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    scalars = OrderedDict(loss=history_buffer([0.5, 0.25]), lr=history_buffer([1e-4]))
    return {
        "meta": {"epoch": 0, "iter": np.int64(300000), "cfg": "scale = 3", "seed": 1},
        "state_dict": {
            **weights["state_dict"],
            "data_preprocessor.mean": torch.ones(3),
        },
        "message_hub": {
            "log_scalars": scalars,
            "runtime_info": OrderedDict(best=np.float64(32.3), when=np.float32(1.5)),
            "resumed_keys": {"loss": True},
        },
        "optimizer": optimizer.state_dict(),
        "param_schedulers": [{"last_step": 3, "_global_step": 4}],
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_full_checkpoints_of_mmengine(tmp_path, history_buffer, monkeypatch, zipped):
    contents = full_mmengine_checkpoint(history_buffer)
    path = saved(tmp_path, contents, _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, "mmengine.logging.history_buffer")
    model = load_model(path)
    expected = contents["state_dict"]["generator.conv_last.bias"]
    assert torch.equal(model.conv_last.bias, expected)


def test_pickles_of_an_older_numpy(tmp_path, history_buffer, monkeypatch):
    path = saved(
        tmp_path,
        full_mmengine_checkpoint(history_buffer),
        _use_new_zipfile_serialization=False,
    )
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert load_model(path).config.scales == (3,)


def test_settings_of_a_training_script(tmp_path):
    args = argparse.Namespace(epochs=3, folder=pathlib.Path("data"))
    path = saved(tmp_path, {"state_dict": state(), "args": args})
    assert load_model(path).config.scales == (2,)


@pytest.mark.parametrize("key", ["net", "params-ema", "net_g"])
@pytest.mark.parametrize("prefix", ["", "net.", "sr.module."])
def test_names_of_other_training_scripts(tmp_path, key, prefix):
    inner = {f"{prefix}{name}": value for name, value in state().items()}
    path = saved(tmp_path, {"epoch": 3, "rng": torch.zeros(2), key: inner})
    assert load_model(path).config.scales == (2,)


def test_an_average_goes_before_the_weights_it_is_of(tmp_path):
    one, other = state(), state()
    other["head.0.bias"] = other["head.0.bias"] + 1
    path = saved(tmp_path, {"net": one, "net_ema": other})
    assert torch.equal(load_model(path).conv_first.bias, other["head.0.bias"])


def test_one_of_several_networks_is_to_be_chosen(tmp_path):
    problem = refusal(saved(tmp_path, {"teacher": state(), "student": state()}))
    assert "holds several networks (teacher, student); save one alone" in problem


def test_a_shape_that_claims_more_than_the_file_holds(tmp_path):
    huge = torch.zeros(1).expand(2**31, 3, 3, 3)
    contents = {**state(), "head.0.weight": huge}
    assert "hold no plain numbers" in refusal(saved(tmp_path, contents))


def test_allow_list_of_torch_is_left_as_it_was(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    load_model(saved(tmp_path, state()))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    "contents",
    [{}, [], 3, {"state_dict": {}}, {"a": 1}, {"state_dict": [torch.zeros(1)]}],
)
def test_pickles_without_weights(tmp_path, contents):
    assert "holds no weights" in refusal(saved(tmp_path, contents))


def test_a_file_that_holds_itself(tmp_path):
    contents = {}
    contents["params"] = contents
    assert "holds no weights" in refusal(saved(tmp_path, contents))


def without(contents, *keys):
    return {key: value for key, value in contents.items() if key not in keys}


EXTRA = torch.zeros(8, 8, 3, 3)
CHANGES = {
    "missing": (lambda s: without(s, "body.1.body.2.bias"), "lacks body.1.body.2.bias"),
    "one mean": (lambda s: without(s, "add_mean.bias"), "lacks add_mean.bias"),
    "no head": (lambda s: without(s, "head.0.bias"), "lacks head.0.bias"),
    "no tail": (
        lambda s: without(s, "tail.0.0.weight", "tail.0.0.bias"),
        "x1",
    ),
    "extra": (
        lambda s: {**s, "attention.weight": EXTRA},
        "has attention.weight, which",
    ),
    "gap": (lambda s: {**s, "body.99999.weight": EXTRA}, "body.99999 but not those"),
    "long": (lambda s: {**s, f"body.{'9' * 5000}.weight": EXTRA}, "which no EDSR has"),
    "shape": (
        lambda s: {**s, "body.0.body.0.weight": torch.zeros(8, 8, 5, 5)},
        "body.0.body.0.weight (8, 8, 5, 5) instead of (8, 8, 3, 3)",
    ),
    "mean shape": (
        lambda s: {**s, "sub_mean.bias": torch.zeros(4)},
        "sub_mean.bias (4,) instead of (3,)",
    ),
    "half a step": (lambda s: without(s, "tail.0.0.weight"), "tail.0.0.weight"),
    "odd step": (
        lambda s: {**s, "tail.0.0.weight": torch.zeros(24, 8, 3, 3)},
        "tail.0.0.weight",
    ),
    "integers": (
        lambda s: {**s, "tail.1.bias": torch.zeros(3, dtype=torch.int8)},
        "tail.1.bias hold no plain numbers",
    ),
    "no tensor": (lambda s: {**s, "tail.1.bias": [0.0] * 3}, "hold no plain numbers"),
    "nan": (
        lambda s: {**s, "tail.1.bias": torch.tensor([0, 0, torch.nan])},
        "tail.1.bias hold NaN or infinity",
    ),
    "inf mean": (
        lambda s: {**s, "sub_mean.bias": torch.full((3,), torch.inf)},
        "sub_mean.bias hold NaN or infinity",
    ),
    "no convolution": (
        lambda s: {**s, "head.0.weight": torch.zeros(8)},
        "head.0.weight",
    ),
    "x8": (
        lambda s: {
            **s,
            "tail.0.2.weight": torch.zeros(32, 8, 3, 3),
            "tail.0.4.weight": torch.zeros(32, 8, 3, 3),
        },
        "x8",
    ),
    "RCAN": (lambda s: {**s, "body.0.conv_du.0.weight": EXTRA}, "looks like an RCAN"),
}


@pytest.mark.fault(
    "Weights files: NaN weights, scale 1, scale 8, missing or misshapen tensors",
    "One sentence names the file, what is wrong with it and what to do.",
)
@pytest.mark.parametrize("change", CHANGES)
def test_unfit_tensors_are_named(tmp_path, change):
    changed, reason = CHANGES[change]
    assert reason in refusal(saved(tmp_path, changed(state())))


def test_only_the_first_few_are_named(tmp_path):
    kept = {key: value for key, value in state().items() if "body.0." not in key}
    message = refusal(saved(tmp_path, kept))
    assert "body.0.body.0.bias" in message
    assert "and 3 more" in message


OTHERS = {
    "ESRGAN": ["conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight"],
    "SRResNet": ["conv_first.weight", "body.0.conv1.weight", "upconv1.weight"],
    "SwinIR": [
        "conv_first.weight",
        "layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
        "upsample.0.weight",
    ],
    "no EDSR": ["features.0.weight", "classifier.weight"],
}


@pytest.mark.fault("Weights files: another architecture", "The error names it.")
@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_are_named(tmp_path, name):
    contents = {key: torch.zeros(8, 3, 3, 3) for key in OTHERS[name]}
    assert name in refusal(saved(tmp_path, contents))


@pytest.mark.fault(
    "Weights files: bits flipped",
    "One sentence names the file, what is wrong with it and what to do.",
)
def test_damage_anywhere_gives_a_checkpoint_error_or_a_model(tmp_path):
    """A legacy file has no checksums, so that some damage cannot be seen."""
    rng = np.random.default_rng(1)
    path = saved(tmp_path, state(), _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    refused = 0
    for _ in range(150):
        damaged = bytearray(data)
        for place in rng.integers(0, 3000, 3):
            damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            load_model(path)
        except CheckpointError:
            refused += 1
    assert refused > 75


def test_a_scalar_among_our_own_tensors(tmp_path):
    torch.save(state(), tmp_path / "a.pt")
    path = save_model(load_model(tmp_path / "a.pt"), tmp_path / "m.safetensors")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file({**tensors, "x": torch.tensor(1.0)}, path, file.metadata())
    assert "checksum differs" in refusal(path)


def test_threads_do_not_disturb_each_other(tmp_path, history_buffer, monkeypatch):
    path = saved(tmp_path, full_mmengine_checkpoint(history_buffer))
    monkeypatch.delitem(sys.modules, "mmengine.logging.history_buffer")
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(load_model, [path] * 12))
    assert {model.config.scales for model in models} == {(3,)}
