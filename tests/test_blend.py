"""Between two networks of the same shape."""

import pytest
import torch

from napari_edsr import blended
from napari_edsr.errors import TrainingError


def test_weights_are_mixed_linearly_and_the_ends_are_exact(tiny_model):
    base, trained = tiny_model(seed=0), tiny_model(seed=1)
    for share in (0, 0.3, 1):
        mixed = blended(base, trained, share).state_dict()
        for name, end in trained.state_dict().items():
            start = base.state_dict()[name]
            torch.testing.assert_close(mixed[name], start + share * (end - start))
    assert torch.equal(mixed["conv_first.weight"], trained.conv_first.weight)
    first = blended(base, trained, 0).conv_first.weight
    assert torch.equal(first, base.conv_first.weight)


def test_what_cannot_be_mixed_is_refused(tiny_model):
    with pytest.raises(TrainingError, match="same shape"):
        blended(tiny_model(n_feats=8), tiny_model(n_feats=4))
    with pytest.raises(TrainingError, match="from 0 to 1, not 1.5"):
        blended(tiny_model(), tiny_model(), 1.5)
