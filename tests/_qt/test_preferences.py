"""What napari's Preferences say, and what comes of it."""

from __future__ import annotations

import os

import pytest

from napari_edsr import cache
from napari_edsr._qt import settings

VARIABLES = ("NAPARI_EDSR_CACHE", "NAPARI_EDSR_MIRROR", "OMP_NUM_THREADS")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "before")  # so that it is restored afterwards
        monkeypatch.delenv(variable)
    monkeypatch.setattr(settings, "_applied", {})


def test_cache_mirror_and_threads_are_taken_by_the_next_dock(make_widget, tmp_path):
    settings.save("system", cache=str(tmp_path), mirror="https://host/edsr", threads=3)
    make_widget()
    assert cache.folder() == tmp_path
    assert [os.environ[name] for name in VARIABLES[1:]] == ["https://host/edsr", "3"]
    settings.save("system", cache="", threads=5)
    make_widget()
    assert cache.folder() != tmp_path
    assert os.environ["OMP_NUM_THREADS"] == "5"


def test_the_environment_goes_before_the_preferences(
    make_widget, tmp_path, monkeypatch
):
    monkeypatch.setenv("NAPARI_EDSR_CACHE", str(tmp_path / "mine"))
    settings.save("system", cache=str(tmp_path / "other"))
    make_widget()
    assert cache.folder() == tmp_path / "mine"


def test_without_preferences_nothing_is_set(make_widget):
    make_widget()
    assert not set(VARIABLES) & set(os.environ)


def test_models_of_the_chosen_cache_folder_are_offered(
    viewer, qtbot, tmp_path, tiny_model
):
    from napari_edsr import zoo
    from napari_edsr._qt.upscale_widget import UpscaleWidget
    from napari_edsr.checkpoints import save_model

    os.environ["NAPARI_EDSR_CACHE"] = str(tmp_path)
    model = tiny_model(2)
    save_model(model, zoo.import_target("mine"))
    zoo.record_import("mine", model.config)
    del os.environ["NAPARI_EDSR_CACHE"]
    settings.save("system", cache=str(tmp_path))
    widget = UpscaleWidget(viewer)
    qtbot.addWidget(widget)
    widget.controls.models.set_value("mine")
    assert widget.controls.choices().model.key == "mine"
