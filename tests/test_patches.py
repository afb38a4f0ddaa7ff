"""Pairs of both resolutions, what is kept aside of them, and the patches of a batch."""

import numpy as np
import pytest
import torch

from napari_edsr.errors import ImageError, TrainingError
from napari_edsr.events import ImageDone, drain
from napari_edsr.files import ImageFile
from napari_edsr.patches import Patches, _as_taken
from napari_edsr.resampling import imresize
from napari_edsr.train_config import Degradation
from napari_edsr.training_data import Source, iter_pairs, noisy

PLAIN = Degradation()


def source(data, axes, *, lr=None, size=(0.1, 0.1), **options):
    def read():
        return ImageFile(data, axes, dict(zip("YX", size, strict=True)), "µm")

    read_lr = None if lr is None else lambda: ImageFile(lr, axes)
    return Source("a", read, read_lr, **options)


def pairs_of(*sources, scales=(2,), n_colors=3, degradation=PLAIN):
    return drain(
        iter_pairs(sources, scales=scales, n_colors=n_colors, degradation=degradation)
    )


def patches(pairs, *, patch=8, batch=4, scales=(2,), degradation=PLAIN, seed=0):
    return Patches(pairs, scales, patch, batch, degradation, seed, torch.device("cpu"))


def noise(rng, *shape, dtype="uint8"):
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def test_a_colour_image_becomes_one_pair(rng):
    image = noise(rng, 21, 18, 3)
    (pair,) = pairs_of(source(image, "YXS"))
    assert pair.hr.dtype == pair.lr[2].dtype == np.uint8
    np.testing.assert_array_equal(pair.hr, image.transpose(2, 0, 1))
    expected = imresize(image[:20], [10, 9]).transpose(2, 0, 1)
    np.testing.assert_array_equal(pair.lr[2], expected)
    assert pair.limits == (0.0, 255.0)


def test_a_stack_gives_a_pair_for_each_plane_and_channel_its_range(rng):
    stack = noise(rng, 3, 2, 16, 16, dtype="uint16")
    stack[:, 1] //= 8
    found = pairs_of(source(stack, "TCYX"), n_colors=1)
    assert len(found) == 6
    assert {pair.hr.dtype for pair in found} == {np.dtype("uint16")}
    assert len({pair.limits for pair in found}) == 2
    np.testing.assert_array_equal(found[3].hr[0], stack[1, 1])


def test_flat_planes_are_left_out_and_colours_become_luma(rng):
    stack = np.full((2, 8, 8), 0.7, np.float32)
    stack[1] = rng.random((8, 8))
    assert len(pairs_of(source(stack, "ZYX"), n_colors=1)) == 2
    assert pairs_of(source(np.full((8, 8), 9, "uint16"), "YX"), n_colors=1) == []
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    (pair,) = pairs_of(source(red, "YXS"), n_colors=1)
    assert set(pair.hr.ravel().tolist()) == {60}


def test_images_that_do_not_suit_the_network(rng):
    with pytest.raises(TrainingError, match="3 colours does not suit a network of 2"):
        pairs_of(source(noise(rng, 8, 8, 3), "YXS"), n_colors=2)


def test_real_pairs_are_checked_for_their_shape(rng):
    hr, lr = noise(rng, 13, 16, 3), noise(rng, 6, 8, 3)
    (pair,) = pairs_of(source(hr, "YXS", lr=lr))
    np.testing.assert_array_equal(pair.lr[2], lr.transpose(2, 0, 1))
    with pytest.raises(TrainingError, match="is 8 x 5; for x2 it must be 8 x 6"):
        pairs_of(source(hr, "YXS", lr=lr[1:]))


@pytest.mark.parametrize(
    ("lr", "words"),
    [
        (np.zeros((8, 8, 3), np.uint16), "has type uint16"),
        (np.zeros((8, 8, 4), np.uint8), "has samples 4"),
    ],
)
def test_real_pairs_are_of_one_kind(rng, lr, words):
    with pytest.raises(TrainingError, match=words):
        pairs_of(source(noise(rng, 16, 16, 3), "YXS", lr=lr))


def test_stacks_of_real_pairs_have_the_same_planes(rng):
    hr, lr = noise(rng, 3, 16, 16), noise(rng, 2, 8, 8)
    with pytest.raises(TrainingError, match=r"has planes \(2,\)"):
        pairs_of(source(hr, "ZYX", lr=lr), n_colors=1)


