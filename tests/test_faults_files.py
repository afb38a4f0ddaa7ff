"""Weights made to do harm, and names that are long or in other letters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file
from test_training import PHOTO, config

from napari_edsr import load_model, save_model, upscale
from napari_edsr.checkpoints import SAVED_LAYOUTS
from napari_edsr.errors import CheckpointError, EDSRError, FileError
from napari_edsr.files import ImageFile, read_image, write_image
from napari_edsr.train_config import load_config, save_config
from napari_edsr.training import train

pytestmark = pytest.mark.usefixtures("one_thread")


def refused(path, reason):
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.fault(
    "Weights files: zip with members that lead out of its folder",
    "It is refused, or loaded as it stands; nothing is unpacked anywhere.",
)
@pytest.mark.parametrize("name", ["../../evil", "/tmp/../evil", "..\\..\\evil"])
def test_a_zip_that_leads_out_of_its_folder(name, tiny_model, tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = save_model(tiny_model(), folder / "m.pth", layout="basicsr")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"archive/{name}", b"evil")
        archive.writestr(name, b"evil")
    before = sorted(tmp_path.rglob("*"))
    try:
        load_model(path)
    except CheckpointError as error:
        assert str(path) in str(error)
    assert sorted(tmp_path.rglob("*")) == before
    assert not os.path.exists("/evil")
    with zipfile.ZipFile(folder / "only.pth", "w") as archive:
        archive.writestr("../../archive/data.pkl", b"\x80\x02}.")
    refused(folder / "only.pth", "damaged")


def safetensors(header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(1000)


GIANT = {"dtype": "F32", "shape": [25 * 10**9], "data_offsets": [0, 10**11]}
HEADERS = {
    "100 GB beyond its end": {"head.0.weight": GIANT},
    "100 GB in its 1000 bytes": {
        "head.0.weight": {**GIANT, "data_offsets": [0, 1000]},
    },
    "a product that overflows": {
        "head.0.weight": {**GIANT, "shape": [2**33, 2**33], "data_offsets": [0, 1000]},
    },
    "a hole": {"a": {"dtype": "U8", "shape": [10], "data_offsets": [990, 1000]}},
    "an end before its start": {
        "a": {"dtype": "U8", "shape": [10], "data_offsets": [10, 0]},
    },
}


@pytest.mark.fault(
    "Weights files: safetensors header that claims 100 GB, or nonsense",
    "It is refused before memory is taken.",
)
@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_claim_what_is_not_there(kind, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors(HEADERS[kind]))
    refused(path, "damaged or incomplete")


@pytest.mark.fault(
    "Weights files: NaN weights, scale 1, scale 8, missing or misshapen tensors",
    "One sentence names the file, what is wrong with it and what to do.",
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_are_no_numbers(value, suffix, tiny_model, tmp_path):
    path = save_model(tiny_model(), tmp_path / f"m{suffix}", layout="basicsr")
    with path.open("rb") as file:
        weights = torch.load(file, weights_only=True)["params"]
    weights["conv_last.bias"][1] = value
    save = save_file if suffix == ".safetensors" else torch.save
    save(weights, path)
    refused(path, r"conv_last\.bias hold NaN or infinity")


NAMES = [
    "Ångström ×2 µm",
    "细胞 影像",
    "خلايا",
    "ё́ e\u0301",
    "🧬🔬",
    "a b\tc'\"%s{}$&#",
]


@pytest.fixture(params=NAMES)
def named(request, tmp_path):
    """A folder of such a name."""
    folder = tmp_path / request.param
    try:
        folder.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("this system has no such names")
    return folder


@pytest.mark.fault(
    "Names and languages: files and folders in any letters",
    "Images, results, models, trainings and commands work as with plain names.",
)
def test_names_in_any_letters(named, tiny_model, run, rng):
    name = named.name
    model = save_model(tiny_model(), named / f"{name}.safetensors")
    image = rng.integers(0, 255, (20, 16), np.uint8)
    expected = upscale(image, load_model(model))
    for suffix in (".tif", ".png", ".ome.zarr"):
        source, out = named / f"{name}.png", named / f"{name} out{suffix}"
        write_image(source, ImageFile(image, "YX"))
        code, said, err = run("upscale", source, out, "--model", model)
        assert (code, err) == (0, "")
        np.testing.assert_array_equal(np.asarray(read_any(out).data), expected)
    for layout in SAVED_LAYOUTS:
        assert load_model(save_model(tiny_model(), named / name, layout=layout))


def read_any(path):
    from napari_edsr.stores.read import read_zarr

    return read_zarr(path) if path.suffix == ".zarr" else read_image(path)


@pytest.mark.fault(
    "Names and languages: files and folders in any letters",
    "Images, results, models, trainings and commands work as with plain names.",
)
def test_trainings_in_any_letters(named):
    settings = config(steps=1, about={"title": named.name, "credit": "Zoë 王"})
    path = save_config(settings, named / f"{named.name}.yaml")
    assert load_config(path) == settings
    train(settings, [PHOTO], folder=named / named.name)
    assert train(settings, [PHOTO], folder=named / named.name).finished


@pytest.mark.fault(
    "Names and languages: very long paths",
    "They work as far as the system goes, and beyond that a sentence says so.",
)
def test_a_path_of_a_thousand_letters(tiny_model, run, tmp_path, rng):
    folder = tmp_path
    for letter in "abcdefgh":
        folder /= letter * 120
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this system has no such paths")
    model = save_model(tiny_model(), folder / "m.safetensors")
    image = rng.integers(0, 255, (20, 16), np.uint8)
    Image.fromarray(image).save(folder / "a.png")
    for name in ("b.png", "b.tif", "b.ome.zarr"):
        code, _, err = run("upscale", folder / "a.png", folder / name, "--model", model)
        assert (code, err) == (0, "")
        found = np.asarray(read_any(folder / name).data)
        np.testing.assert_array_equal(found, upscale(image, model))


@pytest.mark.fault(
    "Names and languages: a name longer than the system allows",
    "A sentence says to choose a shorter one; nothing is left behind.",
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".ome.zarr"])
@pytest.mark.parametrize("length", [250, 256, 5000])
def test_a_name_that_is_too_long(suffix, length, tiny, run, tmp_path):
    Image.new("L", (9, 8)).save(tmp_path / "a.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    out = tmp_path / ("x" * (length - len(suffix)) + suffix)
    code, _, err = run("upscale", tmp_path / "a.png", out, "--model", tiny)
    if code == 0:
        assert length <= 255 and out.exists()
        return
    assert err.count("\n") == 1
    assert "ame too long" in err or "shorter name" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.fault(
    "Names and languages: a name longer than the system allows",
    "A sentence says to choose a shorter one; nothing is left behind.",
)
@pytest.mark.parametrize("length", [250, 256, 5000])
@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
def test_a_result_whose_name_is_too_long(suffix, length, tiny, tmp_path):
    out = tmp_path / ("x" * (length - len(suffix)) + suffix)
    with pytest.raises(FileError, match=r"[Cc]hoose a shorter name"):
        upscale(np.zeros((9, 8), np.uint8), tiny, out=out)
    with pytest.raises(EDSRError, match="name"):
        load_model(out)


#: As Qt programs do at their start, and exits with 77 where there is no such locale.
_IN_GERMAN = """
import locale, sys
from pathlib import Path
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    sys.exit(77)
if locale.localeconv()["decimal_point"] != ",":
    sys.exit(77)
