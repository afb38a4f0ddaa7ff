"""The benchmark command: the tables of the literature, and faults of the folders."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from napari_edsr import drain, load_model, save_model
from napari_edsr.benchmark import iter_benchmark, mean_of, published, set5_scores
from napari_edsr.errors import ImageError
from napari_edsr.events import ImageDone

#: RGB PSNR and SSIM of bicubic on Set5, HR cropped to multiples of the scale, and of 12.
BICUBIC = {
    2: ((31.7866, 0.9086), (31.7689, 0.9092)),
    3: ((28.6236, 0.8383), (28.6064, 0.8386)),
    4: ((26.6921, 0.7731), (26.6618, 0.7736)),
}
SHIPPED = {2: 35.412, 3: 31.675, 4: 29.458}


@pytest.fixture
def folder():
    found = Path(os.environ.get("NAPARI_EDSR_SET5", ROOT.parent / "shared/data/set5"))
    if not found.is_dir():
        pytest.skip(f"Set5 is not at {found}; NAPARI_EDSR_SET5 names its folder")
    return found


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_both_tables_of_bicubic_and_the_shipped_row(folder, scale):
    hr = sorted((folder / "HR").iterdir())
    lr = [folder / f"LRx{scale}" / path.name for path in hr]
    model = load_model(f"edsr-light-x{scale}")
    given = mean_of(drain(iter_benchmark(model, hr, lr, scale=scale)))
    assert given[2] == pytest.approx(BICUBIC[scale][0][0], abs=2e-4)
    assert given[3] == pytest.approx(BICUBIC[scale][0][1], abs=1e-4)
    assert given[0] == pytest.approx(SHIPPED[scale], abs=2e-3)
    cropped = mean_of(drain(iter_benchmark(model, hr, scale=scale, modulo=12)))
    assert cropped[2] == pytest.approx(BICUBIC[scale][1][0], abs=2e-4)
    assert cropped[3] == pytest.approx(BICUBIC[scale][1][1], abs=1e-4)


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


def test_grey_counts_as_colour_and_alpha_is_left_out(photos, tiny_model):
    rows = drain(iter_benchmark(tiny_model(), sorted(photos.iterdir()), scale=2))
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert {row.model.colour for row in rows} == {"RGB"}
    assert all(np.isfinite(row.bicubic.psnr) for row in rows)


def test_progress_names_the_image_at_work(photos, tiny_model):
    events = list(iter_benchmark(tiny_model(), sorted(photos.iterdir()), scale=2))
    assert set(events) == {ImageDone(n, 3) for n in range(4)}


def test_the_command_prints_a_row_each_the_mean_and_what_was_published(
    run, photos, tiny
):
    code, out, err = run("benchmark", "--hr", photos, "--model", tiny)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    assert names[-5:] == ["a", "b", "c", "mean", "Published"]
    assert "31.4290 dB, 0.8874" in lines[-1]


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


def test_published_figures_are_known_by_the_folders_name():
    assert published(Path("/data/Set5/HR"), 2) == (35.7592, 0.9372)
    assert published(Path("/data/set_14"), 4) == (26.7870, 0.7366)
    assert published(Path("/data/DIV2K_valid_HR"), 3) == (30.9154, 0.8711)
    assert published(Path("/data/photos"), 2) is None
