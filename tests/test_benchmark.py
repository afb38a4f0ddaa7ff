"""The benchmark command: the tables of the literature, and faults of the folders."""

import csv
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import ROOT
from PIL import Image

from napari_edsr import drain, load_model, save_model
from napari_edsr.benchmark import (
    PUBLISHED,
    Published,
    iter_benchmark,
    mean_of,
    published,
    set5_scores,
)
from napari_edsr.errors import FileError, ImageError
from napari_edsr.events import ImageDone
from napari_edsr.metrics import Score

#: Bicubic on Set5, PSNR and SSIM: HR cropped to multiples of the scale (RGB, then Y),
#: and of 12 (RGB).
BICUBIC = {
    2: ((31.7866, 0.9086), (33.6734, 0.9303), (31.7689, 0.9092)),
    3: ((28.6236, 0.8383), (30.4033, 0.8689), (28.6064, 0.8386)),
    4: ((26.6921, 0.7731), (28.4290, 0.8111), (26.6618, 0.7736)),
}
SHIPPED = {2: 35.412, 3: 31.745, 4: 29.458}


@pytest.fixture
def folder():
    found = Path(os.environ.get("NAPARI_EDSR_SET5", ROOT.parent / "shared/data/set5"))
    if not found.is_dir():
        pytest.skip(f"Set5 is not at {found}; NAPARI_EDSR_SET5 names its folder")
    return found


def assert_is(score, row):
    psnr, ssim = row
    assert score.psnr == pytest.approx(psnr, abs=2e-4)
    assert score.ssim == pytest.approx(ssim, abs=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_row_of_bicubic_and_the_shipped_one(folder, scale):
    hr = sorted((folder / "HR").iterdir())
    lr = [folder / f"LRx{scale}" / path.name for path in hr]
    model = load_model(f"edsr-light-x{scale}")
    mean = mean_of(drain(iter_benchmark(model, hr, lr, scale=scale)))
    assert_is(mean.bicubic, BICUBIC[scale][0])
    assert mean.model.psnr == pytest.approx(SHIPPED[scale], abs=2e-3)


@pytest.mark.promise(
    "(`--protocol edsr-y` for Y)",
    "`--mod 12` crops as the published tables do",
    "HR cropped to multiples of the scale, `scale` pixels shaved from each border.",
)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("table", "options", "colour"),
    [
        (0, (), "RGB"),
        (1, ("--protocol", "edsr-y"), "Y"),
        (2, ("--mod", "12"), "RGB"),
    ],
)
def test_the_command_makes_every_table_of_bicubic(
    run, folder, tiny_model, tmp_path, scale, table, options, colour
):
    model = save_model(tiny_model(scale), tmp_path / "tiny.safetensors")
    command = ("benchmark", "--hr", folder / "HR", "--scale", scale, "--model", model)
    code, out, err = run(*command, "--json", *options)
    assert (code, err) == (0, "")
    measured = json.loads(out)
    bicubic = Score(**measured["mean"]["bicubic"])
    assert_is(bicubic, BICUBIC[scale][table])
    assert (bicubic.colour, bicubic.border) == (colour, scale)
    if bicubic.protocol == "mmagic":
        assert measured["published"] == vars(PUBLISHED["set5", scale])


@pytest.mark.promise(
    "[`edsr-light-x2`](docs/models/edsr-light-x2.md)",
    "[`edsr-light-x3`](docs/models/edsr-light-x3.md)",
    "[`edsr-light-x4`](docs/models/edsr-light-x4.md)",
    "`python benchmarks/set5_table.py Set5` measures this table",
)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_table_of_the_readme_is_what_is_measured(folder, scale):
    model = load_model(f"edsr-light-x{scale}")
    scores = set5_scores(model, folder, scale)
    rgb, bicubic_rgb, y, bicubic_y = (f"{value:.2f}" for value in scores.values())
    row = f"| {rgb} | {y} | {bicubic_rgb} / {bicubic_y} |"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = [
        line for line in readme.splitlines() if f"| [`edsr-light-x{scale}`]" in line
    ]
    assert line.endswith(row)


@pytest.fixture
def photos(tmp_path, rng):
    """A folder with an RGB, a grey and an RGBA image."""
    (tmp_path / "set14").mkdir()
    for name, shape in (("a", (30, 37, 3)), ("b", (30, 37)), ("c", (30, 37, 4))):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "set14" / f"{name}.png")
    return tmp_path / "set14"


