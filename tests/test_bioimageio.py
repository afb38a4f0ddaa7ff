"""Models as packages for BioImage.IO, as bioimageio.core runs them."""

from __future__ import annotations

import ast
import io
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from napari_edsr import load_model, samples, save_model, upscale, zoo
from napari_edsr.bioimageio import save_bioimageio
from napari_edsr.errors import CheckpointError

LEVELS = 1e-3  # of 255
FORMAT = ("--format", "bioimageio")
LIGHT = ["edsr-light-x2", "edsr-light-x3", "edsr-light-x4", "edsr-light-x2-microscopy"]


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """bioimageio.core, which keeps its cache to itself; some of it warns when loaded."""
    folder = tmp_path_factory.mktemp("bioimageio")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("BIOIMAGEIO_CACHE_PATH", str(folder))
        warnings.simplefilter("ignore")
        return pytest.importorskip("bioimageio.core")


@pytest.fixture(scope="module")
def built_in(tmp_path_factory):
    """Packages of built-in models, each made once."""
    folder = tmp_path_factory.mktemp("packages")

    def package(name):
        path = folder / f"{name}-package.zip"
        return path if path.exists() else save_bioimageio(load_model(name), path)

    return package


@pytest.fixture
def package(tmp_path, built_in):
    """The package of a network, or of a built-in model by its name."""

    def make(model, scale=None):
        if isinstance(model, str):
            return built_in(model)
        return save_bioimageio(model, tmp_path / "package.zip", scale)

    return make


@pytest.fixture
def network(tiny_model, package):
    """By its name a model, its scale and its package; of an MDSR the scale in the middle."""

    def make(name):
        if name != "mdsr":
            model = load_model(name)
            return model, model.config.scales[0], package(name)
        mdsr = tiny_model(scales=(2, 3, 4), multi_scale=True, rgb_range=255.0)
        return mdsr, 3, package(mdsr, 3)

    return make


def picture(n_colors, height, width):
    """(1, C, H, W) uint8."""
    grey = samples.microscopy_lr()[..., None]
    image = samples.photo_lr() if n_colors == 3 else grey
    return image[30 : 30 + height, 50 : 50 + width].transpose(2, 0, 1)[None]


def ours(model, image, scale):
    """What `upscale` makes of (1, C, H, W) intensities of 0-255, float32."""
    planes = np.moveaxis(image[0], 0, -1).astype(np.float32)
    axes = "YXS" if planes.shape[-1] == 3 else "YX"
    planes = planes if axes == "YXS" else planes[..., 0]
    options = {"device": "cpu", "precision": "fp32", "normalize": (0.0, 255.0)}
    result = upscale(planes, model, scale=scale, axes=axes, **options)
    return np.moveaxis(np.atleast_3d(result), -1, 0)[None]


def theirs(core, description, image, **options):
    result = core.predict(model=description, inputs=image, **options)
    return result.members["sr"].data.values


def member(path, name):
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def description_of(path):
    return yaml.safe_load(member(path, "rdf.yaml"))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["edsr-light-x2", "mdsr"])
def test_a_package_passes_their_test(name, core, network):
    *_, path = network(name)
    summary = core.test_model(path, devices=["cpu"])
    failed = [d.name for d in summary.details if d.status != "passed" or d.errors]
    assert (summary.status, failed) == ("passed", [])
    tested = {d.loc[-1] for d in summary.details if d.name.startswith("Reproduce")}
    assert tested == {"pytorch_state_dict", "torchscript"}


@pytest.mark.parametrize("weights", ["pytorch_state_dict", "torchscript"])
@pytest.mark.parametrize("name", [*LIGHT, "mdsr"])
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_others_get_our_pixels(name, weights, core, network):
    model, scale, path = network(name)
    found = core.load_model_description(path)
    image = picture(model.config.n_colors, 73, 76)
    with core.create_prediction_pipeline(
        found, devices=["cpu"], weight_format=weights
    ) as pipeline:
        given = core.digest_spec.create_sample_for_model(found, inputs=image)
        plain = pipeline.predict_sample_without_blocking(
            given, skip_input_padding=True, skip_output_cropping=True
        )
    expected = ours(model, image, scale)
    assert plain.members["sr"].data.shape == expected.shape
    np.testing.assert_allclose(
        plain.members["sr"].data.values, expected, rtol=0, atol=LEVELS
    )