def test_progress_comes_image_by_image(rng):
    job = iter_pairs(
        [source(noise(rng, 8, 8), "YX")] * 3, scales=[2], n_colors=1, degradation=PLAIN
    )
    assert list(job) == [ImageDone(1, 3), ImageDone(2, 3), ImageDone(3, 3)]


@pytest.mark.promise("a share or a rectangle that is never trained on, but measured")
def test_nothing_that_is_kept_aside_is_trained_on(rng):
    image = rng.random((80, 60)).astype(np.float32)
    image[20:50, 16:40] = 5.0  # what is kept aside can be told by its value
    kept = (20, 50, 16, 40)
    (pair,) = pairs_of(source(image, "YX", held_out=kept, normalize=(0, 1)), n_colors=1)
    aside = pair.aside(2)
    assert aside.hr.shape == (1, 30, 24)
    assert aside.lr[2].shape == (1, 15, 12)
    drawn = patches([pair], patch=4, batch=64)
    batches = [drawn.draw(step) for step in range(20)]
    assert max(batch.hr.max().item() for batch in batches) <= 1
    assert max(batch.lr.max().item() for batch in batches) < 1.5


@pytest.mark.parametrize("blur", [0.0, 2.0, 5.0])
def test_a_blur_does_not_carry_over_what_is_kept_aside(rng, blur):
    image, kept = rng.random((120, 120)), (50, 70, 50, 70)
    changed = image.copy()
    changed[50:70, 50:70] += 1.0
    recipe = Degradation(blur=blur)
    both = [
        pairs_of(
            source(data, "YX", held_out=kept, normalize=(0, 1)),
            n_colors=1,
            degradation=recipe,
        )[0]
        for data in (image, changed)
    ]
    for y0, y1, x0, x1 in both[0].areas(2):
        first, second = (pair.lr[2][:, y0:y1, x0:x1] for pair in both)
        np.testing.assert_allclose(first, second, atol=1e-7)


def test_a_rectangle_beside_the_image_is_refused(rng):
    beside = source(noise(rng, 32, 40), "YX", held_out=(500, 600, 0, 9))
    with pytest.raises(
        TrainingError,
        match=r"^a: The window \[500, 600, 0, 9\] holds no pixel .* 32 rows and 40",
    ):
        pairs_of(beside, n_colors=1)
    partly = source(noise(rng, 32, 40), "YX", held_out=(20, 600, 0, 9))
    assert pairs_of(partly, n_colors=1)[0].kept == (20, 32, 0, 9)


def test_of_a_small_image_the_largest_part_is_used(rng):
    small = source(noise(rng, 48, 16), "YX", held_out=(10, 14, 0, 16))
    drawn = patches(
        pairs_of(small, source(noise(rng, 64, 64), "YX"), n_colors=1), patch=16
    )
    assert drawn._areas[2][0] == (0, (11, 24, 0, 8))


@pytest.mark.promise("a part of each image is kept aside")
def test_a_share_is_kept_aside_at_the_end_of_the_longer_side(rng):
    (pair,) = pairs_of(source(noise(rng, 40, 20), "YX", held_out=0.1), n_colors=1)
    assert pair.kept == (36, 40, 0, 20)
    (pair,) = pairs_of(source(noise(rng, 20, 40), "YX", held_out=0.1), n_colors=1)
    np.testing.assert_array_equal(pair.aside(2).hr, pair.hr[:, :, 36:])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_both_sides_of_a_patch_show_the_same_place(rng, scale):
    coarse = rng.random((24, 30)).astype(np.float32)
    image = coarse.repeat(scale, 0).repeat(scale, 1)
    (pair,) = pairs_of(
        source(image, "YX", lr=coarse, normalize=(0, 1)), scales=(scale,), n_colors=1
    )
    batch = patches([pair], scales=(scale,), batch=32).draw(0)
    assert batch.lr.shape == (32, 1, 8, 8)
    enlarged = batch.lr.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert torch.equal(enlarged, batch.hr)


def test_all_eight_forms_occur(rng):
    image = np.zeros((16, 16), np.uint8)
    image[1, 3] = 255
    (pair,) = pairs_of(source(image, "YX", lr=image[::2, ::2]), n_colors=1)
    drawn = patches([pair], patch=8, batch=16)
    spots = {
        tuple(torch.nonzero(patch[0])[0].tolist())
        for step in range(20)
        for patch in drawn.draw(step).hr
    }
    assert len(spots) == 8


