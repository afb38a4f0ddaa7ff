"""`napari-edsr models`, as a user types it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from napari_edsr import zoo
from napari_edsr.checkpoints import load_model, save_model
from napari_edsr.cli import main, parameters
from napari_edsr.cli.models import app
from napari_edsr.errors import CheckpointError, DownloadError, EDSRError, ModelError


def models(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def printed(*words: object) -> str:
    result = models(*words)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def facts(text: str) -> dict[str, str]:
    """The two columns of `models info`."""
    pairs = [line.strip().split("  ", 1) for line in text.splitlines() if line.strip()]
    return {key: value.strip() for key, value in pairs}


@pytest.fixture
def theirs(tmp_path: Path, tiny_model) -> Path:
    """A user's own file: BasicSR's layout, which says nothing of res_scale."""
    return save_model(tiny_model(3), tmp_path / "My net (v2).pth", layout="basicsr")


def image() -> torch.Tensor:
    return torch.linspace(0, 1, 3 * 5 * 7).reshape(1, 3, 5, 7)


def test_list_has_one_line_for_each_model():
    lines = {
        line.split()[0]: line for line in printed("list").splitlines() if line.strip()
    }
    assert set(lines) >= {card.name for card in zoo.list_cards()}
    words = ("x2", "0.3 M", "BSD-3-Clause", "built in", "37.58 Y")
    assert all(word in lines["edsr-light-x2"] for word in words)
    words = ("x2,3,4", "8.0 M", "MIT", "download 31.8 MB")
    assert all(word in lines["snu/mdsr"] for word in words)
    assert "35.76 RGB" in lines["openmmlab/edsr_x2c64b16"]


def test_an_imported_model_whose_file_is_gone_is_to_be_imported_again(theirs):
    models("import", theirs, "--name", "mine")
    path = zoo.get_card("mine").path
    path.unlink()
    line = next(line for line in printed("list").splitlines() if "mine" in line)
    assert "missing; import it again" in line
    told = facts(printed("info", "mine"))
    assert "import it again" in told["File"]
    assert "Address" not in told


def test_list_fits_a_usual_terminal():
    assert max(len(line.rstrip()) for line in printed("list").splitlines()) <= 80


def test_list_shows_what_is_on_disk(own_cache):
    card = zoo.get_card("snu/edsr_x4")
    (own_cache / card.filename).touch()
    line = next(line for line in printed("list").splitlines() if "snu/edsr_x4" in line)
    assert "on disk" in line


def test_info_of_a_built_in_model():
    card = zoo.get_card("edsr-light-x4")
    known = facts(printed("info", "edsr-light-x4"))
    assert known["Network"] == "EDSR x4, 16 blocks of 32 features"
    assert known["Parameters"] == "380,931"
    assert known["Halo"] == f"{card.config.receptive_field(4)} px of input a side"
    assert known["Layout"] == "napari-edsr"
    assert known["sha256"] == card.sha256
    assert known["Licence"] == "BSD-3-Clause"
    assert known["File"] == str(card.path)
    assert known["Set5 PSNR Y"] == "31.34"


def test_info_of_a_model_not_yet_here_fetches_nothing(own_cache):
    known = facts(printed("info", "snu/mdsr"))
    assert known["Network"] == "MDSR x2, x3, x4, 80 blocks of 64 features"
    assert known["Halo"].startswith("172 px")
    assert known["rgb_range"] == "255"
    assert known["sha256"] == "4a78bedf..."
    assert "napari-edsr models download snu/mdsr" in known["File"]
    assert list(own_cache.iterdir()) == []


def test_info_of_a_file(theirs):
    known = facts(printed("info", theirs))
    assert known["Network"] == "EDSR x3, 2 blocks of 8 features"
    assert known["Layout"] == "basicsr"
    assert known["sha256"] == hashlib.sha256(theirs.read_bytes()).hexdigest()
    assert known["Licence"] == "unknown"


def test_info_shows_decibels_as_the_readme_has_them(tiny_model, tmp_path):
    assert facts(printed("info", "edsr-light-x2"))["Set5 PSNR RGB"] == "35.41"
    model = tiny_model(2)
    odd = {"PSNR": "high", "own PSNR": 30, "SSIM": 0.9876}
    extra = {**model.provenance.extra, "scores": odd}
    model.provenance = replace(model.provenance, extra=extra)
    known = facts(printed("info", save_model(model, tmp_path / "odd.safetensors")))
    assert [known[key] for key in odd] == ["high", "30.00", "0.9876"]


def test_info_elides_nothing_in_a_narrow_terminal(theirs, monkeypatch):
    monkeypatch.setattr(parameters, "_PIPE_WIDTH", 60)
    folder = theirs.parent / ("long" * 20)
    folder.mkdir()
    path = theirs.rename(folder / theirs.name)
    text = printed("info", path)
    assert max(map(len, text.splitlines())) <= 60
    shown = "".join(text.split())
    assert hashlib.sha256(path.read_bytes()).hexdigest() in shown
    assert "".join(str(path).split()) in shown


def test_info_prints_brackets_as_they_are(theirs):
    odd = theirs.rename(theirs.with_name("net[red].pth"))
    assert facts(printed("info", odd))["Name"] == "net[red]"


@pytest.mark.parametrize("command", ["info", "download"])
def test_an_unknown_name_is_an_error_with_a_hint(command):
    result = models(command, "edsr-lite-x2")
    assert isinstance(result.exception, ModelError)
    assert "did you mean edsr-light-x2" in str(result.exception)


def test_downloading_a_built_in_model_says_where_it_is():
    path = zoo.get_card("edsr-light-x2").path
    assert printed("download", "edsr-light-x2") == f"edsr-light-x2: {path}\n"


def test_an_imported_model_is_listed_and_gives_the_same_pixels(theirs):
    text = printed("import", theirs, "--res-scale", 0.5)
    name = "My-net-v2"
    assert text == f"{name}: EDSR x3, 2 blocks of 8 features, read as basicsr.\n"
    assert name in printed("list")
    model, before = load_model(name), load_model(theirs, res_scale=0.5)
    assert model.config.res_scale == 0.5
    assert model.provenance.source == theirs.name
    assert torch.equal(model(image()), before(image()))


def test_an_imported_file_is_verified_at_each_use(theirs, own_cache):
    printed("import", theirs, "--name", "mine")
    path = own_cache / "imported" / "mine.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    result = models("info", "mine")
    assert isinstance(result.exception, DownloadError)
    assert "import it again" in str(result.exception)


def test_a_name_is_imported_once_unless_replaced(theirs, tiny_model, tmp_path):
    printed("import", theirs, "--name", "mine")
    other = save_model(tiny_model(2), tmp_path / "other.safetensors")
    result = models("import", other, "--name", "mine")
    assert isinstance(result.exception, ModelError)
    assert load_model("mine").config.scales == (3,)
    printed("import", other, "--name", "mine", "--replace")
    assert load_model("mine").config.scales == (2,)


def test_a_file_that_is_no_model_is_not_imported(tmp_path, own_cache):
    page = tmp_path / "page.pth"
    page.write_text("<html>")
    assert isinstance(models("import", page).exception, CheckpointError)
    assert isinstance(models("import", tmp_path / "none").exception, EDSRError)
    assert list(own_cache.iterdir()) == []


def test_a_cache_folder_that_can_not_be_written_is_named(theirs, own_cache):
    (own_cache / "imported" / "mine.safetensors").mkdir(parents=True)
    result = models("import", theirs, "--name", "mine")
    assert isinstance(result.exception, DownloadError)
    assert "set NAPARI_EDSR_CACHE to another folder" in str(result.exception)
    assert [path.name for path in (own_cache / "imported").iterdir()] == [
        "mine.safetensors"
    ]


@pytest.mark.parametrize("layout", ["mmagic", "edsr-pytorch", "basicsr"])
def test_an_export_holds_the_same_network(tmp_path, layout):
    output = tmp_path / "out.pth"
    printed("export", "edsr-light-x2", output, "--layout", layout)
    model = load_model(output)
    assert model.provenance.layout == layout
    expected = load_model("edsr-light-x2")(image())
    torch.testing.assert_close(model(image()), expected, rtol=0, atol=1e-3 / 255)


@pytest.mark.parametrize("layout", ["napari-edsr", "mmagic"])
def test_an_export_imported_again_has_the_same_tensors(tmp_path, layout):
    suffix = ".safetensors" if layout == "napari-edsr" else ".pth"
    output = tmp_path / f"out{suffix}"
    printed("export", "edsr-light-x2", output, "--layout", layout)
    printed("import", output, "--name", "again")
    before, after = load_model("edsr-light-x2"), load_model("again")
    assert after.config == before.config
    assert_same_tensors(after, before, rtol=0)


@pytest.mark.parametrize("layout", ["edsr-pytorch", "basicsr"])
def test_there_and_back_through_another_range_costs_one_ulp(tmp_path, layout):
    there, back = tmp_path / "there.pth", tmp_path / "back.pth"
    printed("export", "edsr-light-x2", there, "--layout", layout)
    printed("import", there, "--name", "again")
    printed("export", "again", back, "--layout", "mmagic")
    assert load_model("again").config.rgb_range == 255
    assert_same_tensors(load_model(back), load_model("edsr-light-x2"), rtol=2**-23)


def assert_same_tensors(model, other, *, rtol: float) -> None:
    expected = other.state_dict()
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=rtol, atol=0)


@pytest.mark.fault(
    "Network: offline, or names cannot be resolved",
    "An error says so, and how to put the file there by hand.",
)
def test_without_a_network_a_download_ends_in_one_line(capsys, own_cache):
    with pytest.raises(SystemExit) as end:
        main(["models", "download", "snu/mdsr"])
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("napari-edsr: The server cv.snu.ac.kr cannot be reached (no")
    assert f"put the file mdsr-4a78bedf.pt into {own_cache} or set" in line


def test_our_own_export_keeps_licence_and_credit(tmp_path):
    output = tmp_path / "out.safetensors"
    printed("export", "edsr-light-x3", output)
    known = facts(printed("info", output))
    assert known["Licence"] == "BSD-3-Clause"
    assert known["Name"] == "edsr-light-x3"
    assert known["Credit"] == zoo.get_card("edsr-light-x3").credit


@pytest.mark.fault(
    "Disk: the output is the input by another name", "It is refused; the input stays."
)
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_an_export_never_overwrites_its_input(theirs, tmp_path, link):
    content = theirs.read_bytes()
    link(tmp_path / "link.pth", theirs)
    for output in (theirs, tmp_path / "link.pth"):
        result = models("export", theirs, output, "--layout", "mmagic")
        assert isinstance(result.exception, ModelError)
    assert theirs.read_bytes() == content


@pytest.mark.parametrize(
    ("output", "layout", "reason"),
    [
        ("out.pth", "napari-edsr", "must end in .safetensors"),
        ("out.safetensors", "mmagic", "end the name in .pth"),
        ("out.pth", "keras", "choose one of"),
        ("no/such/folder/out.pth", "mmagic", "cannot be written"),
    ],
)
def test_an_export_that_can_not_be_is_one_sentence(tmp_path, output, layout, reason):
    result = models("export", "edsr-light-x2", tmp_path / output, "--layout", layout)
    assert isinstance(result.exception, EDSRError)
    assert reason in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "options", "reason"),
    [
        ("out.safetensors", ["--scale", 3], "hold all scales of a model; leave out"),
        ("out.onnx", ["--format", "onnx", "--layout", "mmagic"], "is for weights;"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(tmp_path, output, options, reason):
    result = models("export", "edsr-light-x2", tmp_path / output, *options)
    assert isinstance(result.exception, ModelError)
    assert reason in str(result.exception)