@pytest.mark.parametrize("name", ["edsr-light-x2", "mdsr"])
def test_whole_images_are_mirrored_at_their_border(name, core, network):
    """As bioimageio.core does with each network that has a halo."""
    model, scale, path = network(name)
    found = core.load_model_description(path)
    halo = model.config.receptive_field(scale)
    image = picture(3, 2 * halo + 1, 2 * halo + 20)
    result = theirs(core, found, image)
    margins = [(0, 0), (0, 0), (halo, halo), (halo, halo)]
    mirrored = ours(model, np.pad(image, margins, mode="symmetric"), scale)
    cut = slice(halo * scale, -halo * scale)
    np.testing.assert_allclose(result, mirrored[..., cut, cut], rtol=0, atol=LEVELS)
    inner = ours(model, image, scale)[..., cut, cut]
    np.testing.assert_allclose(result[..., cut, cut], inner, rtol=0, atol=LEVELS)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_blocks_give_what_the_whole_image_gives(scale, core, package, tiny_model):
    model = tiny_model(scale)
    halo = model.config.receptive_field(scale)
    found = core.load_model_description(package(model))
    image = picture(3, 61, 83)
    block = {"batch": 1, "channel": 3, "y": 2 * halo + 23, "x": 2 * halo + 31}
    parts = theirs(core, found, image, input_block_shape={"lr": block})
    whole = theirs(core, found, image)
    assert parts.shape == (1, 3, 61 * scale, 83 * scale)
    np.testing.assert_allclose(parts, whole, rtol=0, atol=LEVELS)


def test_a_halo_that_is_too_small_would_show(core, package, tiny_model, tmp_path):
    """So that the test above can fail."""

    def shrink(content):
        for axis in content["outputs"][0]["axes"][2:]:
            axis["halo"] = 2

    path = package(tiny_model(2, n_feats=16))
    less = repacked(path, tmp_path / "less_package.zip", shrink)
    found = core.load_model_description(less)
    image = picture(3, 61, 83)
    block = {"batch": 1, "channel": 3, "y": 21, "x": 23}
    parts = theirs(core, found, image, input_block_shape={"lr": block})
    assert np.abs(parts - theirs(core, found, image)).max() > 100 * LEVELS


def test_what_a_package_says_of_a_built_in_model(core, package):
    found = core.load_model_description(package("edsr-light-x3"))
    card = zoo.get_card("edsr-light-x3")
    assert found.validation_summary.status == "valid-format"
    told = [w.msg for d in found.validation_summary.details for w in d.warnings]
    assert all("github_user" in line for line in told)
    assert found.name == card.title
    assert found.license == card.licence
    assert [author.name for author in found.authors] == ["The napari-edsr authors"]
    paper, project = found.cite
    assert "Lim" in paper.text
    assert paper.doi == "10.1109/CVPRW.2017.151"
    assert str(project.url).startswith("https://github.com/napari-edsr/")
    (low,), (high,) = found.inputs, found.outputs
    assert low.data.range == (0, 255)
    halo = card.config.receptive_field(3)
    for before, after in zip(low.axes[2:], high.axes[2:], strict=True):
        assert before.scale / after.scale == 3
        assert (after.halo, after.size.axis_id) == (3 * halo, before.id)
        assert before.size.min == 2 * halo + 1


def test_the_documentation_credits_cites_and_warns(package):
    path = package("edsr-light-x2")
    text = member(path, "README.md").decode()
    card = zoo.get_card("edsr-light-x2")
    for words in (card.credit, card.licence, "10.1109/CVPRW.2017.151", "37.58"):
        assert words in text
    assert "invents plausible detail" in text
    assert "## Validation" in text
    assert b"Berasategi" in member(path, "CREDITS.md")


