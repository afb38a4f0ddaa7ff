"""The command ``evaluate``: a table, JSON and CSV of files and folders."""

import csv
import json
import math
import os
import shutil
import sys
import warnings

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_edsr import drain, files, iter_scores, score
from napari_edsr.errors import EDSRWarning
from napari_edsr.evaluation import mean_score
from napari_edsr.metrics import Score


@pytest.fixture
def images(rng):
    """Truths by name, and what is measured against them."""
    truths = {n: rng.integers(0, 256, (24, 26, 3), dtype=np.uint8) for n in "ab"}
    return truths, {name: truth // 2 for name, truth in truths.items()}


@pytest.fixture
def folders(images, tmp_path):
    """The same as ``truth/a.png``, ``made/a_x2.png`` and so on."""
    for folder, ending, pixels in zip(
        ("truth", "made"), ("", "_x2"), images, strict=True
    ):
        (tmp_path / folder).mkdir()
        for name, image in pixels.items():
            Image.fromarray(image).save(tmp_path / folder / f"{name}{ending}.png")
    return tmp_path / "made", tmp_path / "truth"


@pytest.fixture
def stack(tmp_path, rng):
    """Two TIFFs of three planes, and their arrays."""
    truth = rng.integers(0, 60000, (3, 16, 18), dtype=np.uint16)
    arrays = truth + rng.integers(0, 5000, truth.shape, dtype=np.uint16), truth
    paths = tmp_path / "made.tif", tmp_path / "truth.tif"
    for path, array in zip(paths, arrays, strict=True):
        tifffile.imwrite(path, array, imagej=True, metadata={"axes": "ZYX"})
    return paths, arrays


def figures(measured):
    return [
        *(f"{value:.4f}" for value in (measured.psnr, measured.ssim)),
        *(f"{value:.4g}" for value in (measured.mae, measured.rmse)),
        f"{measured.range_invariant_psnr:.4f}",
    ]


@pytest.mark.promise(
    "`evaluate` measures files, or folders matched by name (`baby_x2.png` "
    "with `baby.png`), against the truth",
    "prints PSNR, SSIM, MAE, RMSE and the range-invariant PSNR",
)
def test_a_folder_gives_a_row_each_and_the_mean(run, folders, images):
    code, out, err = run("evaluate", *folders, "--scale", 2)
    assert (code, err) == (0, "")
    truths, made = images
    scores = [score(made[name], truths[name], scale=2) for name in "ab"]
    title, headings, *rows = out.splitlines()
    assert title == (
        "Measured by protocol mmagic, RGB, 2 px shaved, rounded to 8 bits, data range 255"
    )
    assert headings.split() == [
        *("Image", "PSNR", "dB", "SSIM", "MAE", "RMSE", "Range-inv.", "dB")
    ]
    assert [row.split() for row in rows] == [
        ["a_x2", *figures(scores[0])],
        ["b_x2", *figures(scores[1])],
        ["mean", *figures(mean_score(scores))],
    ]


@pytest.mark.promise(
    "taken where a `--scale` is given", "taken without `--scale`", "`--border`, else 0"
)
@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        ((), {"protocol": "microscopy"}),
        (("--border", 3), {"protocol": "microscopy", "border": 3}),
        (("--scale", 3), {"protocol": "mmagic", "scale": 3}),
        (("--scale", 3, "--border", 0), {"protocol": "mmagic", "border": 0}),
        (
            ("--protocol", "edsr-y", "--scale", 2),
            {"protocol": "edsr-y", "scale": 2},
        ),
        (
            ("--protocol", "edsr-div2k", "--border", 5),
            {"protocol": "edsr-div2k", "border": 5},
        ),
        (
            ("--colour", "Y", "--data-range", 510),
            {"protocol": "microscopy", "colour": "Y", "data_range": 510},
        ),
        (
            ("--protocol", "edsr-y", "--border", 1, "--colour", "as-is"),
            {"protocol": "edsr-y", "border": 1, "colour": "as is"},
        ),
    ],
)
def test_every_option_reaches_the_metrics(run, folders, images, options, keywords):
    made, truth = (
        folder / name
        for folder, name in zip(folders, ("a_x2.png", "a.png"), strict=True)
    )
    code, out, err = run("evaluate", made, truth, "--json", *options)
    assert (code, err) == (0, "")
    expected = score(images[1]["a"], images[0]["a"], **keywords)
    assert Score(**json.loads(out)["mean"]) == expected


