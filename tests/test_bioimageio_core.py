"""Models as packages for BioImage.IO, as bioimageio.core finds and runs them."""

from __future__ import annotations

import gc
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from bioimageio_packages import LEVELS, assert_same, member, ours, picture, repacked

from napari_edsr import load_model, zoo
from napari_edsr.bioimageio import save_bioimageio

pytestmark = pytest.mark.usefixtures("one_thread")
LIGHT = ["edsr-light-x2", "edsr-light-x3", "edsr-light-x4", "edsr-light-x2-microscopy"]


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """bioimageio.core, which keeps its cache to itself; some of it warns when loaded."""
    folder = tmp_path_factory.mktemp("bioimageio")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("BIOIMAGEIO_CACHE_PATH", str(folder))
        warnings.simplefilter("ignore")
        module = pytest.importorskip("bioimageio.core")
    gc.freeze()  # it collects garbage after each prediction, of all that is loaded
    yield module
    gc.unfreeze()


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


def theirs(core, description, image, **options):
    result = core.predict(model=description, inputs=image, **options)
    return result.members["sr"].data.values


@pytest.mark.promise(
    "a package of the [BioImage Model Zoo](https://bioimage.io), format 0.5"
)
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["edsr-light-x2", "mdsr"])
def test_a_package_passes_their_test(name, core, network):
    *_, path = network(name)
    summary = core.test_model(path, devices=["cpu"])
    failed = [d.name for d in summary.details if d.status != "passed" or d.errors]
    assert (summary.status, failed) == ("passed", [])
    tested = {d.loc[-1] for d in summary.details if d.name.startswith("Reproduce")}
    assert tested == {"pytorch_state_dict", "torchscript"}


@pytest.mark.promise(
    "the weights as a state dict and as TorchScript",
    "Intensities are 0 to 255 in and out: 8-bit images as they are",
    "`bioimageio.core` then gives the pixels of `upscale`, to a thousandth of "
    "a grey level",
)
@pytest.mark.parametrize("name", [*LIGHT, "mdsr"])
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_others_get_our_pixels(name, core, network):
    model, scale, path = network(name)
    found = core.load_model_description(path)
    image = picture(model.config.n_colors, 73, 76)
    expected = ours(model, image, scale)
    for weights in ("pytorch_state_dict", "torchscript"):
        options = {"devices": ["cpu"], "weight_format": weights}
        with core.create_prediction_pipeline(found, **options) as pipeline:
            given = core.digest_spec.create_sample_for_model(found, inputs=image)
            plain = pipeline.predict_sample_without_blocking(
                given, skip_input_padding=True, skip_output_cropping=True
            )
        result = plain.members["sr"].data.values
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=0, atol=LEVELS)


@pytest.mark.promise(
    "where it mirrors the image by the network's halo as it does with all models"
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


@pytest.mark.promise("whole and in blocks alike")
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


@pytest.mark.promise("Intensities are 0 to 255 in and out")
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


@pytest.mark.parametrize("n_colors", [1, 2, 4])
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


def test_loading_one_that_others_wrote_anew(core, tmp_path, tiny_model, package):
    path = package(tiny_model(2))
    again = repacked(path, tmp_path / "again.zip", compression=zipfile.ZIP_BZIP2)
    assert_same(load_model(again), load_model(path))
    found = core.load_model_description(path)
    theirs = core.save_bioimageio_package(
        found, output_path=tmp_path / "their_package.zip"
    )
    assert_same(load_model(theirs), load_model(path))
