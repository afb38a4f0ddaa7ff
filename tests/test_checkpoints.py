"""Loading and saving weights of every layout.

What the files mean is computed by the independent networks of `layouts`.
"""

import copy
import json

import layouts
import numpy as np
import pytest
import torch
from layouts import Weights
from safetensors import safe_open
from safetensors.torch import save_file

from napari_edsr import zoo
from napari_edsr.checkpoints import load_model, save_model
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import CheckpointError, EDSRWarning, FileError, ModelError
from napari_edsr.model import Provenance, build_model

pytestmark = pytest.mark.usefixtures("one_thread")


SIZES = {"tiny": (2, 8), "light": (16, 32), "baseline": (16, 64)}
SAVED = ("napari-edsr", "mmagic", "edsr-pytorch", "basicsr")


def image(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


def grey_levels_apart(one, two):
    return float((one.double() - two.double()).abs().max()) * 255


def write_all(folder, weights):
    """One file of each layout that subtracts the mean, from the same weights."""
    files = {
        "edsr-pytorch": (layouts.edsr_pytorch(weights), "a.pt"),
        "basicsr": (layouts.basicsr(weights), "b.pth"),
        "mmagic": (layouts.mmagic(weights), "c.pth"),
    }
    for contents, name in files.values():
        torch.save(contents, folder / name)
    own = folder / "own.safetensors"
    save_model(load_model(folder / "a.pt"), own)
    plain = folder / "plain.safetensors"
    save_file(unprefixed(weights), plain)
    return {
        **{layout: folder / name for layout, (_, name) in files.items()},
        "napari-edsr": own,
        "plain safetensors": plain,
    }


def unprefixed(weights):
    state = layouts.mmagic(weights)["state_dict"]
    return {k.removeprefix("generator."): v.contiguous() for k, v in state.items()}


def expected_outputs(weights, x, scale, res_scale=1.0):
    """0-1, of the networks of EDSR-PyTorch, BasicSR and mmagic."""
    n = len(weights.blocks)
    torch_state = layouts.edsr_pytorch(weights)
    basic = layouts.basicsr(weights)["params"]
    own = (n, scale, res_scale)
    return {
        "edsr-pytorch": layouts.run_edsr_pytorch(torch_state, x * 255, *own) / 255,
        "basicsr": layouts.run_basicsr(basic, x, *own),
        "mmagic": layouts.run_mmagic(unprefixed(weights), x, *own),
    }


@pytest.mark.promise(
    "Reads the published EDSR and MDSR weights of EDSR-PyTorch, super-image, "
    "BasicSR and mmagic",
    "`load_model(name_or_path)` returns the network as a torch module",
)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)], ids=str
)
def test_layouts_agree_with_each_other_and_their_own_networks(
    tmp_path, size, scale, dtype, tolerance
):
    weights = Weights.random(scale, *SIZES[size], dtype=dtype)
    x = image(1, 3, 5, 4, dtype=dtype)
    outputs = {}
    for layout, path in write_all(tmp_path, weights).items():
        model = load_model(path)
        blocks, feats = SIZES[size]
        assert (model.config.n_resblocks, model.config.n_feats) == (blocks, feats)
        assert (model.config.scales, model.config.res_scale) == ((scale,), 1.0)
        assert model.conv_first.weight.dtype == dtype
        outputs[layout] = model(x)
    for layout, expected in expected_outputs(weights, x, scale).items():
        for found in outputs.values():
            assert grey_levels_apart(found, expected) < tolerance, layout


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_float32_files_agree_when_widened(tmp_path, scale):
    weights = Weights.random(scale, dtype=torch.float32)
    torch.save(layouts.edsr_pytorch(weights), tmp_path / "a.pt")
    torch.save(layouts.basicsr(weights), tmp_path / "b.pth")
    x = image(1, 3, 9, 8)
    one, two = (load_model(tmp_path / n).double()(x) for n in ("a.pt", "b.pth"))
    assert grey_levels_apart(one, two) < 1e-9