def test_images_are_measured_as_they_are_displayed(photos, tiny_model, tmp_path):
    shown = np.asarray(Image.open(photos / "b.png"))
    tifffile.imwrite(tmp_path / "b.tif", 255 - shown, photometric="miniswhite")
    pair = [photos / "b.png", tmp_path / "b.tif"]
    first, second = drain(iter_benchmark(tiny_model(), pair, scale=2))
    assert (first.model, first.bicubic) == (second.model, second.bicubic)


def test_a_warning_is_not_among_the_json(run, photos, own_cache):
    (own_cache / "registry.json").write_text("{broken")
    command = ("benchmark", "--hr", photos, "--scale", "2", "--json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, out, err = run(*command, "--model", "edsr-light-x2", "--device", "cpu")
    assert code == 0
    assert json.loads(out)
    assert "registry.json is damaged and ignored" in err


def test_grey_counts_as_colour_and_alpha_is_left_out(photos, tiny_model):
    rows = drain(iter_benchmark(tiny_model(), sorted(photos.iterdir()), scale=2))
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert {row.model.colour for row in rows} == {"RGB"}
    assert all(np.isfinite(row.bicubic.psnr) for row in rows)


def test_progress_names_the_image_at_work(photos, tiny_model):
    events = list(iter_benchmark(tiny_model(), sorted(photos.iterdir()), scale=2))
    assert set(events) == {ImageDone(n, 3) for n in range(4)}


@pytest.mark.promise(
    "`benchmark` does it all for a folder of high-resolution images: makes "
    "them small, upscales them, and sets the model beside bicubic "
    "interpolation.",
    "beside the published figure of the paper's larger baseline",
)
def test_the_command_prints_a_row_each_the_mean_and_what_was_published(
    run, photos, tiny
):
    code, out, err = run("benchmark", "--hr", photos, "--model", tiny)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    assert names[-5:] == ["a", "b", "c", "mean", "Published"]
    assert "31.4290 dB, 0.8874" in lines[-1]


@pytest.mark.promise(
    "every table states its own",
    "| `mmagic` | RGB | scale | rounded to 8 bits |",
    "| `edsr-y` | Y | scale | rounded to 8 bits |",
    "| `edsr-div2k` | RGB | scale + 6 | rounded to 8 bits |",
    "| `microscopy` | as it is |",
)
@pytest.mark.parametrize(
    ("protocol", "how"),
    [
        ("mmagic", "RGB, 2 px shaved, rounded to 8 bits, data range 255"),
        ("edsr-y", "Y, 2 px shaved, rounded to 8 bits, data range 255"),
        ("edsr-div2k", "RGB, 8 px shaved, rounded to 8 bits, data range 255"),
        ("microscopy", "RGB, 0 px shaved, not rounded, data range 255"),
    ],
)
def test_every_protocol_states_how_it_measures(run, photos, tiny, protocol, how):
    command = ("benchmark", "--hr", photos, "--model", tiny, "--protocol", protocol)
    code, out, err = run(*command)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].endswith(f"x2: protocol {protocol}, {how}")
    assert ("Published" in out) == (protocol == "mmagic")


def test_published_rows_say_how_the_truth_was_cropped(run, photos, tiny):
    photos = photos.rename(photos.with_name("DIV2K_valid_HR"))
    _, out, _ = run("benchmark", "--hr", photos, "--model", tiny)
    assert "on DIV2K for EDSR of 16 x 64, HR uncropped: 34.5896 dB, 0.9352" in out


def test_the_same_numbers_as_json_and_csv(run, photos, tiny, tiny_model, tmp_path):
    table = tmp_path / "table.csv"
    command = ("benchmark", "--hr", photos, "--model", tiny, "--csv", table)
    code, out, err = run(*command, "--json")
    assert (code, err) == (0, "")
    rows = drain(iter_benchmark(tiny_model(), sorted(photos.iterdir()), scale=2))
    mean = mean_of(rows)
    said = json.loads(out)
    assert (said["model"], said["scale"]) == (tiny, 2)
    for one, row in zip([*said["images"], said["mean"]], [*rows, mean], strict=True):
        assert one["name"] == row.name
        assert Score(**one["model"]) == row.model
        assert Score(**one["bicubic"]) == row.bicubic
    with table.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["image"], line["method"]) for line in lines] == [
        (name, method)
        for name in ("a", "b", "c", "mean")
        for method in (tiny, "bicubic")
    ]
    assert float(lines[-1]["psnr"]) == mean.bicubic.psnr
    assert float(lines[-2]["ssim"]) == mean.model.ssim


