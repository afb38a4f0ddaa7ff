"""Networks in BioImage.IO packages of others: read, never run."""

from __future__ import annotations

import hashlib
import io
import os
import time
import zipfile

import layouts
import pytest
import torch
import yaml
from layouts import Weights
from safetensors.torch import save

from napari_edsr import EDSRWarning, load_model
from napari_edsr.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("one_thread")
SCALE = 3
WEIGHTS = Weights.random(SCALE, dtype=torch.float32)
CODE = "import pathlib\npathlib.Path({marker!r}).touch()\nclass Net: pass\n"


def pickled(contents):
    stream = io.BytesIO()
    torch.save(contents, stream)
    return stream.getvalue()


def described(content, name="weights.pt", kwargs=None, **changes):
    """A description of format 0.5, as others write it."""
    sha256 = hashlib.sha256(content).hexdigest()
    architecture = {"source": "net.py", "callable": "Net", "kwargs": kwargs or {}}
    entry = {"source": name, "sha256": sha256, "architecture": architecture}
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": "My upscaler",
        "authors": [{"name": "Ada"}, {"name": "Grace"}],
        "license": "CC-BY-4.0",
        "id": "affable-shark",
        "inputs": [{"id": "raw", "preprocessing": [{"id": "scale_linear"}]}],
        "weights": {"pytorch_state_dict": {**entry, **changes}},
    }


@pytest.fixture
def others(tmp_path):
    """A package of others; its code leaves a mark where it is run."""

    def make(content, about=None, name="weights.pt", called="rdf.yaml", **more):
        path = tmp_path / "theirs.zip"
        about = described(content, name) if about is None else about
        text = about if isinstance(about, str) else yaml.safe_dump(about)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(called, text)
            archive.writestr("net.py", CODE.format(marker=str(tmp_path / "ran")))
            archive.writestr(name, content)
            for extra, data in more.items():
                archive.writestr(extra, data)
        return path

    yield make
    assert not (tmp_path / "ran").exists()


def same(model, other):
    expected = other.state_dict()
    assert model.config == other.config
    assert model.state_dict().keys() == expected.keys()
    return all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())


def refusal(path):
    """The message, after checking that it is one sentence that begins with the file."""
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(".")
    assert message.isprintable()
    assert len(message) < 400 + len(str(path))
    return message


@pytest.mark.promise(
    "The second reads a package of others with an EDSR or MDSR as "
    "`pytorch_state_dict`, as `load_model`"
)
@pytest.mark.parametrize("layout", ["edsr_pytorch", "basicsr", "mmagic"])
@pytest.mark.parametrize("kind", ["pickle", "safetensors"])
def test_a_package_of_others_holds_the_network_of_its_file(
    layout, kind, others, tmp_path
):
    contents = getattr(layouts, layout)(WEIGHTS)
    bare = tmp_path / "bare.pth"
    bare.write_bytes(pickled(contents))
    content, name = bare.read_bytes(), "weights.pt"
    if kind == "safetensors":
        contents = contents.get("params", contents.get("state_dict", contents))
        content, name = save(dict(contents)), "weights.safetensors"
    model = load_model(others(content, name=name))
    assert same(model, load_model(bare))
    about = model.provenance
    assert (about.name, about.licence) == ("My upscaler", "CC-BY-4.0")
    assert (about.credit, about.source) == ("Ada, Grace", "affable-shark")
    package = (tmp_path / "theirs.zip").read_bytes()
    assert about.sha256 == hashlib.sha256(package).hexdigest()


def test_a_package_of_format_0_4(others, tmp_path):
    content = pickled(layouts.edsr_pytorch(WEIGHTS))
    entry = {
        "source": "./weights.pt",
        "architecture": "net.py:Net",
        "kwargs": {"res_scale": "1e-1", "rgb_range": 255},
    }
    about = {"type": "model", "format_version": "0.4.10", "name": "old"}
    about["weights"] = {"pytorch_state_dict": entry}
    path = others(content, about, called="model.yaml")
    (tmp_path / "bare.pth").write_bytes(content)
    assert same(load_model(path), load_model(tmp_path / "bare.pth", res_scale=0.1))


def test_settings_of_the_architecture_are_taken_unless_others_are_given(others):
    content = pickled(layouts.basicsr(WEIGHTS))
    kwargs = {"num_in_ch": 3, "res_scale": 0.1, "img_range": 1.0}
    path = others(content, described(content, kwargs=kwargs))
    config = load_model(path).config
    assert (config.res_scale, config.rgb_range) == (0.1, 1.0)
    config = load_model(path, res_scale=0.5, rgb_range=255).config
    assert (config.res_scale, config.rgb_range) == (0.5, 255.0)