def test_large_network_has_its_residuals_scaled(tmp_path):
    weights = Weights.random(2, 32, 256, dtype=torch.float32)
    torch.save(layouts.basicsr(weights), tmp_path / "large.pth")
    model = load_model(tmp_path / "large.pth")
    assert model.config == EDSRConfig.large(2, rgb_range=255.0)
    x = image(1, 3, 3, 4, dtype=torch.float32)
    expected = layouts.run_basicsr(layouts.basicsr(weights)["params"], x, 32, 2, 0.1)
    assert grey_levels_apart(model(x), expected) < 1e-3
    unscaled = load_model(tmp_path / "large.pth", res_scale=1)
    assert grey_levels_apart(unscaled(x), expected) > 1


def test_res_scale_is_kept_in_our_files(tmp_path):
    torch.save(layouts.basicsr(Weights.random(3)), tmp_path / "odd.pth")
    model = load_model(tmp_path / "odd.pth", res_scale=0.3)
    assert model.config.res_scale == 0.3
    again = load_model(save_model(model, tmp_path / "odd.safetensors"))
    assert again.config == model.config
    x = image(1, 3, 5, 5)
    assert torch.equal(again(x), model(x))
    assert load_model(tmp_path / "odd.safetensors", res_scale=1).config.res_scale == 1


@pytest.mark.promise("Reads the published EDSR and MDSR weights")
@pytest.mark.parametrize("scales", [(2, 3, 4), (2, 4), (3,)])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)], ids=str
)
def test_mdsr_agrees_with_its_own_network(tmp_path, scales, dtype, tolerance):
    state = layouts.mdsr(scales=scales, dtype=dtype)
    torch.save(state, tmp_path / "mdsr.pt")
    model = load_model(tmp_path / "mdsr.pt")
    own = load_model(save_model(model, tmp_path / "mdsr.safetensors"))
    assert model.config.scales == scales
    x = image(1, 3, 6, 7, dtype=dtype)
    for branch, scale in enumerate(scales):
        expected = layouts.run_mdsr(state, x * 255, 2, branch, scale) / 255
        assert grey_levels_apart(model(x, scale), expected) < tolerance
        assert torch.equal(own(x, scale), model(x, scale))


def test_mdsr_of_published_size(tmp_path):
    torch.save(layouts.mdsr(16, 64, dtype=torch.float32), tmp_path / "mdsr.pt")
    model = load_model(tmp_path / "mdsr.pt")
    assert model.config == EDSRConfig.mdsr(16, rgb_range=255.0)
    saved = save_model(model, tmp_path / "back.pt", layout="edsr-pytorch")
    state = torch.load(saved, weights_only=True)
    original = torch.load(tmp_path / "mdsr.pt", weights_only=True)
    assert state.keys() == original.keys()
    for name, value in original.items():
        torch.testing.assert_close(state[name], value, rtol=2e-7, atol=0)


@pytest.mark.parametrize("colors", [1, 2, 4])
def test_other_numbers_of_colours_have_no_mean(tmp_path, colors):
    weights = Weights.random(2, colors=colors)
    state = layouts.edsr_pytorch(weights)
    torch.save(state, tmp_path / "grey.pt")
    torch.save({**state, **layouts.means()}, tmp_path / "unused_means.pt")
    x = image(1, colors, 5, 6)
    expected = layouts.run_edsr_pytorch(state, x * 255, 2, 2) / 255
    for name in ("grey.pt", "unused_means.pt"):
        model = load_model(tmp_path / name)
        assert model.config.n_colors == colors
        assert grey_levels_apart(model(x), expected) < 1e-9


def test_trained_means_are_honoured_and_not_lost(tmp_path):
    state = layouts.edsr_pytorch(Weights.random(2))
    for key in [key for key in state if "mean" in key]:
        state[key] = state[key] + 0.01 * image(*state[key].shape, seed=len(key))
    torch.save(state, tmp_path / "trained.pt")
    model = load_model(tmp_path / "trained.pt")
    x = image(1, 3, 5, 6)
    expected = layouts.run_edsr_pytorch(state, x * 255, 2, 2) / 255
    assert grey_levels_apart(model(x), expected) < 1e-9
    for layout in ("napari-edsr", "edsr-pytorch"):
        path = save_model(model, tmp_path / layout, layout=layout)
        assert grey_levels_apart(load_model(path)(x), expected) < 1e-9
    for layout in ("mmagic", "basicsr"):
        with pytest.raises(CheckpointError, match="own colour means"):
            save_model(model, tmp_path / "no.pth", layout=layout)
    assert not (tmp_path / "no.pth").exists()


