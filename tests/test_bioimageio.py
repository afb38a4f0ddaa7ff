"""Models as packages for BioImage.IO: what is in them, and that they load again."""

from __future__ import annotations

import ast
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bioimageio_packages import LEVELS, assert_same, member, ours, repacked
from PIL import Image

from napari_edsr import load_model, save_model, zoo
from napari_edsr.bioimageio import save_bioimageio
from napari_edsr.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("one_thread")
FORMAT = ("--format", "bioimageio")


@pytest.fixture
def package(tmp_path):
    """The package of a network."""
    return lambda model: save_bioimageio(model, tmp_path / "package.zip")


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """The package of a built-in model."""
    path = tmp_path_factory.mktemp("packages") / "light.zip"
    return save_bioimageio(load_model("edsr-light-x2"), path)


@pytest.mark.promise("licence, credit, citations")
def test_the_documentation_credits_cites_and_warns(light):
    text = member(light, "README.md").decode()
    card = zoo.get_card("edsr-light-x2")
    for words in (card.credit, card.licence, "10.1109/CVPRW.2017.151", "37.58"):
        assert words in text
    assert "invents plausible detail" in text
    assert "## Validation" in text
    assert b"Berasategi" in member(light, "CREDITS.md")


@pytest.mark.promise("a sample with its result, test tensors and a cover")
def test_samples_and_cover_are_the_model_at_work(light):
    model = load_model("edsr-light-x2")
    tensors = (member(light, f"test_{end}.npy") for end in ("input", "output"))
    low, high = (np.load(io.BytesIO(tensor)) for tensor in tensors)
    assert (low.dtype, high.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(high, ours(model, low, 2), rtol=0, atol=LEVELS)
    assert (low.min() >= 0, low.max() <= 255, low.std() > 20) == (True, True, True)
    assert len(member(light, "cover.png")) < 500_000
    with Image.open(io.BytesIO(member(light, "cover.png"))) as cover:
        assert cover.size == (512, 256)
        both = np.asarray(cover).astype(float)
    before, after = both[:, :256], both[:, 256:]
    assert np.abs(before[::2] - before[1::2]).max() == 0  # repeated pixels
    assert np.abs(after[::2] - after[1::2]).max() > 20
    assert np.abs(before - after).mean() < 10


@pytest.mark.promise("the network as a Python file that needs torch alone")
def test_the_network_in_it_needs_torch_alone(package, tiny_model):
    path = package(tiny_model(2))
    tree = ast.walk(ast.parse(member(path, "edsr.py")))
    imported = {
        alias.name
        for node in tree
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (
            [ast.alias(node.module)] if hasattr(node, "module") else node.names
        )
    }
    assert imported == {"torch"}


def test_it_names_no_folder_of_this_machine(package, tiny_model):
    path = package(tiny_model(2))
    script = member(path, "edsr_torchscript.pt")
    home = str(Path(torch.__file__).parents[1]).encode()
    for content in (path.read_bytes(), script, member(path, "edsr.pt")):
        assert home not in content
        assert b"/src/napari_edsr" not in content


@pytest.mark.promise(
    "`save_bioimageio` in `napari_edsr.bioimageio` does the same from Python."
)
def test_one_file_is_the_same_each_time(package, tiny_model):
    model = tiny_model(2)
    assert package(model).read_bytes() == package(model).read_bytes()


def test_loading_gives_all_that_a_file_gives(tmp_path, tiny_model, package):
    model = tiny_model(4, res_scale=0.25, rgb_range=255.0)
    about = {"name": "mine", "licence": "MIT", "credit": "Ada", "source": "here"}
    extra = {"title": "A title", "scores": {"Set5 PSNR Y": 30.5}}
    model.provenance = replace(model.provenance, extra=extra, **about)
    file = load_model(save_model(model, tmp_path / "mine.safetensors"))
    packed = load_model(package(model))
    assert_same(packed, file)
    places = {"path": file.provenance.path, "sha256": file.provenance.sha256}
    assert replace(packed.provenance, **places) == file.provenance


def test_an_altered_description_is_noticed(tmp_path, tiny_model, package):
    def alter(content):
        about = content["config"]["napari_edsr"]
        about["config"] = about["config"].replace(
            '"res_scale": 1.0', '"res_scale": 2.0'
        )

    path = package(tiny_model(2))
    assert load_model(path).config.res_scale == 1
    with pytest.raises(CheckpointError, match="its checksum differs"):
        load_model(repacked(path, tmp_path / "altered.zip", alter))


@pytest.mark.promise(
    "`--format bioimageio` writes a [package](#models-for-other-programs) for "
    "Fiji, ilastik and others",
    "napari-edsr models export edsr-light-x2 light.zip --format bioimageio",
    "napari-edsr models import their-package.zip --name theirs",
)
def test_the_command_exports_and_imports(run, tmp_path, tiny_model):
    path = tmp_path / "light.zip"
    code, out, err = run("models", "export", "edsr-light-x2", path, *FORMAT)
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: EDSR x2, 16 blocks of 32 features, x2, written for")
    code, out, err = run("models", "import", path, "--name", "again")
    assert (code, err) == (0, "")
    before = load_model("edsr-light-x2")
    assert_same(load_model("again"), before)
    card = zoo.get_card("again")
    assert (card.licence, card.credit) == ("BSD-3-Clause", before.provenance.credit)


def test_the_command_says_what_is_not_known(run, tiny, tmp_path):
    path = tmp_path / "mine.zip"
    code, out, _ = run("models", "export", tiny, path, *FORMAT)
    assert code == 0
    assert "Note: who made this model, or under which licence, is not known" in out


@pytest.mark.parametrize(
    ("output", "options", "words"),
    [
        ("m.onnx", (), "m.onnx must end in .zip"),
        ("m.zip", ("--scale", "3"), "The model upscales x2"),
        ("no/folder/m.zip", (), "cannot be written"),
    ],
)
def test_what_cannot_be_exported(output, options, words, run, tiny, tmp_path):
    path = tmp_path / output
    code, _, err = run("models", "export", tiny, path, *FORMAT, *options)
    assert code == 1
    assert words in err
    assert list(tmp_path.iterdir()) == [Path(tiny)]


@pytest.mark.promise("Of an MDSR it holds one `--scale`.")
def test_an_mdsr_is_exported_for_one_scale(run, tmp_path, tiny_model):
    mdsr = tiny_model(scales=(2, 3, 4), multi_scale=True)
    file = save_model(mdsr, tmp_path / "mdsr.safetensors")
    path = tmp_path / "mdsr.zip"
    code, _, err = run("models", "export", file, path, *FORMAT)
    assert code == 1
    assert "has the scales x2 and x3 and x4; choose one" in err
    code, _, err = run("models", "export", file, path, *FORMAT, "--scale", "4")
    assert (code, err) == (0, "")
    single = load_model(path)
    assert (single.config.scales, single.config.multi_scale) == ((4,), True)
    image = torch.linspace(0, 1, 3 * 7 * 9).reshape(1, 3, 7, 9)
    assert torch.equal(single(image), mdsr(image, 4))