from napari_edsr import cli
from napari_edsr.train_config import TrainConfig, load_config, save_config
config = TrainConfig(start="edsr-light-x2", rate=1.5e-4)
assert load_config(save_config(config, Path("recipe.yaml"))) == config
cli.main(sys.argv[1:])
"""


@pytest.mark.fault(
    "Names and languages: decimal comma in the system's language",
    "Commands, files and configurations read and write numbers as everywhere.",
)
def test_a_command_where_decimals_have_a_comma(tiny, run, rng, tmp_path):
    image = rng.integers(0, 255, (20, 16), np.uint8)
    metadata = {"axes": "YX", "unit": "um"}
    options = {"imagej": True, "resolution": (1 / 0.25, 1 / 0.25)}
    tifffile.imwrite(tmp_path / "a.tif", image, metadata=metadata, **options)
    if shutil.which("localedef"):
        made = ["localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"]
        subprocess.run(made, capture_output=True)
    german = {"LC_ALL": "de_DE.UTF-8", "LOCPATH": str(tmp_path)}
    words = ["--model", tiny, "--normalize", "0.5,200.25"]
    done = subprocess.run(
        [sys.executable, "-c", _IN_GERMAN, "upscale", "a.tif", "b.tif", *words],
        cwd=tmp_path,
        env={**os.environ, **german},
        capture_output=True,
        text=True,
    )
    if done.returncode == 77:
        pytest.skip("this system cannot speak German")
    assert (done.returncode, done.stderr) == (0, "")
    assert run("upscale", tmp_path / "a.tif", tmp_path / "c.tif", *words)[0] == 0
    german, plain = read_image(tmp_path / "b.tif"), read_image(tmp_path / "c.tif")
    np.testing.assert_array_equal(german.data, plain.data)
    assert german.pixel_size == plain.pixel_size == {"Y": 0.125, "X": 0.125}
    assert german.provenance["ranges"] == plain.provenance["ranges"] == [[0.5, 200.25]]
    assert "rate: 0.00015" in (tmp_path / "recipe.yaml").read_text()