def test_samples_and_cover_are_the_model_at_work(package):
    path, model = package("edsr-light-x2"), load_model("edsr-light-x2")
    tensors = (member(path, f"test_{end}.npy") for end in ("input", "output"))
    low, high = (np.load(io.BytesIO(tensor)) for tensor in tensors)
    assert (low.dtype, high.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(high, ours(model, low, 2), rtol=0, atol=LEVELS)
    assert (low.min() >= 0, low.max() <= 255, low.std() > 20) == (True, True, True)
    assert len(member(path, "cover.png")) < 500_000
    with Image.open(io.BytesIO(member(path, "cover.png"))) as cover:
        assert cover.size == (512, 256)
        both = np.asarray(cover).astype(float)
    before, after = both[:, :256], both[:, 256:]
    assert np.abs(before[::2] - before[1::2]).max() == 0  # repeated pixels
    assert np.abs(after[::2] - after[1::2]).max() > 20
    assert np.abs(before - after).mean() < 10


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


def test_one_file_is_the_same_each_time(package, tiny_model):
    model = tiny_model(4)
    assert package(model).read_bytes() == package(model).read_bytes()


@pytest.mark.parametrize("n_colors", [1, 2, 3, 4])
def test_any_number_of_channels(n_colors, core, package, tiny_model):
    model = tiny_model(2, n_colors=n_colors)
    found = core.load_model_description(package(model))
    assert found.validation_summary.status == "valid-format"
    assert len(found.inputs[0].axes[1].channel_names) == n_colors


def test_a_network_deeper_than_the_sample_is_large(core, package, tiny_model):
    model = tiny_model(2, n_resblocks=45, n_feats=2)
    found = core.load_model_description(package(model))
    assert found.validation_summary.status == "valid-format"
    height = found.inputs[0].axes[2].size.min
    assert height == 2 * model.config.receptive_field(2) + 1 > 180


def test_a_model_of_unknown_origin_claims_nothing(core, package, tiny_model):
    model = tiny_model(2)
    terms = {"name": "a/b: c", "licence": "for research only"}
    model.provenance = replace(model.provenance, **terms)
    path = package(model)
    found = core.load_model_description(path)
    assert (found.license, found.authors) == (None, [])
    assert found.name == "EDSR a b c x2"
    assert "for research only" in member(path, "README.md").decode()


def repacked(path, target, change=None, compression=zipfile.ZIP_STORED):
    """Another package of the same files, the description perhaps changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = yaml.safe_load(members.pop("rdf.yaml"))
    if change:
        change(content)
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("bioimageio.yaml", yaml.safe_dump(content))
    return target


def assert_same(model, other):
    expected = other.state_dict()
    assert model.config == other.config
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name])


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


def test_loading_one_that_others_wrote_anew(core, tmp_path, tiny_model, package):
    path = package(tiny_model(2))
    again = repacked(path, tmp_path / "again.zip", compression=zipfile.ZIP_BZIP2)
    assert_same(load_model(again), load_model(path))
    found = core.load_model_description(path)
    theirs = core.save_bioimageio_package(
        found, output_path=tmp_path / "their_package.zip"
    )
    assert_same(load_model(theirs), load_model(path))


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


def test_the_command_exports_and_imports(run, tmp_path, tiny_model):
    path = tmp_path / "light.zip"
    code, out, err = run("models", "export", "edsr-light-x3", path, *FORMAT)
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: EDSR x3, 16 blocks of 32 features, x3, written for")
    code, out, err = run("models", "import", path, "--name", "again")
    assert (code, err) == (0, "")
    before = load_model("edsr-light-x3")
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
def test_what_cannot_be_exported(output, options, words, run, tmp_path):
    path = tmp_path / output
    code, _, err = run("models", "export", "edsr-light-x2", path, *FORMAT, *options)
    assert code == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []


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
