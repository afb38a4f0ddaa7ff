"""What README.md tells its readers to type does what stands beside it."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pages
import pytest
import tifffile
import torch
from PIL import Image

from napari_edsr import drain, iter_consistency, load_model, samples, upscale
from napari_edsr.files import read_image
from napari_edsr.metrics import score
from napari_edsr.resampling import imresize
from napari_edsr.stores.read import read_zarr
from napari_edsr.train_config import DataConfig, Degradation, TrainConfig

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

pytestmark = pytest.mark.usefixtures("one_thread")


def blocks_of(heading, kind):
    """Blocks of code of a section, in one language."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [block.text for block in pages.blocks(section) if block.kind == kind]


def typed(run, heading):
    """Type the first block of a section; what each command prints."""
    said = {}
    for line in pages.command_lines(blocks_of(heading, "sh")[0]):
        program, *arguments = shlex.split(line)
        assert program == "napari-edsr"
        code, out, err = run(*arguments, *SHORTER.get(arguments[0], ()))
        assert (code, err) == (0, ""), line
        said[line] = out
    return said


#: Two steps show what two thousand do.
SHORTER = {"finetune": ("--steps", "2")}


# from a clone


@pytest.mark.promise(
    "`make docs` builds it as a site.",
    "make demo",
    "`make test` runs the tests.",
    "use `tox -e demo`, `tox -e demo-gui` and `tox`",
)
@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_targets_of_make_are_environments_of_tox():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert tox["tox"]["env_list"] == "test"
    named = re.findall(r"(?:`|^)make ([\w-]+)", README, re.MULTILINE)
    assert set(named) == {"demo", "demo-gui", "docs", "test"}
    for name in {*named, *re.findall(r"`tox -e ([\w-]+)`", README)}:
        make = ["make", "--dry-run", name, "DISPLAY=:0"]
        steps = subprocess.check_output(make, cwd=ROOT, text=True)
        assert f"tox run -e {name}" in steps
        assert tox[f"testenv:{name}"]["commands"]


@pytest.mark.promise(
    "say so first, here and below",
    "export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu",
)
def test_the_index_of_torch_reaches_what_tox_installs():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert "PIP_*" in tox["testenv"]["pass_env"].split()


@pytest.mark.promise(
    "On a machine with `git`, `make` and Python 3.11 or newer, from a clone:",
    "Debian and Ubuntu first need `sudo apt install git python3-venv`, and "
    "`libxcb-cursor0` for napari's window.",
)
def test_what_a_machine_needs_is_what_is_asked_for():
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    bootstrap = (ROOT / "scripts" / "bootstrap").read_text(encoding="utf-8")
    assert "sys.version_info < (3, 11)" in bootstrap
    assert 'missing="$missing python3-venv"' in bootstrap
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    (window,) = re.findall(r"^WINDOW = (.*)$", makefile, re.MULTILINE)
    assert "libxcb-cursor0" in window.split()


@pytest.mark.promise("brings napari and Qt as well")
def test_the_extra_all_brings_napari_and_qt():
    extras = PROJECT["project"]["optional-dependencies"]
    assert {re.split(r">=", need)[0] for need in extras["all"]} == {
        "napari-edsr[napari]",
        "napari[pyqt6]",
    }
    names = {re.split(r"[>=]", need)[0] for need in extras["napari"]}
    assert names == {"napari", "qtpy", "superqt", "pyqtgraph"}


# the command line


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A folder with the files that the commands name, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    photo, cells = samples.photo_hr(), samples.microscopy_hr().astype("u2") * 16
    for folder in ("scans", "plates/day 1", "originals", "sharp", "photos", "aside"):
        Path(folder).mkdir(parents=True)
    for n, name in enumerate(("baby", "bird")):
        part = photo[40 * n : 40 * n + 24, 100:136]
        Image.fromarray(part).save(f"originals/{name}.png")
        Image.fromarray(imresize(part, 0.5)).save(f"scans/{name}.png")
    Image.fromarray(photo[:18, :20]).save("photo.jpg")
    stack = np.stack([cells[:8, :9], cells[8:16, :9]])[None].repeat(3, 0)
    tifffile.imwrite("stack.tif", stack, photometric="minisblack")
    for name in ("cells.tif", "slide.tif", "plates/a.tif", "plates/day 1/b.tif"):
        tifffile.imwrite(name, cells[100:118, 60:82])
    for name in ("sharp/a.tif", "sharp/b.tif"):
        tifffile.imwrite(name, photo[:40, :44], photometric="rgb")
    for name in ("photos/a.png", "aside/b.png"):
        Image.fromarray(photo[-40:, -44:]).save(name)
    return tmp_path


def pixels(path):
    read = read_zarr if str(path).endswith(".zarr") else read_image
    return np.asarray(read(Path(path)).data)


