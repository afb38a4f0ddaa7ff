"""Configurations of training runs: what they refuse, their files and their schedules."""

import re
from pathlib import Path

import pytest

from napari_edsr import zoo
from napari_edsr.config import EDSRConfig
from napari_edsr.errors import TrainingError
from napari_edsr.train_config import (
    DataConfig,
    Degradation,
    TrainConfig,
    load_config,
    save_config,
)

ROOT = Path(__file__).parents[1]
CONFIG = TrainConfig(
    name="cells",
    start="edsr-light-x2",
    network=EDSRConfig.light(2, n_colors=1),
    data=DataConfig(hr=("/data/a.tif",), held_out=0.2),
    degradation=Degradation(blur=0.2, blur_unit="um", photons=200.0, jpeg=(30, 90)),
    milestones=(10, 20),
    about={"licence": "CC0-1.0"},
)


@pytest.mark.promise("`train` follows a configuration:", "start: edsr-light-x2")
def test_the_configuration_in_the_readme_is_one(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"(?ms)^```yaml\n(.*?)^```", readme)
    path = tmp_path / "mine.yaml"
    path.write_text(shown, encoding="utf-8")
    config = load_config(path)
    assert config.name == "mine"
    assert config.start == zoo.default_model(2)
    assert config.data.hr == (str(tmp_path / "photos"),)


def test_a_configuration_survives_its_file(tmp_path):
    path = save_config(CONFIG, tmp_path / "cells.yaml")
    assert load_config(path) == CONFIG


def test_paths_are_relative_to_the_file_and_numbers_may_be_texts(tmp_path, monkeypatch):
    (tmp_path / "base.pth").touch()
    (tmp_path / "a.yaml").write_text(
        "start: base.pth\nrate: 1e-4\nsteps: 1e3\ndata: {hr: photos, lr: [x, ~/y]}\n"
        "degradation:\nnetwork:\n"
    )
    config = load_config(tmp_path / "a.yaml")
    assert (config.rate, config.steps) == (1e-4, 1000)
    assert config.start == str(tmp_path / "base.pth")
    assert (config.degradation, config.network) == (Degradation(), None)
    assert config.data.hr == (str(tmp_path / "photos"),)
    monkeypatch.chdir(tmp_path)
    assert load_config("a.yaml") == config
    assert config.data.lr[0] == str(tmp_path / "x")
    assert "~" not in config.data.lr[1]


@pytest.mark.fault(
    "Settings: a training configuration that makes no sense",
    "An error names the file and the setting.",
)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no configuration"),
        ("[1", "cannot be read"),
        ("start: a\nstep: 3", "Unknown in the configuration: step; known are"),
        ("start: a\nsteps: 1.5", "steps: 1.5 is not what belongs there"),
        ("start: a\ndata: 3", "data must hold keys and values"),
        ("start: a\ndegradation: {shrink: lanczos}", "choose bicubic or area"),
        ("start: a\ndegradation: {blur: -1}", "cannot be negative"),
        ("start: a\ndegradation: {blur_unit: ell}", "use px, nm, um or mm"),
        ("start: a\ndegradation: {jpeg: [90, 30]}", "two numbers from 1 to 100"),
        ("start: a\ndata: {held_out: 0.9}", "from 0 to 0.5"),
        ("start: a\nrate: 0", "learning rate must be"),
        ("start: a\nname: state", "is no name for a model"),
        ("start: a\nname: a/b", "is no name for a model"),
        ("start: a\nseed: -1", "seed -1 is not from 0"),
        ("start: a\nsteps: yes", "steps: True is not what belongs there"),
        ("start: a\nmilestones: [yes]", "milestones: .* is not what belongs there"),
        ("start: a\nmilestones: [5, 0]", "milestones must be at least 1, not 0"),
        ("start: a\nwarmup: -1", "warmup cannot be negative, as -1 is"),
        ("start: a\nabout: {license: x}", "Unknown in about: license; known are"),
        ("start: a\nsteps: .inf", "is not what belongs there"),
        ("start: a\nabout: text", "is not what belongs there"),
        ("start: a\ndeterministic: 'no'", "true or false"),
        ("start: a\nbatch: 0", "batch must be at least 1"),
        ("start: a\nschedule: linear", "choose cosine or step"),
        ("start: a\nema: 1", "shares from 0 to 1"),
        ("steps: 3", "a model to start from, or the network"),
        ("start: a\ndata: {hr: 5}", "hr: 5 is not what belongs there"),
        ("start: a\ndegradation: {blur_unit: [a]}", "blur_unit: .* is not what"),
        ("start: a\nmilestones: [1.5]", "milestones: .* is not what belongs there"),
        ("network: {n_feats: many}", "n_feats: 'many' is not what belongs there"),
        ("network: {n_feats: 2.5}", "n_feats: 2.5 is not what belongs there"),
        ("network: {scales: 3}", "scales: 3 is not what belongs there"),
        ("network: {depth: 3}", "Unknown in network: depth; known are"),
        ("network: 3", "network must hold keys and values"),
        ("network: {n_feats: 0}", "sizes of a network must be positive"),
    ],
)
def test_senseless_settings_are_named_with_their_file(tmp_path, text, words):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=words) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_every_seed_survives_its_file(tmp_path):
    path = save_config(TrainConfig(start="a", seed=2**63 - 1), tmp_path / "a.yaml")
    assert load_config(path).seed == 2**63 - 1


def test_a_cosine_rises_holds_and_falls():
    config = TrainConfig(start="a", steps=100, warmup=10, hold=0.3, rate=1e-3)
    rates = [config.learning_rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[9:30] == [1e-3] * 21
    assert rates[65] == pytest.approx((1e-3 + 1e-6) / 2)
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert config.learning_rate(100) == pytest.approx(1e-6)


def test_steps_halve_the_rate_as_published():
    config = TrainConfig(
        start="a", steps=300, schedule="step", milestones=(200, 250), rate=1e-4
    )
    found = [config.learning_rate(step) for step in (0, 199, 200, 249, 250)]
    assert found == [1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5]


def test_a_blur_in_micrometres_follows_the_pixel_size():
    blur = Degradation(blur=0.2, blur_unit="um")
    assert blur.blur_in_pixels(0.1, "µm") == pytest.approx(2.0)
    assert blur.blur_in_pixels(50.0, "nm") == pytest.approx(4.0)
    assert blur.blur_in_pixels(1000.0, "Å") == pytest.approx(2.0)
    assert Degradation(blur=1.5).blur_in_pixels(None, "") == 1.5
    with pytest.raises(TrainingError, match="given in µm, .* give the blur in px"):
        blur.blur_in_pixels(None, "")
    with pytest.raises(TrainingError, match="give the blur in px"):
        blur.blur_in_pixels(0.01, "inch")
