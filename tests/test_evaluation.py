"""Scores of stacks plane by plane, of files, and their means."""

import math
from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edsr import drain, iter_scores, score
from napari_edsr.errors import FileError, ImageError
from napari_edsr.evaluation import (
    FileScore,
    PlaneScore,
    iter_evaluate,
    mean_score,
)
from napari_edsr.events import ImageDone, PlaneMeasured
from napari_edsr.files import matching_images


@pytest.fixture(autouse=True)
def no_threads_of_dask():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def stacks(rng):
    """A prediction and its truth, TCYX in 16 bits."""
    truth = rng.integers(0, 60000, (2, 3, 16, 18), dtype=np.uint16)
    return truth + rng.integers(0, 5000, truth.shape, dtype=np.uint16), truth


class Opened:
    """A lazy array that remembers which planes were read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read = []

    def __getitem__(self, index):
        self.read.append(index[:-2])
        return self.array[index]


@pytest.mark.promise("`iter_scores` a stack plane by plane")
def test_every_plane_is_measured_by_itself(stacks):
    prediction, truth = stacks
    events = []
    job = iter_scores(prediction, truth, "TCYX", protocol="microscopy", border=2)
    planes = drain(job, events.append)
    expected = [
        PlaneScore(
            place,
            score(prediction[place], truth[place], protocol="microscopy", border=2),
        )
        for place in np.ndindex(2, 3)
    ]
    assert planes == expected
    assert {plane.score.data_range for plane in planes} == {65535}
    assert events == [
        PlaneMeasured(number, 6, one.place, one.score)
        for number, one in enumerate(expected, 1)
    ]


def test_an_axis_may_lie_anywhere(stacks):
    prediction, truth = (np.moveaxis(stack, 1, 3) for stack in stacks)
    colours = drain(iter_scores(prediction, truth, "TYXS", scale=2))
    assert [plane.place for plane in colours] == [(0,), (1,)]
    assert colours[1].score == score(prediction[1], truth[1], scale=2)
    planes = drain(iter_scores(prediction, truth, "TYXC", scale=2))
    assert planes[4].score == score(prediction[1, ..., 1], truth[1, ..., 1], scale=2)


@pytest.mark.parametrize(
    "lazy", [Opened, lambda array: da.from_array(array, (1, 1, 9, 9))]
)
def test_stacks_on_disk_give_the_same(lazy, stacks):
    expected = drain(iter_scores(*stacks, "TCYX", scale=2))
    assert drain(iter_scores(*map(lazy, stacks), "TCYX", scale=2)) == expected


def test_closing_it_reads_no_further_plane(stacks):
    prediction, truth = map(Opened, stacks)
    job = iter_scores(prediction, truth, "TCYX", scale=2)
    next(job), next(job)
    job.close()
    assert prediction.read == truth.read == [(0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("choose", "options", "words"),
    [
        (lambda x: x[:1], {}, r"along the axes TC .* \(1, 3\) planes .* \(2, 3\)"),
        (lambda x: x[0], {}, "name 4 axes"),
        (lambda x: x[..., :9], {}, "9 x 16 pixels and the truth 18 x 16"),
        (lambda x: x.astype(complex), {}, "complex128 cannot be used"),
        (lambda x: x, {"protocol": "x"}, "Unknown protocol"),
        (lambda x: x, {"scale": None}, "say the scale"),
    ],
)
def test_what_does_not_match_is_refused(choose, options, words, stacks):
    prediction, truth = stacks
    job = iter_scores(choose(prediction), truth, "TCYX", **{"scale": 2, **options})
    with pytest.raises(ImageError, match=f"(?i){words}"):
        drain(job)


@pytest.fixture
def one(rng):
    truth = rng.integers(0, 256, (24, 24), dtype=np.uint8)
    return score(truth // 2, truth, scale=2)


def test_the_mean_is_that_of_decibels(one):
    other = replace(one, psnr=one.psnr + 3, ssim=0.5, mae=1, rmse=2, left_out=4)
    mean = mean_score([one, other])
    assert mean == replace(
        one,
        psnr=pytest.approx(one.psnr + 1.5),
        ssim=pytest.approx((one.ssim + 0.5) / 2),
        mae=pytest.approx((one.mae + 1) / 2),
        rmse=pytest.approx((one.rmse + 2) / 2),
        left_out=4,
    )
    assert mean_score([one]) == one


def test_a_mean_hides_nothing(one):
    perfect = replace(one, psnr=math.inf)
    assert mean_score([one, perfect, one]).psnr == math.inf
    unmeasured = replace(one, psnr=math.nan, ssim=math.nan)
    mean = mean_score([one, unmeasured, perfect])
    assert math.isnan(mean.psnr)
    assert math.isnan(mean.ssim)
    assert mean.mae == pytest.approx(one.mae)


def test_what_differs_between_scores_is_said(one):
    mean = mean_score([one, replace(one, colour="RGB", data_range=1.0)])
    assert mean.colour == "mixed"
    assert math.isnan(mean.data_range)
    with pytest.raises(ImageError, match="no scores"):
        mean_score([])


@pytest.fixture
def written(tmp_path, stacks, rng):
    """Pairs of files: a stack, and a colour image with a grey truth."""
    for name, stack in zip(("stack_x2", "stack"), stacks, strict=True):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", stack, imagej=True, metadata={"axes": "TCYX"}
        )
    grey = rng.integers(0, 256, (20, 22), dtype=np.uint8)
    Image.fromarray(np.stack([grey // 2] * 3, -1)).save(tmp_path / "photo_x2.png")
    Image.fromarray(grey).save(tmp_path / "photo.png")
    names = [("stack_x2.tif", "stack.tif"), ("photo_x2.png", "photo.png")]
    return [(tmp_path / a, tmp_path / b) for a, b in names]


def test_files_are_measured_by_their_own_axes(written, stacks):
    events = []
    stack, photo = drain(iter_evaluate(written, scale=2), events.append)
    planes = tuple(drain(iter_scores(*stacks, "TCYX", scale=2)))
    assert stack == FileScore("stack_x2", "TC", planes)
    assert stack.mean == mean_score([plane.score for plane in planes])
    assert (photo.name, photo.leading) == ("photo_x2", "")
    assert photo.mean == photo.planes[0].score
    assert photo.mean.colour == "RGB"
    assert events == [*[ImageDone(0, 2)] * 6, *[ImageDone(1, 2)] * 2, ImageDone(2, 2)]


def test_what_was_assumed_in_reading_is_noted(tmp_path, stacks):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, stacks[0][0], photometric="minisblack")
    frames = [Image.new("L", (20, 20), value) for value in (0, 9)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (gif,) = drain(iter_evaluate([(tmp_path / "a.gif",) * 2], scale=2))
    assert "a.gif: Of 2 frames the first is used." in gif.notes


def test_files_are_measured_as_they_are_displayed(tmp_path, rng):
    shown = rng.integers(0, 256, (20, 22), dtype=np.uint8)
    Image.fromarray(shown).save(tmp_path / "shown.png")
    path = tmp_path / "white_is_zero.tif"
    tifffile.imwrite(path, 255 - shown, photometric="miniswhite")
    for pair in ((path, tmp_path / "shown.png"), (tmp_path / "shown.png", path)):
        (score,) = drain(iter_evaluate([pair], protocol="microscopy"))
        assert score.mean.psnr == np.inf


def test_the_file_that_does_not_match_is_named(written):
    (stack, _), (photo, grey) = written
    with pytest.raises(ImageError, match=r"^photo_x2.png: .* differ in their colours"):
        drain(iter_evaluate([(photo, grey)], protocol="microscopy"))
    with pytest.raises(ImageError, match=r"^stack_x2.tif: .* axes TCYX and .* YX;"):
        drain(iter_evaluate([(stack, grey)], scale=2))
    with pytest.raises(FileError, match="There is no file"):
        drain(iter_evaluate([(stack.with_name("none.png"), grey)], scale=2))


@pytest.mark.parametrize(
    ("found", "scale", "expected"),
    [
        ("a b.c", None, "a b.c"),
        ("ax2 b.c_x2", None, "ax2 b.c_x2"),
        ("a ax2 a_x3 b.c b.cx3", 3, "a_x3 b.cx3"),
        ("a ax2 b.c b.cx2", None, "a b.c"),
        ("a ax3 b.c", 2, "a b.c"),
        ("aa a ba b.c", None, "a b.c"),
        ("aX2 b.c_X2", 2, "aX2 b.c_X2"),
        ("a_x2.ome b.c.OME", 2, "a_x2.ome b.c.OME"),
    ],
)
def test_images_are_matched_by_name(found, scale, expected, tmp_path):
    truths, files, wanted = (
        [tmp_path / f"{name}.png" for name in names.split()]
        for names in ("a b.c", found, expected)
    )
    assert matching_images(truths, files, scale) == wanted


@pytest.mark.parametrize(
    ("found", "scale", "words"),
    [
        ("c d", None, "There is no a, b in "),
        ("a bb bx", None, "There is no b in "),
        ("ax3 b", 2, "There is no a in "),
        ("ax2 ax3 b", None, "ax2.png and ax3.png are of one image; .* say the scale"),
        ("ax2 a_x2 b", 2, "ax2.png and a_x2.png are of one image"),
    ],
)
def test_images_without_one_match_are_named(found, scale, words, tmp_path):
    truths, files = (
        [tmp_path / f"{name}.png" for name in names.split()] for names in ("a b", found)
    )
    with pytest.raises(FileError, match=words):
        matching_images(truths, files, scale)


@pytest.mark.parametrize(
    ("names", "found", "words"),
    [
        ("a.png a.tif", "a.png", "a.png and a.tif both match a.png; leave one"),
        ("a.png a_x2.png", "a_x2.png b.png", "both match a_x2.png; .* say the scale"),
    ],
)
def test_no_file_stands_for_two_images(names, found, words, tmp_path):
    truths, files = ([tmp_path / n for n in each.split()] for each in (names, found))
    with pytest.raises(FileError, match=words):
        matching_images(truths, files)


def test_an_ome_tiff_is_matched_by_its_name(tmp_path):
    truth, made = tmp_path / "cells.ome.tif", tmp_path / "cells_x2.png"
    assert matching_images([truth], [made]) == [made]


def test_axes_are_matched_by_their_letters(tmp_path, stacks):
    prediction, truth = stacks
    other = np.ascontiguousarray(prediction[:, :2].swapaxes(0, 1))
    paths = tmp_path / "made.ome.tif", tmp_path / "truth.ome.tif"
    tifffile.imwrite(paths[0], other, metadata={"axes": "CTYX"})
    tifffile.imwrite(paths[1], truth[:, :2], metadata={"axes": "TCYX"})
    (found,) = drain(iter_evaluate([paths], protocol="microscopy"))
    expected = iter_scores(
        prediction[:, :2], truth[:, :2], "TCYX", protocol="microscopy"
    )
    assert (found.leading, found.planes) == ("TC", tuple(drain(expected)))
