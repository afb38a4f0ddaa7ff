"""``napari-edsr train`` and ``finetune``: files in, a named model out, runs taken up again."""

import numpy as np
import pytest
from PIL import Image

from napari_edsr import load_model, samples
from napari_edsr.train_config import DataConfig, Degradation, load_config
from napari_edsr.training_files import find_sources

CONFIG = """
name: mine
network: {scales: [2], n_resblocks: 1, n_feats: 4}
data: {hr: photos, validation_hr: [photos/b.png]}
steps: 4
batch: 2
patch: 8
validate_every: 2
device: cpu
precision: fp32
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two photographs and a configuration, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    photo = samples.photo_hr()
    Image.fromarray(photo[:96, :96]).save("photos/a.png")
    Image.fromarray(photo[96:160, :64]).save("photos/b.png")
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.promise("and writes `runs/mine/mine.safetensors`")
def test_a_configuration_becomes_a_model(run, here):
    code, out, err = run("train", "mine.yaml")
    assert (code, err) == (0, "")
    assert "step 0 of 4, fp32 on cpu; bicubic" in out
    assert out.index("step 2:") < out.index("step 4:")
    model = load_model(here / "runs" / "mine" / "mine.safetensors")
    assert model.provenance.name == "mine"
    assert model.config.n_feats == 4
    assert model.provenance.extra["training"]["steps"] == 4
    assert str(here) not in str(model.provenance.extra)


@pytest.mark.promise(
    "`--steps` or `--minutes` makes it shorter",
    "An interrupted run, or one that `--minutes` ended, goes on where it was "
    "when the same command is given again.",
)
def test_a_run_out_of_time_is_taken_up_again(run, here):
    code, out, _ = run("train", "mine.yaml", "--out", "r", "--minutes", "0")
    assert code == 0
    assert "Stopped at step 1; run it again to go on." in out
    code, out, _ = run("train", "mine.yaml", "--out", "r")
    assert "step 1 of 4" in out
    assert (here / "r" / "config.yaml").exists()
    (here / "mine.yaml").write_text(CONFIG.replace("batch: 2", "batch: 3"))
    code, _, err = run("train", "mine.yaml", "--out", "r")
    assert code == 1
    assert "other settings (batch)" in err
    assert load_config(here / "r" / "config.yaml").batch == 2


@pytest.mark.promise(
    "`finetune` goes on from a built-in model with images of your own."
)
def test_fine_tuning_says_what_it_gained_or_that_it_did_not(run, here):
    code, out, err = run(
        *("finetune", "photos/a.png", "--steps", "2", "--out", "cells.safetensors"),
        *("--rate", "1e-9", "--blur", "1.5", "--photons", "50", "--held-out", "0.4"),
    )
    assert (code, err) == (0, "")
    model = load_model(here / "cells.safetensors")
    told = model.provenance.extra["training"]
    assert told["config"]["degradation"]["photons"] == 50.0
    assert told["config"]["start"] == "edsr-light-x2"
    gain = told["psnr"] - told["psnr_before"]
    assert ("training did not help" in out) == (gain <= 0)
    assert load_config(here / "cells.run" / "config.yaml").steps == 2


def test_a_gain_too_small_to_count_is_not_called_one(run, here, monkeypatch):
    monkeypatch.setattr("napari_edsr.train_result._TELLING", 100)
    code, out, _ = run(
        *("finetune", "photos/a.png", "--steps", "3", "--out", "noisy.safetensors"),
        *("--rate", "3e-4", "--photons", "20", "--held-out", "0.4"),
    )
    told = load_model(here / "noisy.safetensors").provenance.extra["training"]
    gain = told["psnr"] - told["psnr_before"]
    assert code == 0 and gain > 0.01
    assert "training gained too little to count, +" in out
    assert "weights it started from" not in out


def test_a_model_that_got_better_but_not_better_than_bicubic_says_so(run, here):
    code, out, err = run(
        *("finetune", "photos/a.png", "--steps", "3", "--out", "noisy.safetensors"),
        *("--rate", "3e-4", "--photons", "20", "--held-out", "0.4"),
    )
    assert (code, err) == (0, "")
    told = load_model(here / "noisy.safetensors").provenance.extra["training"]
    assert told["psnr_before"] < told["psnr"] < told["psnr_bicubic"]
    assert f"Bicubic interpolation reaches {told['psnr_bicubic']:.3f}" in out


def test_another_scale_than_that_of_the_model(run, here):
    code, _, err = run(
        *("finetune", "photos/a.png", "--steps", "1", "--out", "x3.safetensors"),
        *("--model", "edsr-light-x2", "--scale", "3"),
    )
    assert (code, err) == (0, "")
    assert load_model(here / "x3.safetensors").config.scales == (3,)


def test_images_to_measure_on_leave_the_others_whole(here):
    data = load_config(here / "mine.yaml").data
    learn, measure = find_sources(data)
    assert [source.held_out for source in (*learn, *measure)] == [0.0] * 3


@pytest.mark.promise("or takes real ones (`--lr-images`)")
def test_real_pairs_are_matched_by_name(run, here):
    (here / "lr").mkdir()
    for name in ("b", "a"):
        photo = np.asarray(Image.open(f"photos/{name}.png"))
        Image.fromarray(photo[::2, ::2]).save(f"lr/{name}.png")
    code, _, err = run(
        *(
            "finetune",
            "photos",
            "--lr-images",
            "lr",
            "--steps",
            "1",
            "--out",
            "m.safetensors",
        )
    )
    assert (code, err) == (0, "")
    (here / "lr" / "a.png").unlink()
    code, _, err = run(
        *(
            "finetune",
            "photos",
            "--lr-images",
            "lr",
            "--steps",
            "1",
            "--out",
            "n.safetensors",
        )
    )
    assert code == 1
    assert "2 high-resolution images but 1 low-resolution" in err


def test_pairs_of_equal_names_in_several_folders_keep_their_order(here):
    for side in ("hr", "lr"):
        for folder in ("x", "y"):
            (here / side / folder).mkdir(parents=True)
            Image.new("L", (8, 8)).save(here / side / folder / "img.png")
    sides = (tuple(f"{side}/{folder}" for folder in "xy") for side in ("hr", "lr"))
    learn, _ = find_sources(DataConfig(*sides))
    read = [source.read_lr.args[0].parent.name for source in learn]
    assert read == ["x", "y"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "none.yaml"), "cannot be read"),
        (("finetune", "photos", "--out", "m.pth"), "must end in .safetensors"),
        (("finetune", "nowhere"), "There are no images at nowhere"),
        (("finetune", "photos", "--steps", "0"), "steps must be at least 1"),
        (("finetune", "photos", "--model", "x"), "no model called"),
        (
            ("finetune", "photos", "--blur", "1", "--blur-unit", "um"),
            "give the blur in px",
        ),
    ],
)
def test_every_error_is_one_line(run, here, arguments, words):
    code, _, err = run(*arguments)
    assert code == 1
    assert words in err
    assert err.count("\n") == 1


def test_finetuning_for_grey_images(run, here, tiny):
    code, _, err = run(
        *("finetune", "photos", "--model", tiny, "--grey", "--steps", "2"),
        *("--out", "grey.safetensors", "--device", "cpu"),
    )
    assert code == 0, err
    assert load_model(here / "grey.safetensors").config.n_colors == 1


def test_rectangles_and_intensities_of_a_configuration(here):
    data = "{hr: photos, windows: [[0, 16, 0, 96], []], normalize: [10, 200]}"
    (here / "mine.yaml").write_text(
        CONFIG.replace("{hr: photos, validation_hr: [photos/b.png]}", data)
    )
    sources, measure = find_sources(load_config(here / "mine.yaml").data)
    assert [source.held_out for source in sources] == [(0, 16, 0, 96), 0.0]
    assert [source.normalize for source in sources] == [(10.0, 200.0)] * 2
    assert measure == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("windows: [[0, 16, 0]]", "A window is four numbers"),
        ("windows: [[16, 0, 0, 4]]", "A window is four numbers"),
        ("windows: [[0, 16, 0, 96]]", "2 images but 1 windows"),
        ("windows: 5", "windows: 5 is not what belongs there"),
        ("normalize: [1]", "normalize is a word"),
    ],
)
def test_rectangles_that_make_no_sense(run, here, data, message):
    (here / "mine.yaml").write_text(
        CONFIG.replace(
            "{hr: photos, validation_hr: [photos/b.png]}", f"{{hr: photos, {data}}}"
        )
    )
    code, _, err = run("train", "mine.yaml")
    assert code == 1
    assert message in " ".join(err.split())


@pytest.mark.promise(
    "It makes their low-resolution sides, with blur, noise and JPEG if you say so"
)
def test_every_degradation_can_be_asked_for(run, here, tiny):
    code, _, err = run(
        *("finetune", "photos", "--model", tiny, "--steps", "1", "--device", "cpu"),
        *("--shrink", "area", "--blur", "0.5", "--photons", "300"),
        *("--read-noise", "2", "--jpeg", "50", "90", "--out", "camera.safetensors"),
    )
    assert code == 0, err
    found = load_config(here / "camera.run" / "config.yaml").degradation
    assert found == Degradation("area", 0.5, "px", 300.0, 2.0, (50, 90))