def test_a_preparation_that_is_not_done_here_is_named(others):
    content = pickled(layouts.mmagic(WEIGHTS))
    about = described(content)
    about["inputs"][0]["preprocessing"] = [{"id": "zero_mean_unit_variance"}]
    with pytest.warns(
        EDSRWarning, match="by zero_mean_unit_variance, which is not done"
    ):
        load_model(others(content, about))


@pytest.mark.promise("The second reads a package of others")
def test_a_package_of_others_is_imported(run, others):
    path = others(pickled(layouts.mmagic(WEIGHTS)))
    code, out, err = run("models", "import", path)
    assert (code, err) == (0, "")
    assert out == "theirs: EDSR x3, 2 blocks of 8 features, read as mmagic.\n"
    assert same(load_model("theirs"), load_model(path))
    assert load_model("theirs").provenance.licence == "CC-BY-4.0"


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.promise("Nothing in it is run")
def test_a_malicious_pickle_is_not_run(others, tmp_path):
    marker = tmp_path / "ran"
    contents = {**layouts.edsr_pytorch(WEIGHTS), "payload": Payload(str(marker))}
    assert "could run code" in refusal(others(pickled(contents)))


def test_a_malicious_description_is_not_run(others, tmp_path):
    text = f"type: !!python/object/apply:os.mkdir [{tmp_path / 'ran'}]"
    assert "its description is no YAML" in refusal(others(b"", text))


@pytest.mark.promise("nothing is unpacked")
@pytest.mark.parametrize(
    "name", ["../evil.py", "a/../../evil.py", "/evil.py", "C:/evil.py", "..\\evil.py"]
)
def test_names_that_lead_out_of_it(name, others, tmp_path):
    path = others(pickled(layouts.mmagic(WEIGHTS)), **{name: b"evil"})
    assert "leads out of the package" in refusal(path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"theirs.zip"}


@pytest.mark.parametrize(
    "source", ["../bare.pth", "/etc/passwd", "https://example.org/w.pt", "other.pt", 7]
)
def test_weights_that_are_not_in_it(source, others, tmp_path):
    (tmp_path / "bare.pth").write_bytes(pickled(layouts.mmagic(WEIGHTS)))
    about = described(b"", source=source)
    assert "does not hold its weights" in refusal(others(b"", about))


def test_weights_other_than_described(others):
    content = pickled(layouts.mmagic(WEIGHTS))
    about = described(content, sha256="0" * 64)
    assert "its sha256 is not the one described" in refusal(others(content, about))


def test_a_package_that_unpacks_to_far_more(others):
    content = bytes(100_000_000)
    path = others(content)
    assert path.stat().st_size < 1_000_000
    started = time.monotonic()
    assert "far too large (100,000,000 bytes)" in refusal(path)
    assert time.monotonic() - started < 1


def test_a_description_without_end(others):
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    ends = ["type: model", "name: *a59", "license: *a59", "authors: *a59"]
    path = others(b"", "\n".join([*lines, *ends]))
    started = time.monotonic()
    assert "needs pytorch_state_dict, but has none" in refusal(path)
    assert time.monotonic() - started < 1
    path = others(b"", "#" * 300_000)
    assert "rdf.yaml is far too large" in refusal(path)


def about_without_state():
    about = described(b"")
    about["weights"] = {"torchscript": {"source": "weights.pt"}, "onnx": {}}
    return about


@pytest.mark.promise("TorchScript and ONNX, which are programs, are not read")
@pytest.mark.parametrize(
    ("about", "words"),
    [
        (about_without_state(), "needs pytorch_state_dict, but has onnx, torchscript"),
        ({"type": "dataset"}, "a package of the type 'dataset'; choose one of a model"),
        ("- a\n- list", "a package of the type ''"),
        ("a: [", "its description is no YAML"),
        ("when: 2020-13-45", "its description is no YAML"),
        ("[" * 5_000, "its description is no YAML"),
        ({"type": "model", "weights": ["pytorch_state_dict"]}, "but has none"),
    ],
)
def test_descriptions_that_do_not_lead_to_weights(about, words, others):
    assert words in refusal(others(b"", about))


def test_other_networks_are_named(others):
    state = {"body.0.conv_du.0.weight": torch.zeros(1)}
    assert "it looks like an RCAN" in refusal(others(pickled(state)))
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("archive/constants.pkl", b"")
    assert "is a TorchScript program" in refusal(others(script.getvalue()))
    assert "is a web page" in refusal(others(b"<html>"))
    assert "is empty" in refusal(others(b""))


def test_damage_is_noticed_wherever_it_is(others, tmp_path):
    path = others(pickled(layouts.mmagic(WEIGHTS)))
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("weights.pt").header_offset
    for place in (start + 60, start + 5000, len(whole) - 30):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
        )
        refusal(path)
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged or incomplete" in refusal(path)