@pytest.mark.promise(
    "napari-edsr upscale photo.jpg photo_x2.png",
    "napari-edsr upscale stack.tif stack_x4.tif --scale 4 --axes TCYX",
    'napari-edsr upscale "scans/*.png" upscaled --scale 2',
    'napari-edsr upscale plates upscaled --pattern "**/*.tif" --jobs 4 '
    "--log upscaled.jsonl",
    'napari-edsr upscale plates upscaled --name "{stem}_x{scale}.ome.zarr" --dry-run',
    "napari-edsr upscale cells.tif cells_x2.tif --uncertainty doubt.tif "
    "--consistency apart.tif",
    "napari-edsr upscale slide.tif slide_x2.ome.zarr",
    "napari-edsr evaluate upscaled originals --scale 2 --csv scores.csv",
    "napari-edsr benchmark --model edsr-light-x2 --scale 2 --hr originals",
    "napari-edsr models list",
    "napari-edsr models info edsr-light-x2",
    "napari-edsr devices",
)
def test_the_commands_do_what_they_say(run, images):
    said = "".join(typed(run, "Command line").values())

    np.testing.assert_array_equal(
        pixels("photo_x2.png"), upscale(pixels("photo.jpg"), "edsr-light-x2")
    )
    stack = upscale(pixels("stack.tif"), "edsr-light-x4", scale=4, axes="TCYX")
    np.testing.assert_array_equal(pixels("stack_x4.tif").reshape(stack.shape), stack)
    made = {str(path.relative_to("upscaled")) for path in Path("upscaled").rglob("*.*")}
    assert made == {"baby.png", "bird.png", "a.tif", str(Path("day 1/b.tif"))}
    cells = upscale(pixels("cells.tif"), "edsr-light-x2")
    for path in ("upscaled/a.tif", "upscaled/day 1/b.tif", "slide_x2.ome.zarr"):
        np.testing.assert_array_equal(pixels(path), cells)
    assert len(Path("upscaled.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert pixels("doubt.tif").shape == cells.shape
    assert pixels("apart.tif").shape == pixels("cells.tif").shape
    measured = score(pixels("upscaled/baby.png"), pixels("originals/baby.png"), scale=2)
    assert f"{measured.psnr:.4f}" in said
    assert str(measured.psnr) in Path("scores.csv").read_text(encoding="utf-8")


@pytest.mark.promise("Outputs that are there already are replaced")
def test_an_output_that_is_there_is_replaced(run, tiny, images):
    out = images / "out.png"
    out.write_bytes(b"of before")
    assert run("upscale", "photo.jpg", out, "--model", tiny)[0] == 0
    np.testing.assert_array_equal(pixels(out), upscale(pixels("photo.jpg"), tiny))


@pytest.mark.promise("any weights file can be given to `--model`")
@pytest.mark.parametrize("layout", ["mmagic", "edsr-pytorch", "basicsr"])
def test_the_model_may_be_a_weights_file_of_others(run, images, tiny_model, layout):
    from napari_edsr import save_model

    path = save_model(tiny_model(), images / "theirs.pth", layout=layout)
    assert run("upscale", "photo.jpg", "out.png", "--model", path)[0] == 0
    result = upscale(pixels("photo.jpg"), load_model(path))
    np.testing.assert_array_equal(pixels("out.png"), result)


@pytest.mark.promise("as `load_model` and `--model` do")
def test_the_model_may_be_a_package(run, images, tiny_model):
    from napari_edsr.bioimageio import save_bioimageio

    path = save_bioimageio(tiny_model(), images / "theirs.zip")
    assert run("upscale", "photo.jpg", "out.png", "--model", path)[0] == 0
    result = upscale(pixels("photo.jpg"), tiny_model())
    np.testing.assert_array_equal(pixels("out.png"), result)


@pytest.mark.promise('`--pattern "*.tif"` chooses among its files')
def test_a_pattern_chooses_among_the_files_of_a_folder(run, tiny, images):
    shutil.copy("photo.jpg", "plates/photo.jpg")
    run("upscale", "plates", "out", "--pattern", "*.tif", "--model", tiny)
    assert [path.name for path in Path("out").iterdir()] == ["a.tif"]


@pytest.mark.promise("each in a process with a quarter of the cores")
def test_processes_share_the_cores(monkeypatch):
    from napari_edsr.device import share_cores

    taken = []
    with monkeypatch.context() as patch:  # `one_thread` ends with the real ones
        patch.setattr(torch, "get_num_threads", lambda: 12)
        patch.setattr(torch, "set_num_threads", taken.append)
        share_cores(4)
        share_cores(16)
    assert taken == [3, 1]


@pytest.mark.promise("Both are for a single file.")
@pytest.mark.parametrize("option", ["--uncertainty", "--consistency"])
def test_maps_are_for_a_single_file(run, tiny, images, option):
    code, _, err = run("upscale", "scans", "out", option, "map.tif", "--model", tiny)
    assert (code, err.count("\n")) == (1, 1)
    assert "needs a single INPUT" in err
    assert not Path("out").exists() and not Path("map.tif").exists()


# what a result is worth


@pytest.mark.promise(
    "A high one is necessary, not sufficient: invented detail that shrinks to nothing "
    "does not show in it."
)
def test_detail_that_shrinks_to_nothing_is_consistent(rng):
    low = rng.integers(50, 200, (20, 24)).astype("u1")
    truth = low.repeat(2, 0).repeat(2, 1)
    invented = truth + 9 * (np.indices(truth.shape).sum(0) % 2 * 2 - 1)
    area = Degradation(shrink="area")
    job = iter_consistency(invented.astype("u1"), low, scale=2, degradation=area)
    assert np.abs(invented - truth).min() == 9
    assert drain(job).psnr == np.inf


@pytest.mark.promise("eight times the work, a little better")
def test_a_self_ensemble_is_a_little_better():
    low, truth = samples.photo_lr()[:90, :120], samples.photo_hr()[:180, :240]
    plain, better = (
        score(upscale(low, "edsr-light-x2", self_ensemble=eight), truth, scale=2).psnr
        for eight in (False, True)
    )
    assert plain < better < plain + 1


@pytest.mark.promise("On clean images that one is better.")
def test_on_clean_images_the_model_for_photographs_is_better():
    low, truth = samples.microscopy_lr()[:96, :96], samples.microscopy_hr()[:192, :192]
    photos, microscopy = (
        score(upscale(low, name), truth, scale=2).psnr
        for name in ("edsr-light-x2", "edsr-light-x2-microscopy")
    )
    assert photos > microscopy


# Python and training


@pytest.mark.promise(
    "image = samples.photo_lr()",
    "`score(sharp, samples.photo_hr(), scale=2)` measures a result by such a protocol",
)
def test_the_snippet_of_python_gives_what_its_comments_say(capsys):
    (text,) = blocks_of("Python", "python")
    names = {}
    exec(compile(text, "README.md", "exec"), names)

    shapes = re.findall(r"^(\w+) = .*# (\([\d, ]+\))(?:, (\w+))?$", text, re.MULTILINE)
    assert [name for name, *_ in shapes] == ["image", "sharp", "large"]
    for name, shape, dtype in shapes:
        assert str(names[name].shape) == shape
        assert names[name].dtype == (dtype or names["stack"].dtype)
    result = names["result"]
    assert capsys.readouterr().out.count("TileDone(") == result.metadata["tiles"]
    assert result.uncertainty.shape == result.image.shape == (3, 2, 128, 128)
    measured = score(names["sharp"], samples.photo_hr(), scale=2)
    assert measured.protocol == "mmagic" and measured.psnr > 25


@pytest.mark.promise(
    'napari-edsr finetune "sharp/*.tif" --photons 500 --out cells.safetensors',
    "napari-edsr upscale cells.tif cells_x2.tif --model cells.safetensors",
    "napari-edsr train mine.yaml",
)
def test_the_commands_of_training_make_models(run, images):
    (text,) = blocks_of("Training", "yaml")
    (images / "mine.yaml").write_text(text.replace("steps: 20000", "steps: 2"))
    typed(run, "Training")

    model = load_model("cells.safetensors")
    degradation = model.provenance.extra["training"]["config"]["degradation"]
    assert degradation["photons"] == 500
    result = upscale(pixels("cells.tif"), model)
    np.testing.assert_array_equal(pixels("cells_x2.tif"), result)
    assert load_model("runs/mine/mine.safetensors").provenance.name == "mine"


@pytest.mark.promise(
    "In Python the same run is a generator as well:",
    "from napari_edsr import Source, TrainConfig, blended, load_model, save_model, train",
)
def test_the_snippet_of_training_makes_a_model(images):
    tifffile.imwrite("cells.tif", samples.photo_hr()[:40, :44], photometric="rgb")
    (text,) = blocks_of("Training", "python")
    names = {}
    exec(compile(text.replace("steps=500", "steps=2"), "README.md", "exec"), names)

    result = names["result"]
    assert result.psnr >= result.before
    start = load_model("edsr-light-x2").state_dict()
    end, mixed = result.model.state_dict(), load_model("cells.safetensors").state_dict()
    for name, value in mixed.items():
        torch.testing.assert_close(value, start[name].lerp(end[name], 0.7))


@pytest.mark.promise("On a CPU the 2000 steps it takes by itself last up to an hour")
def test_fine_tuning_takes_two_thousand_steps_by_itself():
    from cli_reference import commands

    (steps,) = (p for p in commands()["finetune"].params if p.name == "steps")
    assert steps.default == 2000


@pytest.mark.promise("`TrainConfig` in [`train_config.py`](src/napari_edsr/")
@pytest.mark.parametrize("kind", [TrainConfig, DataConfig, Degradation])
def test_every_key_of_a_configuration_is_explained(kind):
    named = re.findall(r"^    (\w[\w, ]*) : ", kind.__doc__, re.MULTILINE)
    explained = [key for keys in named for key in keys.split(", ")]
    assert sorted(explained) == sorted(kind.__dataclass_fields__)