@pytest.mark.promise("of each plane and their mean")
def test_each_plane_of_a_stack_is_shown(run, stack):
    paths, arrays = stack
    code, out, err = run("evaluate", *paths)
    assert (code, err) == (0, "")
    planes = [
        plane.score
        for plane in drain(iter_scores(*arrays, "ZYX", protocol="microscopy"))
    ]
    title, _, *rows = out.splitlines()
    assert title.endswith(
        "microscopy, grey, 0 px shaved, not rounded, data range 65535"
    )
    assert [row.split() for row in rows] == [
        *(["made", f"Z={z}", *figures(one)] for z, one in enumerate(planes)),
        ["mean", *figures(mean_score(planes))],
    ]


def test_several_stacks_have_a_mean_each_and_one_of_these(run, stack, tmp_path, rng):
    (made, truth), _ = stack
    for path, folder in ((made, "x"), (truth, "y")):
        (tmp_path / folder).mkdir()
        path.rename(tmp_path / folder / "stack.tif")
        image = rng.integers(0, 60000, (12, 12), dtype=np.uint16)
        tifffile.imwrite(tmp_path / folder / "one.tif", image)
    code, out, _ = run("evaluate", tmp_path / "x", tmp_path / "y", "--json")
    assert code == 0
    said = json.loads(out)
    assert [one["name"] for one in said["images"]] == ["one", "stack"]
    one, planes = (image["mean"]["psnr"] for image in said["images"])
    assert said["mean"]["psnr"] == pytest.approx((one + planes) / 2)
    assert [p["place"] for p in said["images"][1]["planes"]] == [
        {"Z": 0},
        {"Z": 1},
        {"Z": 2},
    ]
    _, out, _ = run("evaluate", tmp_path / "x", tmp_path / "y")
    labels = [row.split()[:2] for row in out.splitlines()[3:]]
    assert labels[:4] == [*(["stack", f"Z={z}"] for z in range(3)), ["stack", "mean"]]


@pytest.mark.promise("`--csv FILE` writes them")
def test_the_table_as_csv(run, stack, tmp_path):
    paths, arrays = stack
    target = tmp_path / "table.csv"
    target.write_text("old")
    code, out, err = run("evaluate", *paths, "--border", 1, "--csv", target)
    assert (code, err, "Z=2" in out) == (0, "", True)
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["plane"]) for row in rows] == [
        *(("made", f"Z={z}") for z in range(3)),
        ("mean", ""),
    ]
    options = {"protocol": "microscopy", "border": 1}
    expected = [plane.score for plane in drain(iter_scores(*arrays, "ZYX", **options))]
    for row, one in zip(rows, [*expected, mean_score(expected)], strict=True):
        assert {key: row[key] for key in vars(one)} == {
            key: str(value) for key, value in vars(one).items()
        }