def test_16_bit_images_stay_16_bit_and_map_as_the_engine_does(rng):
    image = noise(rng, 16, 16, dtype="uint16")
    (pair,) = pairs_of(source(image, "YX", normalize=(100, 4100)), n_colors=1)
    drawn = patches([pair], patch=8, batch=1)
    hr, _ = drawn._placed[0]
    assert hr.dtype == torch.uint16
    values = set(drawn.draw(0).hr.ravel().tolist())
    assert values == set(((image.astype("f4") - 100) / 4000).ravel().tolist())


def test_images_that_do_not_fit_on_the_device_stay_in_main_memory(rng, monkeypatch):
    (pair,) = pairs_of(source(noise(rng, 16, 16), "YX"), n_colors=1)
    meta = torch.device("meta")  # like a GPU, it is not the main memory
    for free, home in ((10**6, "meta"), (500, "cpu")):
        monkeypatch.setattr("napari_edsr.patches.free_memory", lambda _, n=free: n)
        drawn = Patches([pair], (2,), 8, 1, PLAIN, 0, meta)
        assert drawn._placed[0][0].device.type == home
        assert drawn.draw(0).hr.device.type == "meta"


def test_small_images_are_mirrored_and_the_patch_shrinks_to_the_largest(rng):
    small, large = noise(rng, 10, 8), noise(rng, 40, 24)
    found = pairs_of(source(small, "YX"), source(large, "YX"), n_colors=1)
    drawn = patches(found, patch=48, batch=50)
    assert drawn.patch == 12
    batch = drawn.draw(0)
    assert batch.hr.shape == (50, 1, 24, 24)
    assert batch.lr.shape == (50, 1, 12, 12)


def test_nothing_left_to_train_on(rng):
    (pair,) = pairs_of(
        source(noise(rng, 16, 16), "YX", held_out=(0, 16, 0, 16)), n_colors=1
    )
    with pytest.raises(TrainingError, match="Nothing is left to train on"):
        patches([pair])


def test_batches_follow_from_the_seed_and_the_step_alone(rng):
    recipe = Degradation(photons=100.0)
    found = pairs_of(source(noise(rng, 40, 40, 3), "YXS"), degradation=recipe)
    first, second = (patches(found, degradation=recipe) for _ in range(2))
    first.draw(0)
    assert torch.equal(first.draw(7).lr, second.draw(7).lr)
    assert torch.equal(first.draw(7).hr, second.draw(7).hr)
    assert not torch.equal(first.draw(7).hr, first.draw(8).hr)
    other = patches(found, degradation=recipe, seed=1)
    assert not torch.equal(first.draw(7).hr, other.draw(7).hr)


def test_processes_share_a_batch(rng):
    found = pairs_of(source(noise(rng, 40, 40, 3), "YXS"))
    drawn = patches(found)
    whole = drawn.draw(3)
    parts = [drawn.draw(3, slice(0, 2)), drawn.draw(3, slice(2, 4))]
    assert torch.equal(torch.cat([part.hr for part in parts]), whole.hr)
    assert torch.equal(torch.cat([part.lr for part in parts]), whole.lr)


def test_real_pairs_keep_the_noise_they_have():
    def flat(value):
        return np.full((32, 32), value, np.float32)

    recipe, options = Degradation(read_noise=0.1), {"normalize": (0, 1)}
    found = pairs_of(
        source(flat(0.25), "YX", lr=flat(0.75)[::2, ::2], held_out=0.5, **options),
        source(flat(1.0), "YX", **options),
        n_colors=1,
        degradation=recipe,
    )
    batch = patches(found, batch=32, degradation=recipe).draw(0)
    real = batch.hr[:, 0, 0, 0] == 0.25
    assert 0 < real.sum() < 32
    assert (batch.lr[real] == 0.75).all()
    noise = batch.lr[~real].std((1, 2, 3))
    assert ((noise > 0.05) & (noise < 0.2)).all()
    assert len(noise.unique()) == len(noise)
    measured = noisy([*found, found[0].aside(2)], recipe, 0)
    assert [pair.lr[2].std() > 0.05 for pair in measured] == [False, True, False]