def super_image_file(folder, name):
    weights = Weights.random(4)
    state = layouts.super_image(weights)
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / name)
    return state, folder / name


def settings_beside(path, **settings):
    path.with_name("config.json").write_text(json.dumps(settings))


def test_super_image_is_told_by_name_by_its_settings_or_asked_for(tmp_path):
    state, path = super_image_file(tmp_path / "name", "pytorch_model_4x.pt")
    x = image(1, 3, 5, 6)
    expected = layouts.run_super_image(state, x, 2, 4)
    _, beside = super_image_file(tmp_path / "beside", "pytorch_model.bin")
    settings_beside(beside, model_type="EDSR", rgb_range=255, res_scale=1)
    _, neither = super_image_file(tmp_path / "neither", "weights.pt")
    asked = load_model(neither, layout="super-image")
    for model in (load_model(path), load_model(beside), asked):
        assert model.provenance.layout == "super-image"
        assert grey_levels_apart(model(x), expected) < 1e-9
    assert load_model(neither).provenance.layout == "edsr-pytorch"


def test_super_image_settings_give_its_res_scale(tmp_path):
    state, path = super_image_file(tmp_path, "pytorch_model_4x.pt")
    settings_beside(path, model_type="EDSR", res_scale=0.1)
    x = image(1, 3, 5, 6)
    expected = layouts.run_super_image(state, x, 2, 4, res_scale=0.1)
    assert grey_levels_apart(load_model(path)(x), expected) < 1e-9


@pytest.mark.parametrize("settings", ['{"theme": "dark"}', "[1]", "{", "\ufeff"])
def test_settings_of_other_programs_do_not_make_a_super_image(tmp_path, settings):
    torch.save(layouts.edsr_pytorch(Weights.random(2)), tmp_path / "a.pt")
    (tmp_path / "config.json").write_text(settings, encoding="utf-8")
    assert load_model(tmp_path / "a.pt").provenance.layout == "edsr-pytorch"


@pytest.mark.parametrize("settings", ["{}", '{"scale": 2, "epochs": 300}'])
def test_settings_that_may_be_of_another_program_are_named(tmp_path, settings):
    super_image_file(tmp_path, "weights.pt")
    (tmp_path / "config.json").write_text(settings)
    with pytest.warns(EDSRWarning, match="read as super-image's, for the config.json"):
        model = load_model(tmp_path / "weights.pt")
    assert model.provenance.layout == "super-image"


@pytest.mark.parametrize("drift", [1.0, 1.1])
def test_colour_means_tell_of_a_network_for_0_to_1(tmp_path, drift):
    weights = Weights.random(2)
    state = {**layouts.edsr_pytorch(weights), **layouts.means(white=drift)}
    torch.save(state, tmp_path / "unit.pt")
    x = image(1, 3, 5, 6)
    model = load_model(tmp_path / "unit.pt")
    assert model.config.rgb_range == 1
    expected = layouts.run_edsr_pytorch(state, x, 2, 2)
    assert grey_levels_apart(model(x), expected) < 1e-9


def test_rgb_range_can_be_given(tmp_path):
    weights = Weights.random(2)
    state = {**layouts.edsr_pytorch(weights), **layouts.means(white=1.0)}
    torch.save(state, tmp_path / "unit.pt")
    x = image(1, 3, 5, 6)
    expected = layouts.run_edsr_pytorch(state, x, 2, 2)
    model = load_model(tmp_path / "unit.pt", rgb_range=1)
    assert grey_levels_apart(model(x), expected) < 1e-9


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".safetensors", ""])
def test_neither_suffix_nor_age_of_the_format_matters(tmp_path, options, suffix):
    weights = Weights.random(2)
    path = tmp_path / f"weights{suffix}"
    torch.save(layouts.edsr_pytorch(weights), path, **options)
    x = image(1, 3, 4, 4)
    expected = expected_outputs(weights, x, 2)["edsr-pytorch"]
    assert grey_levels_apart(load_model(path)(x), expected) < 1e-9