@pytest.mark.promise("`--json` prints them in the table's place")
def test_json_stays_valid_and_alone_on_the_output(run, tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((5, 6), "float32"))
    read = files.read_image

    def warn(*arguments):
        warnings.warn("A pixel is odd.", EDSRWarning, stacklevel=2)
        return read(*arguments)

    monkeypatch.setattr(files, "read_image", warn)
    command = ("evaluate", tmp_path / "x.tif", tmp_path / "x.tif", "--data-range", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, out, err = run(*command, "--json")
    assert (code, err.count("Note: A pixel is odd.")) == (0, 1)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    mean = json.loads(out, parse_constant=refuse)["mean"]
    assert (mean["psnr"], mean["ssim"], mean["mae"]) == ("Infinity", None, 0)
    assert float(mean["psnr"]) == math.inf


@pytest.mark.promise(
    "Pixels at which the truth is not finite are left out and counted."
)
def test_unknown_pixels_are_counted_and_nan_is_a_dash(run, tmp_path, rng):
    truth = rng.random((10, 12)).astype("float32")
    tifffile.imwrite(tmp_path / "made.tif", truth / 2)
    truth[2:4, 3] = np.nan
    tifffile.imwrite(tmp_path / "truth.tif", truth)
    command = ("evaluate", tmp_path / "made.tif", tmp_path / "truth.tif")
    code, out, _ = run(*command, "--data-range", 1)
    assert code == 0
    rows = [row.split() for row in out.splitlines()[1:]]
    assert rows[0][-3:] == ["Left", "out", "px"]
    assert [(row[2], row[-1]) for row in rows[1:]] == [("-", "2"), ("-", "2")]
    assert (
        rows[1][1]
        == f"{score(truth / 2, truth, border=0, protocol='microscopy', data_range=1).psnr:.4f}"
    )


def test_predictions_without_a_truth_are_named(run, folders):
    made, truth = folders
    (truth / "b.png").unlink()
    code, out, _ = run("evaluate", made, truth)
    assert code == 0
    assert out.splitlines()[0] == "  Without a truth, not measured: b_x2.png."
    _, out, _ = run("evaluate", made, truth, "--json")
    assert json.loads(out)["notes"] == ["Without a truth, not measured: b_x2.png."]


def test_names_are_shown_as_they_are(run, images, tmp_path):
    path = tmp_path / "[red]a[0].png"
    Image.fromarray(images[0]["a"]).save(path)
    _, out, _ = run("evaluate", path, path)
    assert out.splitlines()[2].split()[:2] == ["[red]a[0]", "inf"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_name_that_is_no_unicode_leaves_the_json_valid(run, images, tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff.png")
    Image.fromarray(images[0]["a"]).save(path)
    _, out, _ = run("evaluate", path, path, "--json")
    assert json.loads(out)["images"][0]["name"] == "a?"


def test_an_ome_zarr_is_measured_as_the_tiff_is(run, tiny, stack, tmp_path):
    (_, low), _ = stack
    (tmp_path / "in").mkdir()
    for name in ("out.ome.zarr", "out.tif"):
        assert run("upscale", low, tmp_path / "in" / name, "--model", tiny)[0] == 0
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "in" / "out.tif", tmp_path / "other")
    (tmp_path / "in" / "out.tif").unlink()
    store, tiff = tmp_path / "in" / "out.ome.zarr", tmp_path / "other" / "out.tif"
    shutil.copytree(store, tiff.parent / "left.ome.zarr")  # beside images none counts
    for pair in ((store, tiff), (tiff, store), (store.parent, tiff.parent)):
        code, out, err = run("evaluate", *pair)
        assert (code, err) == (0, "")
        rows = [line.split()[:3] for line in out.splitlines()[2:]]
        assert rows == [*(["out", f"Z={z}", "inf"] for z in range(3)), rows[-1]]
        assert rows[-1][:2] == ["mean", "inf"]


def test_single_planes_and_channels_of_an_ome_zarr_are_one_image(run, images, tmp_path):
    image = images[0]["a"][..., 0]
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=image[np.newaxis, np.newaxis, np.newaxis])
    axes = [{"name": name} for name in "tczyx"]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    Image.fromarray(image).save(tmp_path / "a.png")
    for pair in (("a.zarr", "a.png"), ("a.png", "a.zarr")):
        code, out, _ = run("evaluate", *(tmp_path / name for name in pair))
        assert code == 0
        assert out.splitlines()[2].split()[:2] == ["a", "inf"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["made/a_x2.png", "none.png"], "There is no file none.png"),
        (["made/a_x2.png", "truth"], "a_x2.png is no folder; name two files, or two"),
        (["none", "truth"], "There is no folder none"),
        (["empty", "truth"], "There are no images in empty"),
        (
            ["made", "truth", "--scale", "3"],
            "There is no a, b in made; names must be the same, but for an ending _x3",
        ),
        (["made", "truth", "--protocol", "mmagic"], "say the scale, or the border"),
        (["made", "truth", "--protocol", "psnr"], "Unknown protocol 'psnr'"),
        (["made", "truth", "--colour", "red"], "not as 'red'"),
        (["made", "truth", "--border", "99"], "a_x2.png: Nothing of 26 x 24 pixels"),
        (["made", "truth", "--scale", "0"], "whole factor of 1 or more, not 0"),
        (["float.tif", "float.tif"], "float.tif: Floats have no white of their own"),
        (
            ["small.png", "truth/a.png"],
            "small.png: The prediction is 25 x 24 pixels and the truth 26 x 24; crop",
        ),
        (["made", "truth", "--csv", "table"], "The table table must end in .csv"),
        (["made", "truth", "--csv", "no/such.csv"], "There is no folder no"),
    ],
)
def test_what_can_not_be_done_gets_one_line(
    arguments, words, run, folders, images, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    Image.fromarray(images[1]["a"][:, :25]).save("small.png")
    tifffile.imwrite("float.tif", np.zeros((20, 20), "float32"))
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("evaluate", *arguments)
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
