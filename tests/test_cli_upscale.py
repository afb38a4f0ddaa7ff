"""The command ``upscale``: files in, files out, one line where it cannot be done."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image
from rich.filesize import decimal

from napari_edsr import drain, iter_consistency, save_model, upscale
from napari_edsr.config import EDSRConfig
from napari_edsr.files import read_image
from napari_edsr.train_config import Degradation


@pytest.fixture
def photo(tmp_path, rng):
    path = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 255, (20, 30, 3)).astype("u1")).save(
        path, dpi=(100, 100)
    )
    return path


@pytest.fixture
def micron(tiny_model, tmp_path_factory):
    """The file of a model trained with a blur given in micrometres."""
    degradation = {"shrink": "area", "blur": 0.2, "blur_unit": "um", "photons": 90}
    record = {"training": {"config": {"degradation": degradation}}}
    path = tmp_path_factory.mktemp("micron") / "micron.safetensors"
    return str(save_model(tiny_model(), path, metadata=record))


def size_of(path):
    return decimal(path.stat().st_size)


@pytest.mark.promise(
    "The same engine runs from Python and from the command line.",
    "The output's format follows its suffix",
)
def test_a_photo_becomes_larger_with_its_density(run, photo, tmp_path):
    code, out, err = run("upscale", photo, tmp_path / "x2.tif")
    assert (code, err) == (0, "")
    written = read_image(tmp_path / "x2.tif")
    expected = upscale(read_image(photo).data, "edsr-light-x2")
    np.testing.assert_array_equal(written.data, expected)
    assert written.unit == "inch"
    assert written.pixel_size["X"] == pytest.approx(1 / 200, rel=1e-3)
    assert written.provenance["model"]["name"] == "edsr-light-x2"
    assert "30 x 20, RGB, uint8" in out
    assert "1 band of rows, fp32 on cpu" in out
    assert f"{tmp_path / 'x2.tif'}: 60 x 40, {size_of(tmp_path / 'x2.tif')}, " in out


@pytest.mark.promise("The same engine runs from Python and from the command line.")
def test_every_option_reaches_the_engine(run, tiny, tmp_path, rng):
    stack = rng.integers(0, 4000, (2, 3, 12, 14)).astype("u2")
    tifffile.imwrite(tmp_path / "in.tif", stack, photometric="minisblack")
    arguments = ["upscale", tmp_path / "in.tif", tmp_path / "out.tif", "--axes", "TCYX"]
    arguments += ["--model", tiny, "--scale", 2, "--tile", 8, "--device", "cpu"]
    arguments += ["--precision", "fp32", "--normalize", "0,4095", "--self-ensemble"]
    code, out, err = run(*arguments, "--uncertainty", tmp_path / "doubt.tif")
    assert (code, err) == (0, "")
    said = f"{tmp_path / 'doubt.tif'}: uncertainty, {size_of(tmp_path / 'doubt.tif')}"
    assert said in out
    assert "tiles of up to 8 px" in out
    options = {"axes": "TCYX", "normalize": (0, 4095), "self_ensemble": True, "tile": 8}
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out.tif"), upscale(stack, tiny, **options)
    )
    doubt = tifffile.imread(tmp_path / "doubt.tif")
    assert (doubt.shape, doubt.dtype) == ((2, 3, 24, 28), np.float32)


@pytest.mark.promise(
    "`--uncertainty` writes, as a TIFF, how far the network disagrees with itself",
    "makes the result small again, with the blur and the shrinking the model "
    "was trained for",
    "its PSNR, the literature's LR-PSNR, is printed",
)
def test_the_numbers_of_both_maps_are_said(run, micron, tmp_path, rng):
    stack = rng.integers(0, 4000, (2, 12, 14)).astype("u2")
    tifffile.imwrite(
        tmp_path / "in.tif",
        stack,
        imagej=True,
        resolution=(2.5, 2.5),
        metadata={"axes": "ZYX", "unit": "um"},
    )
    maps = [tmp_path / "doubt.tif", tmp_path / "apart.tif"]
    options = ["--uncertainty", maps[0], "--consistency", maps[1]]
    code, out, err = run(
        "upscale",
        tmp_path / "in.tif",
        tmp_path / "out.tif",
        "--model",
        micron,
        *options,
    )
    assert (code, err) == (0, "")
    result = read_image(tmp_path / "out.tif").data
    doubt, apart = (read_image(path) for path in maps)
    recipe = Degradation(shrink="area", blur=1.0)  # 0.2 um of pixels of 0.2 um
    expected = drain(
        iter_consistency(result, stack, scale=2, axes="ZYX", degradation=recipe)
    )
    np.testing.assert_array_equal(apart.data, expected.map)
    assert apart.pixel_size["X"] == pytest.approx(0.4)
    assert doubt.pixel_size["X"] == pytest.approx(0.2)
    assert (
        f"{maps[1]}: consistency, {size_of(maps[1])}, {expected.psnr:.2f} dB, " in out
    )
    assert f"{expected.rmse:.3g} grey levels RMS (area, blur 0.2 um)" in out
    mean = doubt.data.mean(dtype=float)
    assert f"{mean:.3g} grey levels on average ({mean / 65535:.2%})" in out


def test_contrast_limits_come_from_the_file(run, tiny, tmp_path, rng):
    plane = rng.integers(0, 4000, (12, 14)).astype("u2")
    metadata = {"axes": "YX", "min": 100.0, "max": 900.0}
    tifffile.imwrite(tmp_path / "in.tif", plane, imagej=True, metadata=metadata)
    arguments = ["upscale", tmp_path / "in.tif", tmp_path / "out.tif", "--model", tiny]
    code, _, _ = run(*arguments, "--normalize", "contrast-limits")
    assert code == 0
    assert read_image(tmp_path / "out.tif").provenance["ranges"] == [[100, 900]]


@pytest.mark.promise(
    "A folder or a quoted glob goes into a folder, which is made if need be, "
    "under the same names."
)
def test_a_folder_goes_into_a_folder(run, tiny, photo, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("no image")
    photo.rename(folder / "a.png")
    Image.fromarray(np.zeros((4, 5), "u1")).save(folder / "b.gif")
    for source in (folder, f"{folder}/*.*"):
        code, _, err = run("upscale", source, tmp_path / "out", "--model", tiny)
        assert (code, err) == (0, "")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "a.png",
            "b.png",
        ]
    assert read_image(tmp_path / "out" / "a.png").data.shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.png", "x.png"], "There is no file none.png"),
        (["photo.png", "x.bmp"], "Cannot write .bmp"),
        (["photo.png", "new"], "Cannot write new, a name without suffix; end it in"),
        (["photo.png", "photo.png"], "is the input itself"),
        (["photo.png", "link.png"], "is the input itself"),
        (
            ["photo.png", "x.png", "--scale", "3", "--model", "edsr-light-x2"],
            "upscales x2",
        ),
        (["photo.png", "x.png", "--scale", "7"], "Scale 7 is not available"),
        (
            ["photo.png", "x.png", "--model", "edsr-lihgt-x2"],
            "did you mean edsr-light-x2",
        ),
        (["photo.png", "x.png", "--device", "cuda:9"], "cuda:9 is not available"),
        (["photo.png", "x.png", "--tile", "many"], "tile size 'many'"),
        (["photo.png", "x.png", "--normalize", "5,b"], "is not LO,HI"),
        (
            ["photo.png", "x.png", "--normalize", "contrast-limits"],
            "no contrast limits; normalize by percentile, or by two numbers",
        ),
        (["photo.png", "x.png", "--axes", "YX"], "name 2 axes"),
        (["photo.png", "no/such/x.png"], "There is no folder"),
        (["*.webp", "out"], "No images in"),
        (["photo.png", "x.png", "--uncertainty", "u.png"], "written as .tif"),
        (["photo.png", "x.png", "--consistency", "c.png"], "written as .tif"),
        (["photo.png", "x.tif", "--consistency", "x.tif"], "OUTPUT and --consistency"),
        (
            ["photo.png", "x", "--consistency", "c.tif", "--uncertainty", "./c.tif"],
            "--uncertainty and --consistency are the same file; name two",
        ),
        (["*.png", "out", "--consistency", "c.tif"], "needs a single INPUT"),
        (
            ["photo.png", "x.png", "--consistency", "c.tif", "--model", "micron"],
            "trained for a blur of 0.2 um; give the image its pixel size",
        ),
    ],
)
def test_what_can_not_be_done_gets_one_line(
    arguments, words, run, photo, micron, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.png").symlink_to(photo)
    arguments = [micron if word == "micron" else word for word in arguments]
    before = photo.read_bytes()
    code, _, err = run("upscale", *arguments)
    assert code == 1
    assert words in err
    assert err.count("\n") == 1
    assert photo.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.png", "photo.png"]


def test_wrong_usage_is_told_apart(run):
    code, _, err = run("upscale", "one.png")
    assert code == 2
    assert err.count("\n") == 1


def test_a_pattern_that_the_shell_expanded_is_to_be_quoted(run):
    code, _, err = run("upscale", "scans/a.png", "scans/b.png", "scans/c.png", "out")
    assert (code, err.count("\n")) == (2, 1)
    assert 'quote it, as in "scans/*.png"' in err
    code, _, err = run("devices", "cpu")
    assert (code, "quote" in err) == (2, False)


#: Shells start what is in the background deaf to Ctrl-C, the test run perhaps.
HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_edsr.cli import main
main()
"""


