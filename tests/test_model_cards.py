"""Each built-in model has a card in the documentation that says what its file says."""

import importlib.util
import json
from pathlib import Path

import pytest
from safetensors import safe_open

from napari_edsr.cards import BUILT_IN, KEPT_SCORES
from napari_edsr.train_config import load_config

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model_cards():
    path = ROOT / "docs" / "model_cards.py"
    spec = importlib.util.spec_from_file_location("model_cards", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("card", BUILT_IN, ids=lambda card: card.name)
def test_the_card_is_up_to_date(model_cards, card):
    path = ROOT / "docs" / "models" / f"{card.name}.md"
    written = path.read_text(encoding="utf-8")
    assert written == model_cards.card_text(card)
    assert f"[{card.name}](docs/models/{card.name}.md)" in (
        ROOT / "README.md"
    ).read_text(encoding="utf-8").replace("`", "")


@pytest.mark.promise(
    "[`training/edsr-light-x2.yaml`](training/edsr-light-x2.yaml) is an example"
)
@pytest.mark.parametrize("card", BUILT_IN, ids=lambda card: card.name)
def test_the_file_tells_its_training_and_scores(card):
    with safe_open(card.path, "np") as file:
        extra = json.loads(file.metadata()["provenance"])["extra"]
    path = ROOT / "training" / f"{card.name}.yaml"
    if "training" not in extra:  # it is older than the trainer
        assert not path.exists()
        return
    recipe = load_config(path)
    trained = extra["training"]["config"]
    for key in ("steps", "batch", "patch", "rate", "seed", "start"):
        assert trained[key] == getattr(recipe, key), key
    assert trained["degradation"] == json.loads(
        json.dumps(recipe.to_dict()["degradation"])
    )
    for name, value in card.scores.items():
        assert extra["scores"][name] == pytest.approx(value, abs=0.006)
    assert extra["training"]["psnr"] > extra["training"]["psnr_bicubic"]


@pytest.mark.promise("is one of a single channel for blurred and noisy fluorescence")
def test_the_readme_has_the_figures_of_the_model_for_microscopy():
    (card,) = (c for c in BUILT_IN if c.name == "edsr-light-x2-microscopy")
    own, before, bicubic = (f"{card.scores[key]:.2f}" for key in KEPT_SCORES)
    assert card.config.n_colors == 1
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert (
        f"{own} dB on images kept aside, where bicubic interpolation has {bicubic} and "
        f"the model for photographs {before}."
    ) in text


def test_the_models_stay_small():
    assert sum(card.path.stat().st_size for card in BUILT_IN) < 26e6