def test_a_physical_blur_is_the_same_length_along_both_axes():
    point = np.zeros((120, 120), np.float32)
    point[60, 60] = 1
    blur = Degradation(blur=0.4, blur_unit="um", shrink="area")
    (pair,) = pairs_of(
        source(point, "YX", size=(0.1, 0.4), held_out=(56, 64, 56, 64)),
        n_colors=1,
        degradation=blur,
    )
    assert pair.blur == (pytest.approx(4.0), pytest.approx(1.0))
    spot = pair.lr[2][0] / pair.lr[2].sum()
    at = 2 * np.arange(60) + 0.5
    for axis, sigma in ((1, 4.0), (0, 1.0)):
        profile = spot.sum(axis)
        spread = np.sqrt((profile * (at - (profile * at).sum()) ** 2).sum())
        assert spread == pytest.approx(np.hypot(sigma, 0.5), rel=0.02)
    above, _, left, _ = pair.areas(2)
    assert 28 - above[1] == 4 + 8 and 28 - left[3] == 4 + 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_patches_have_the_noise_of_stored_images(rng, dtype):
    """Whole numbers within the type, as what is measured has, and as is fed later."""
    recipe = Degradation(photons=50.0, read_noise=5.0)
    info = np.iinfo(dtype)
    image = (noise(rng, 64, 64) // 32).astype(dtype) + info.min
    limits = (info.min + 5.0, info.min + 250.0)
    (pair,) = pairs_of(
        source(image, "YX", normalize=limits), n_colors=1, degradation=recipe
    )
    drawn = patches([pair], patch=16, batch=64, degradation=recipe).draw(0)
    values = drawn.lr.double() * 245 + limits[0]
    assert (values - values.round()).abs().max() < 0.01
    assert values.min().round() == info.min
    (measured,) = noisy([pair], recipe, 0)
    assert float(values.mean()) == pytest.approx(measured.lr[2].mean(), abs=1.0)


def test_grey_images_among_colour_ones_have_grey_noise(rng):
    recipe = Degradation(photons=50.0)
    found = pairs_of(
        source(noise(rng, 32, 32), "YX"),
        source(noise(rng, 32, 32), "YX"),
        source(noise(rng, 32, 32, 3), "YXS"),
        degradation=recipe,
    )
    lr = patches(found, batch=24, degradation=recipe).draw(0).lr
    is_grey = [(patch == patch[:1]).all() for patch in lr]
    assert 0 < sum(is_grey) < 24


def test_metal_is_given_types_that_it_has(rng):
    metal, cpu = torch.device("mps"), torch.device("cpu")
    for dtype in ("float64", "uint16", "int64"):
        plane = noise(rng, 4, 4).astype(dtype)
        assert _as_taken(plane, metal).dtype == np.float32
        assert _as_taken(plane, cpu) is plane
    for dtype in ("uint8", "int16", "float32"):
        plane = noise(rng, 4, 4).astype(dtype)
        assert _as_taken(plane, metal).dtype == dtype


def test_messages_name_the_image(rng):
    for image in (noise(rng, 1, 50), rng.random((20, 20)) > 0.5):
        with pytest.raises((TrainingError, ImageError), match="^a: "):
            pairs_of(source(image, "YX"), n_colors=1)


def test_jpeg_is_refused_where_there_is_none(rng):
    jpeg = Degradation(jpeg=(30, 90))
    deep, pair = noise(rng, 16, 16, dtype="uint16"), noise(rng, 2, 16, 16)
    with pytest.raises(TrainingError, match="a is uint16 of 1 colours; leave out jpeg"):
        pairs_of(source(deep, "YX"), n_colors=1, degradation=jpeg)
    with pytest.raises(
        TrainingError, match="a is float32 of 3 colours; leave out jpeg"
    ):
        image = rng.random((16, 16, 3), np.float32)
        pairs_of(source(image, "YXS"), degradation=jpeg)
    assert pairs_of(source(pair, "ZYX"), n_colors=1, degradation=jpeg)
    real = source(deep, "YX", lr=deep[::2, ::2])
    assert len(pairs_of(real, n_colors=1, degradation=jpeg)) == 1


def test_every_scale_is_drawn(rng):
    found = pairs_of(source(noise(rng, 48, 48, 3), "YXS"), scales=(2, 3, 4))
    drawn = patches(found, scales=(2, 3, 4), patch=6)
    shapes = {(b.scale, b.hr.shape[-1]) for b in map(drawn.draw, range(20))}
    assert shapes == {(2, 12), (3, 18), (4, 24)}


def test_what_is_measured_has_the_same_noise_each_time(rng):
    recipe = Degradation(photons=20.0)
    found = pairs_of(source(noise(rng, 20, 20), "YX"), n_colors=1, degradation=recipe)
    first, second = (noisy(found, recipe, 3) for _ in range(2))
    np.testing.assert_array_equal(first[0].lr[2], second[0].lr[2])
    assert np.any(first[0].lr[2] != found[0].lr[2])
    assert first[0].lr[2].dtype == np.uint8
    assert noisy(found, PLAIN, 3) == found
