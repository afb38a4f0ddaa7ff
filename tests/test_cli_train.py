"""``napari-edsr train`` and ``finetune``: files in, a named model out, runs taken up again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from napari_edsr import load_model, samples
from napari_edsr.errors import FileError, TrainingError
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
    code, out, _ = run("train", "mine.yaml", "--out", "r", "--minutes", "0.00001")
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


def test_images_to_measure_on_leave_the_others_whole_and_are_not_learned_from(here):
    data = load_config(here / "mine.yaml").data
    learn, measure = find_sources(data)
    assert [source.held_out for source in (*learn, *measure)] == [0.0] * 2
    assert [source.name for source in (*learn, *measure)] == ["a.png", "b.png"]


def test_images_that_are_all_measured_leave_none_to_learn_from(here):
    with pytest.raises(TrainingError, match="All images of hr are in validation_hr"):
        find_sources(DataConfig(("photos",), validation_hr=("photos/*.png",)))
    with pytest.raises(TrainingError, match="Name at least one image"):
        find_sources(DataConfig())


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


def images(folder, *names):
    for name in names:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)


def lows_of(hr, lr):
    learn, _ = find_sources(DataConfig(hr, lr))
    return [(source.name, source.read_lr.args[0].name) for source in learn]


def test_real_pairs_are_matched_by_name_and_not_by_the_alphabet(here):
    images("hr", "img1.png", "img2.png", "img10.png")
    images("lr", "img1x2.png", "img2x2.png", "img10x2.png")
    pairs = lows_of(("hr",), ("lr/*.png",))
    assert pairs == [(f"img{n}.png", f"img{n}x2.png") for n in (1, 10, 2)]
    pairs = lows_of(("hr/img2.png", "hr/img1.png"), ("lr/img1x2.png", "lr/img2x2.png"))
    assert pairs == [(f"img{n}.png", f"img{n}x2.png") for n in (2, 1)]


def test_files_named_one_by_one_belong_together_whatever_they_are_called(here):
    images("x", "sharp.png", "clear.png", "fuzzy.png", "dim.png")
    sharp = ("x/sharp.png", "x/clear.png")
    assert lows_of(sharp, ("x/fuzzy.png", "x/dim.png")) == [
        ("sharp.png", "fuzzy.png"),
        ("clear.png", "dim.png"),
    ]


def test_folders_whose_names_do_not_match_are_refused(here):
    images("hr", "a.png", "b.png")
    images("lr", "a_lr.png", "b_lr.png")
    for hr in (("hr",), ("hr/a.png", "hr/b.png")):
        with pytest.raises(FileError, match="There is no a, b in lr; names must be"):
            lows_of(hr, ("lr",))


def test_images_of_one_name_in_several_folders_are_told_apart(here):
    images("day1", "001.png", "002.png")
    images("day2", "001.png")
    learn, _ = find_sources(DataConfig(("day1", "day2")))
    assert [source.name for source in learn] == [
        *("day1/001.png", "day1/002.png", "day2/001.png")
    ]
    images("deep/day1", "001.png")
    learn, _ = find_sources(DataConfig(("day1", "deep/**/*.png")))
    assert [source.name for source in learn] == [
        *("day1/001.png", "day1/002.png", "deep/day1/001.png")
    ]


def test_globs_in_a_folder_with_brackets(run, here, monkeypatch):
    folder = here / "[set 1]"
    images(folder, "many/a.png", "many/b.png", "[x].png")
    text = "{name: m, start: edsr-light-x2, data: {hr: [many/*.png, '[x].png']}}"
    (folder / "mine.yaml").write_text(text)
    learn, _ = find_sources(load_config(folder / "mine.yaml").data)
    assert [source.name for source in learn] == ["a.png", "b.png", "[x].png"]


def test_what_fine_tuning_wrote_down_can_be_repeated(run, here, tiny):
    shutil.copy(tiny, here / "tiny.safetensors")
    options = ("--steps", "2", "--model", "tiny.safetensors", "--device", "cpu")
    code, _, err = run("finetune", "photos/*.png", *options, "--out", "m.safetensors")
    assert (code, err) == (0, "")
    code, _, err = run("train", "m.run/config.yaml", "--out", "again")
    assert (code, err) == (0, "")
    first, again = (
        load_file(path) for path in ("m.safetensors", "again/m.safetensors")
    )
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_model_to_start_from_is_never_written_over(run, here, tiny):
    shutil.copy(tiny, here / "tiny.safetensors")
    before = (here / "tiny.safetensors").read_bytes()
    names = ("--model", "tiny.safetensors", "--out", here / "tiny.safetensors")
    code, _, err = run("finetune", "photos", "--steps", "1", *names)
    assert code == 1
    assert "is the model to start from, which stays as it is; name another --out" in err
    assert (here / "tiny.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("command", "out", "place"),
    [
        (("finetune", "photos"), "mine.safetensors", "mine.safetensors"),
        (("train", "mine.yaml"), "models", "models/mine.safetensors"),
    ],
)
def test_a_model_of_something_else_is_never_written_over(
    run, here, tiny, command, out, place
):
    path = here / place
    path.parent.mkdir(exist_ok=True)
    shutil.copy(tiny, path)
    before = path.read_bytes()
    code, said, err = run(*command, "--out", out)
    assert (code, said) == (1, "")
    assert f"{place} is there already, and is not of a run in" in err
    assert "name another --out, or delete it." in err
    assert path.read_bytes() == before
    assert not [*here.glob("**/state.safetensors")]


def test_the_model_of_a_run_is_written_anew_when_the_run_goes_on(run, here, tiny):
    command = ("finetune", "photos", "--model", tiny, "--steps", "2")
    for options in (("--minutes", "0.00001"), (), ()):
        code, _, err = run(*command, "--out", "m.safetensors", *options)
        assert (code, err) == (0, "")
    told = load_model(here / "m.safetensors").provenance.extra["training"]
    assert told["steps"] == 2


@pytest.mark.fault(
    "Weights files: training taken up with other images, or from another model",
    "It is refused, and says what differs.",
)
def test_a_run_does_not_go_on_with_other_images(run, here, tiny):
    command = ("--model", tiny, "--steps", "2", "--out", "m.safetensors")
    code, _, err = run("finetune", "photos/a.png", *command)
    assert (code, err) == (0, "")
    before = (here / "m.safetensors").read_bytes()
    code, out, err = run("finetune", "photos/b.png", *command)
    assert code == 1
    assert (
        "m.run holds a run with other images; name another folder, or delete it" in err
    )
    assert (here / "m.safetensors").read_bytes() == before


def test_the_best_weights_of_a_run_that_diverges_are_kept(run, here, monkeypatch):
    genuine, calls = torch.nn.functional.l1_loss, iter(range(1000))

    def loss(output, target):
        return genuine(output, target) * (1 if next(calls) < 10 else float("nan"))

    monkeypatch.setattr(torch.nn.functional, "l1_loss", loss)
    longer = "steps: 100\nrate: 3e-3\nema: 0.5\n"
    text = CONFIG.replace("steps: 4\n", longer).replace("every: 2", "every: 5")
    (here / "mine.yaml").write_text(text)
    code, out, err = run("train", "mine.yaml")
    assert code == 1
    assert "lower the learning rate" in err
    assert "mine.safetensors: the best weights, of step 10, are kept" in out
    told = load_model("runs/mine/mine.safetensors").provenance.extra["training"]
    assert told["best_step"] == 10
    assert told["psnr"] > told["psnr_before"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "none.yaml"), "cannot be read"),
        (("finetune", "photos", "--out", "m.pth"), "must end in .safetensors"),
        (("finetune", "nowhere"), "nowhere; check the path."),
        (("finetune", "photos", "--steps", "0"), "steps must be at least 1"),
        (("train", "mine.yaml", "--minutes", "0"), "--minutes must be more than 0"),
        (("train", "mine.yaml", "--minutes", "-3"), "more than 0, not -3."),
        (("finetune", "photos", "--model", "x"), "no model called"),
        (
            ("finetune", "photos", "--blur", "1", "--blur-unit", "um"),
            "give the blur in px",
        ),
        (
            ("finetune", "photos", "--lr-images", "photos", "--blur", "1"),
            "degradation; leave out --blur, or --lr-images.",
        ),
        (
            (*("finetune", "photos", "--lr-images", "photos", "--read-noise", "1"),)
            + ("--shrink", "area", "--jpeg", "50", "90"),
            "leave out --shrink, --read-noise, --jpeg, or --lr-images.",
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