def test_safetensors_under_another_suffix(tmp_path):
    save_file(unprefixed(Weights.random(3)), tmp_path / "weights.pth")
    assert load_model(tmp_path / "weights.pth").config.scales == (3,)


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: prefixed(s, "module."),
        lambda s: prefixed(s, "model."),
        lambda s: {"state_dict": prefixed(s, "module.model.")},
        lambda s: prefixed(s, "netG.") | {"netD.conv.weight": torch.zeros(1)},
        lambda s: {"params": prefixed(s, "module.")},
        lambda s: {"params": {}, "params_ema": s, "step": torch.tensor(3)},
        lambda s: {"state_dict": prefixed(s, "generator_ema.") | {"generator.x": 1}},
        lambda s: (
            prefixed(s, "generator_ema.module.")
            | {"generator_ema.steps": torch.tensor(3), "generator.conv_first.bias": 1}
        ),
        lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {}}},
    ],
)
def test_wrappers_and_prefixes_come_off(tmp_path, wrap):
    weights = Weights.random(2)
    for state in (layouts.edsr_pytorch(weights), layouts.basicsr(weights)["params"]):
        torch.save(wrap(state), tmp_path / "wrapped.pth")
        model = load_model(tmp_path / "wrapped.pth")
        assert torch.equal(model.conv_last.bias, weights.last["bias"])


