"""A network as ONNX gives, in another engine, the numbers that it gives here."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from napari_edsr import load_model
from napari_edsr.onnx_export import save_onnx


def in_another_engine(path, image):
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(path, providers=providers)
    return session.run(["sr"], {"lr": image})[0]


def here(model, image, scale):
    with torch.inference_mode():
        return model(torch.from_numpy(image), scale).numpy()


@pytest.mark.promise("for images of any height and width")
@pytest.mark.parametrize(
    ("scale", "changes"),
    [
        (2, {}),
        (3, {"rgb_range": 255.0, "res_scale": 0.1}),
        (4, {"n_colors": 1}),
        (3, {"scales": (2, 3, 4), "multi_scale": True}),
    ],
)
def test_any_height_width_and_batch(scale, changes, tiny_model, tmp_path, rng):
    model = tiny_model(scale, **changes)
    path = save_onnx(model, tmp_path / "model.onnx", scale)
    onnx.checker.check_model(path, full_check=True)
    for batch, height, width in ((1, 13, 17), (2, 1, 9)):
        shape = (batch, model.config.n_colors, height, width)
        image = rng.random(shape).astype("f4")
        expected = here(model, image, scale)
        np.testing.assert_allclose(in_another_engine(path, image), expected, atol=2e-6)


@pytest.mark.promise(
    "`napari-edsr models export edsr-light-x2 light.onnx --format onnx` "
    "writes the network as a graph for other programs"
)
def test_the_command_writes_a_built_in_model_with_its_credit(run, tmp_path, rng):
    path = tmp_path / "light.onnx"
    code, out, err = run("models", "export", "edsr-light-x3", path, "--format", "onnx")
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: ")
    assert "x3, written as ONNX." in out
    model = load_model("edsr-light-x3")
    image = rng.random((1, 3, 10, 8)).astype("f4")
    expected = here(model, image, 3)
    np.testing.assert_allclose(in_another_engine(path, image), expected, atol=2e-6)
    told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert told["name"] == "edsr-light-x3"
    assert told["credit"] == model.provenance.credit
    assert told["scale"] == "3"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("m.onnx", "--format", "tflite"),
            "The format 'tflite' is unknown; choose one of: weights, onnx",
        ),
        (("m.pb", "--format", "onnx"), "m.pb must end in .onnx"),
        (("m.onnx", "--format", "onnx", "--scale", "3"), "The model upscales x2"),
        (("m.onnx",), "must end in .safetensors"),
    ],
)
def test_what_cannot_be_written(arguments, words, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("models", "export", "edsr-light-x2", *arguments)
    assert code == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_it_says_how_to_get_it(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    path = tmp_path / "light.onnx"
    code, _, err = run("models", "export", "edsr-light-x2", path, "--format", "onnx")
    assert code == 1
    assert "pip install 'napari-edsr[fast]'" in err
    assert not path.exists()