@pytest.mark.fault(
    "Stopping: the command interrupted or terminated by a signal",
    "It ends with the usual code; the old output stays, nothing is left behind.",
)
@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupted_run_leaves_no_file(number, code, tmp_path, rng):
    Image.fromarray(rng.integers(0, 255, (900, 900, 3)).astype("u1")).save(
        tmp_path / "in.png"
    )
    (tmp_path / "out.png").write_bytes(b"old")
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING, "upscale", "in.png", "out.png", "--tile", "64"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    for line in process.stdout:
        if "tiles of up to" in line:
            process.send_signal(number)
            break
    _, err = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "out.png"]
    assert (tmp_path / "out.png").read_bytes() == b"old"


def test_the_plan_is_said_in_bands_on_a_cpu(run, tiny, tmp_path, rng):
    image = rng.integers(0, 255, (900, 200)).astype("u1")
    Image.fromarray(image).save(tmp_path / "in.png")
    arguments = ("upscale", tmp_path / "in.png", tmp_path / "out.png", "--model", tiny)
    code, out, _ = run(*arguments)
    assert code == 0
    assert "  11 bands of rows, fp32 on cpu" in out
    result = np.asarray(Image.open(tmp_path / "out.png"))
    assert run(*arguments, "--tile", "rows", "--device", "cpu")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), result)


def test_help_and_version_load_nothing_heavy():
    script = (
        "import sys\n"
        "from napari_edsr.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'napari', 'numpy', 'pooch', 'qtpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for argument in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", script, argument], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "napari-edsr" in done.stdout


def test_devices_name_the_cpu_and_the_way_to_a_gpu(run):
    code, out, err = run("devices")
    assert (code, err) == (0, "")
    assert "cpu" in out
    assert "about" in out


@pytest.mark.promise("how quick it is here")
@pytest.mark.parametrize(
    ("flops", "seconds"),
    [(1e6, "12"), (1e8, "0.12"), (1.2009e7, "1.0"), (1e10, "0.0012"), (1e5, "120")],
)
def test_devices_show_two_digits_of_the_speed(run, monkeypatch, flops, seconds):
    monkeypatch.setattr(EDSRConfig, "flops", lambda *_: 12.0)
    monkeypatch.setattr("napari_edsr.device.measure_speed", lambda _: flops)
    _, out, _ = run("devices")
    assert out.split("\n")[1].rstrip().endswith(f"about {seconds}")