def test_averaged_weights_go_first(tmp_path):
    plain, averaged = (Weights.random(2, seed=seed) for seed in (1, 2))
    both = layouts.basicsr(plain) | layouts.basicsr(averaged, "params_ema")
    torch.save(both, tmp_path / "both.pth")
    assert torch.equal(
        load_model(tmp_path / "both.pth").conv_last.bias, averaged.last["bias"]
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_become_float32(tmp_path, dtype):
    weights = Weights.random(2, dtype=dtype)
    torch.save(layouts.basicsr(weights), tmp_path / "half.pth")
    model = load_model(tmp_path / "half.pth")
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert torch.equal(model.conv_last.bias, weights.last["bias"].float())


def test_loaded_models_are_ready_to_use_and_to_copy(tmp_path):
    state = layouts.edsr_pytorch(Weights.random(2, dtype=torch.float32))
    trained = {key: torch.nn.Parameter(value) for key, value in state.items()}
    torch.save(trained, tmp_path / "a.pt")
    model = load_model(tmp_path / "a.pt")
    assert not model.training
    assert not any(
        value.requires_grad for value in model.state_dict(keep_vars=True).values()
    )
    x = image(1, 3, 4, 4, dtype=torch.float32)
    assert torch.equal(copy.deepcopy(model)(x), model(x))


def test_channels_last_weights_can_be_saved_and_loaded(tmp_path):
    model = load_model(write_all(tmp_path, Weights.random(2))["basicsr"])
    x = image(1, 3, 4, 4)
    expected = model(x)
    model.to(memory_format=torch.channels_last)
    for layout in SAVED:
        path = save_model(model, tmp_path / "m", layout=layout)
        assert grey_levels_apart(load_model(path)(x), expected) < 1e-9


def test_half_precision_models_can_be_saved(tmp_path):
    model = load_model(write_all(tmp_path, Weights.random(2))["basicsr"]).bfloat16()
    path = save_model(model, tmp_path / "m.safetensors")
    found = load_model(path).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(found[name], value.float())


def ulps_apart(one, two):
    one, two = (value.numpy() for value in (one, two))
    return float((np.abs(one - two) / np.spacing(np.abs(two))).max())


@pytest.mark.promise(
    "`save_model` writes it as safetensors or in the layout of mmagic, "
    "EDSR-PyTorch or BasicSR"
)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("start", ["mmagic", "edsr-pytorch", "basicsr"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_round_trips_give_the_weights_back(tmp_path, scale, start, dtype):
    original = load_model(
        write_all(tmp_path, Weights.random(scale, dtype=dtype))[start]
    )
    weights = dict(original.named_parameters())
    for layout in SAVED:
        there = load_model(save_model(original, tmp_path / "there", layout=layout))
        back = load_model(save_model(there, tmp_path / "back", layout=start))
        assert there.conv_first.weight.dtype == dtype
        for name, value in back.named_parameters():
            assert ulps_apart(value, weights[name]) <= 1, (layout, name)


@pytest.mark.parametrize("layout", SAVED)
def test_new_networks_survive_saving(tmp_path, layout):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = build_model(EDSRConfig(scales=(4,), n_resblocks=2, n_feats=8)).double()
    path = save_model(model, tmp_path / "new", layout=layout)
    x = image(1, 3, 5, 5)
    assert grey_levels_apart(load_model(path)(x), model(x).detach()) < 1e-9


@pytest.mark.promise(
    "`save_model` writes it as safetensors or in the layout of mmagic, "
    "EDSR-PyTorch or BasicSR"
)
def test_exported_files_are_what_those_packages_read(tmp_path):
    weights = Weights.random(4, dtype=torch.float32)
    model = load_model(write_all(tmp_path, weights)["basicsr"])
    expected = {
        "edsr-pytorch": layouts.edsr_pytorch(weights),
        "basicsr": layouts.basicsr(weights),
        "mmagic": layouts.mmagic(weights),
    }
    inner = {"edsr-pytorch": None, "basicsr": "params", "mmagic": "state_dict"}
    for layout, contents in expected.items():
        path = save_model(model, tmp_path / "out.pth", layout=layout)
        assert path.read_bytes()[:2] == b"PK"
        found, key = torch.load(path, weights_only=True), inner[layout]
        found, wanted = (found[key], contents[key]) if key else (found, contents)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert ulps_apart(found[name], value) <= 1


def test_our_files_describe_themselves(tmp_path):
    model = load_model(write_all(tmp_path, Weights.random(3))["mmagic"], res_scale=0.5)
    model.provenance = Provenance(
        name="mine", licence="CC0-1.0", credit="A. Author", source="https://example.org"
    )
    path = save_model(model, tmp_path / "m.safetensors", metadata={"epochs": 7})
    with safe_open(path, "pt") as file:
        texts = file.metadata()
    assert texts["licence"] == "CC0-1.0"
    assert EDSRConfig.from_dict(json.loads(texts["config"])) == model.config
    assert json.loads(texts["provenance"])["credit"] == "A. Author"
    found = load_model(path).provenance
    assert (found.name, found.licence, found.source, found.layout) == (
        *("mine", "CC0-1.0", "https://example.org"),
        "napari-edsr",
    )
    assert found.extra == {"epochs": 7}


def test_our_files_remember_what_they_were_made_from(tmp_path):
    model = load_model(write_all(tmp_path, Weights.random(2))["basicsr"])
    path = save_model(model, tmp_path / "m.safetensors", metadata={"licence": "MIT"})
    found = load_model(path).provenance
    assert found.licence == "MIT"
    assert found.extra["made_from"] == (
        f"basicsr file with sha256 {model.provenance.sha256}"
    )
    assert str(tmp_path).encode() not in path.read_bytes()


@pytest.mark.fault(
    "Weights files: bits flipped",
    "One sentence names the file, what is wrong with it and what to do.",
)
def test_every_flipped_byte_of_our_files_is_noticed(tmp_path):
    path = save_model(load_model(write_all(tmp_path, Weights.random(2, 1, 4))["basicsr"]),
                      tmp_path / "m.safetensors")  # fmt: skip
    data = path.read_bytes()
    for place in range(8, len(data), 211):
        flipped = bytearray(data)
        flipped[place] ^= 4
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError):
            load_model(path)


@pytest.mark.fault(
    "Weights files: written by a newer version", "An error says to update."
)
def test_newer_files_ask_for_an_update(tmp_path):
    texts = {"napari_edsr_format": "2"}
    save_file(unprefixed(Weights.random(2)), tmp_path / "new.safetensors", texts)
    with pytest.raises(CheckpointError, match="newer napari-edsr; update"):
        load_model(tmp_path / "new.safetensors")


@pytest.mark.fault(
    "Disk: a model that cannot be saved", "The old file stays, nothing is left behind."
)
def test_saving_replaces_whole_files_only(tmp_path, monkeypatch):
    model = load_model(write_all(tmp_path, Weights.random(2))["basicsr"])
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    before = sorted(entry.name for entry in tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", fail)
        with pytest.raises(FileError, match="No space left"):
            save_model(model, path)
    assert path.read_bytes() == b"before"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before
    save_model(model, path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before
    assert load_model(path).config == model.config


@pytest.mark.fault(
    "Disk: a model that cannot be saved", "The old file stays, nothing is left behind."
)
@pytest.mark.parametrize("layout", SAVED)
def test_saving_where_nothing_can_be_written(tmp_path, layout):
    model = load_model(write_all(tmp_path, Weights.random(2))["basicsr"])
    with pytest.raises(FileError, match="cannot be written"):
        save_model(model, tmp_path / "absent" / "m.pth", layout=layout)


def test_layouts_that_can_not_hold_the_network(tmp_path):
    torch.save(layouts.mdsr(), tmp_path / "mdsr.pt")
    model = load_model(tmp_path / "mdsr.pt")
    for layout in ("mmagic", "basicsr"):
        with pytest.raises(CheckpointError, match="has no MDSR"):
            save_model(model, tmp_path / "x.pth", layout=layout)
    for layout in ("super-image", "onnx"):
        with pytest.raises(ModelError, match="choose one of: napari-edsr, mmagic"):
            save_model(model, tmp_path / "x.pth", layout=layout)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_embedded_models_load_by_name(scale):
    card = zoo.get_card(f"edsr-light-x{scale}")
    model = load_model(card.name)
    assert model.config == card.config
    found = model.provenance
    assert (found.name, found.licence) == (card.name, card.licence)
    assert found.sha256 == card.sha256
    grey = torch.full((1, 3, 8, 8), 0.5)
    centre = model(grey)[..., 3 * scale : 5 * scale, 3 * scale : 5 * scale]
    assert (centre - 0.5).abs().max() < 0.02


def test_name_of_a_zoo_model_is_found_with_a_slash(tmp_path, monkeypatch):
    card = zoo.get_card("snu/edsr_baseline_x2")
    weights = Weights.random(2, 16, 64, dtype=torch.float32)
    torch.save(layouts.edsr_pytorch(weights), tmp_path / "fetched.pt")
    monkeypatch.setattr(zoo, "fetch", lambda _: tmp_path / "fetched.pt")
    model = load_model("snu/edsr_baseline_x2")
    assert (model.config, model.provenance.licence) == (card.config, "MIT")
    torch.save(layouts.edsr_pytorch(Weights.random(3)), tmp_path / "fetched.pt")
    with pytest.raises(CheckpointError, match="but it should be"):
        load_model("snu/edsr_baseline_x2")


def test_a_file_goes_before_a_model_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(layouts.edsr_pytorch(Weights.random(3)), "edsr-light-x2")
    assert load_model("edsr-light-x2").config.scales == (3,)


def test_a_name_that_is_neither_file_nor_model():
    with pytest.raises(ModelError, match="edsr-light-x2"):
        load_model("edsr-light-x9")


@pytest.mark.parametrize(
    "settings",
    [{"res_scale": 0}, {"rgb_range": float("inf")}, {"res_scale": float("nan")}],
)
def test_senseless_settings_are_refused(settings):
    with pytest.raises(ModelError, match="must be positive numbers"):
        load_model("edsr-light-x2", **settings)


def test_a_layout_must_fit_the_names(tmp_path):
    torch.save(layouts.basicsr(Weights.random(2)), tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="named as in basicsr, not as in mmagic"):
        load_model(tmp_path / "b.pth", layout="mmagic")
    with pytest.raises(ModelError, match="choose one of: napari-edsr"):
        load_model(tmp_path / "b.pth", layout="caffe")
