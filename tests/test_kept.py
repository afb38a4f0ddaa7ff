"""The model of the latest run is there for the next, unless its file has changed."""

import gc
import weakref

import numpy as np
import pytest
import torch

from napari_edsr import kept, save_model, upscale
from napari_edsr.errors import CheckpointError
from napari_edsr.kept import kept_model

pytestmark = pytest.mark.usefixtures("nothing_kept")


def test_the_next_run_finds_the_model_and_what_was_made_of_it(tiny, rng):
    image = rng.integers(0, 255, (12, 9)).astype("u1")
    first = upscale(image, tiny)
    known = kept_model(tiny)
    (network,) = known.networks.values()
    np.testing.assert_array_equal(upscale(image, tiny), first)
    upscale(image, tiny, precision="bf16")
    assert kept_model(tiny) is known
    assert set(known.networks) == {(2, "fp32"), (2, "bf16")}
    assert known.networks[2, "fp32"] is network
    upscale(image, tiny, device="mnn")
    assert set(known.fast) == {2}


def test_a_file_that_was_replaced_is_read_anew(tiny, tiny_model, rng):
    image = rng.integers(0, 255, (12, 9)).astype("u1")
    first = upscale(image, tiny)
    other = tiny_model(seed=1, n_feats=5)
    save_model(other, tiny)
    second = upscale(image, tiny)
    assert (first != second).any()
    np.testing.assert_array_equal(second, upscale(image, other))


def test_one_model_is_kept_and_an_idle_one_is_released(tiny):
    first = weakref.ref(kept_model(tiny).model)
    kept_model("edsr-light-x2")
    gc.collect()
    assert first() is None
    second = weakref.ref(kept_model("edsr-light-x2").model)
    kept.release()
    gc.collect()
    assert second() is None


def test_a_model_of_ones_own_that_was_changed_is_made_ready_anew(tiny_model, rng):
    model = tiny_model()
    image = rng.random((8, 8)).astype("f4")
    first = upscale(image, model, normalize=(0, 1))
    model.conv_last.bias.data.add_(0.25)  # which torch does not count as a change
    second = upscale(image, model, normalize=(0, 1))
    np.testing.assert_allclose(second, first + 0.25, atol=1e-5)
    known = kept_model(model).networks
    model.conv_last.bias.data.sub_(0.25)
    assert kept_model(model).networks is not known


def test_the_same_weights_are_made_ready_once(tiny_model, rng):
    image = rng.random((8, 8)).astype("f4")
    first = tiny_model()
    upscale(image, first, normalize=(0, 1))
    (network,) = kept_model(tiny_model()).networks.values()
    upscale(image, tiny_model(), normalize=(0, 1))
    assert list(kept_model(tiny_model()).networks.values()) == [network]
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_what_is_kept_does_not_depend_on_a_model_that_has_changed(tiny_model, rng):
    model, same = tiny_model(), tiny_model()
    image = rng.random((8, 8)).astype("f4")
    first = upscale(image, model, normalize=(0, 1), precision="bf16")
    upscale(image, model, normalize=(0, 1))
    kept.release()
    upscale(image, model, normalize=(0, 1))
    model.conv_last.bias.data.add_(0.25)
    second = upscale(image, same, normalize=(0, 1), precision="bf16")
    np.testing.assert_array_equal(second, first)


def test_a_model_in_any_type_has_a_key(tiny_model):
    types = [torch.float64, torch.float32, torch.bfloat16]
    assert len({kept_model(tiny_model().to(dtype)).key for dtype in types}) == 3


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError):
        kept_model(tmp_path / "gone.safetensors")