def test_low_resolution_files_are_found_by_name(run, photos, tiny, tmp_path):
    (tmp_path / "lr").mkdir()
    for name in ("ax2", "b", "c"):
        Image.new("RGB", (18, 15)).save(tmp_path / "lr" / f"{name}.png")
    code, out, _ = run(
        "benchmark", "--hr", photos, "--lr", tmp_path / "lr", "--model", tiny
    )
    assert code == 0
    (tmp_path / "lr" / "b.png").unlink()
    code, _, err = run(
        "benchmark", "--hr", photos, "--lr", tmp_path / "lr", "--model", tiny
    )
    assert (code, "There is no b in" in err) == (1, True)
    Image.new("RGB", (9, 9)).save(tmp_path / "lr" / "b.png")
    code, _, err = run(
        "benchmark", "--hr", photos, "--lr", tmp_path / "lr", "--model", tiny
    )
    assert "9 x 9, which does not belong to b.png of 37 x 30 at x2" in err


def test_of_several_low_resolution_files_that_of_the_scale_is_taken(
    run, photos, tiny_model, tmp_path
):
    model = save_model(tiny_model(3), tmp_path / "x3.safetensors")
    (tmp_path / "lr").mkdir()
    for name in "abc":
        for scale in (2, 3, 4):
            small = Image.new("RGB", (37 // scale, 30 // scale))
            small.save(tmp_path / "lr" / f"{name}x{scale}.png")
    command = ("benchmark", "--hr", photos, "--lr", tmp_path / "lr", "--model", model)
    code, _, err = run(*command, "--scale", 3)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--hr", "nowhere"), "There is no folder nowhere"),
        (("--hr", "."), "There are no images"),
        (("--hr", ".", "--lr", ".", "--mod", "12"), "leave out --lr or --mod"),
        (("--hr", "set14", "--protocol", "x"), "Unknown protocol 'x'"),
        (("--hr", "set14", "--mod", "64"), "smaller than 64 x 64"),
        (("--hr", "set14", "--mod", "0"), "multiples of 1 or more, not of 0"),
        (("--hr", "set14", "--mod", "-12"), "multiples of 1 or more, not of -12"),
        (("--hr", "set14", "--csv", "x.txt"), "x.txt must end in .csv"),
        (("--hr", "set14", "--csv", "no/x.csv"), "There is no folder no"),
    ],
)
def test_faults_get_one_line(run, photos, tiny, monkeypatch, arguments, words):
    monkeypatch.chdir(photos.parent)
    code, _, err = run("benchmark", "--model", tiny, *arguments)
    assert code == 1
    assert words in err
    assert err.count("\n") == 1


def test_only_8_bit_images_are_measured(photos, tiny_model):
    Image.fromarray(np.zeros((30, 30), np.uint16)).save(photos / "d.png")
    with pytest.raises(ImageError, match="d.png is uint16"):
        drain(iter_benchmark(tiny_model(), [photos / "d.png"], scale=2))


def test_an_image_within_its_border_is_named(photos, tiny_model):
    Image.new("RGB", (5, 5)).save(photos / "d.png")
    with pytest.raises(ImageError, match=r"^d\.png: Nothing of 4 x 4 pixels"):
        drain(iter_benchmark(tiny_model(), [photos / "d.png"], scale=2))


def test_a_folder_that_is_not_there_is_named(tiny_model, tmp_path):
    with pytest.raises(FileError, match=r"There is no folder .*HR"):
        set5_scores(tiny_model(), tmp_path, 2)


def test_published_figures_are_known_by_the_folders_name():
    assert published(Path("/data/Set5/HR"), 2) == Published("Set5", 35.7592, 0.9372)
    assert published(Path("/data/set_14"), 4) == Published("Set14", 26.7870, 0.7366)
    assert published(Path("/data/DIV2K_valid_HR"), 3) == Published(
        "DIV2K", 30.9154, 0.8711, modulo=None
    )
    other = ("photos", "div2k_mine/HR", "DIV2K/DIV2K_train_HR", "Set5/my/own/crops")
    assert [published(Path("/data", name), 2) for name in other] == [None] * 4


def test_the_scale_is_that_of_the_model(run, photos, tiny_model, tmp_path):
    save_model(tiny_model(3), tmp_path / "x3.safetensors")
    command = ("benchmark", "--hr", photos, "--model", tmp_path / "x3.safetensors")
    code, out, _ = run(*command)
    assert code == 0
    assert "x3.safetensors x3: " in out
