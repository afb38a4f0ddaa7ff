"""What the docks remember, in napari's plugin settings (the Preferences show them too)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings
from npe2 import PluginManifest

from napari_edsr.cache import CACHE_VARIABLE
from napari_edsr.zoo import MIRROR_VARIABLE

_PLUGIN = "napari-edsr"
_MANIFEST = Path(__file__).parents[1] / "napari.yaml"
_VARIABLES = {
    "cache": CACHE_VARIABLE,
    "mirror": MIRROR_VARIABLE,
    "threads": "OMP_NUM_THREADS",  # torch reads it once, when it is imported
}
_applied: dict[str, str] = {}
_WAY_OUT = "check the files in napari's settings folder, or delete them"
_is_set_aside = False
_log = logging.getLogger(__name__)


@contextmanager
def set_aside() -> Iterator[None]:
    """Meanwhile give the defaults and remember nothing; what is there stays as it is."""
    global _is_set_aside
    before, _is_set_aside = _is_set_aside, True
    try:
        yield
    finally:
        _is_set_aside = before


def load(category: str = "upscale") -> dict[str, Any]:
    """Remembered values of a category of the manifest's configurations.

    The manifest's defaults where they are set aside, cannot be read, or napari does not
    know the plugin (run from its folder without having been installed, or switched off).
    """
    model = _model(category)
    if model is not None:
        return dict(model.model_dump())
    properties = PluginManifest.from_file(_MANIFEST).contributions.configurations[
        category
    ]
    return {key: entry.default for key, entry in properties.properties.items()}


def save(category: str = "upscale", **values: Any) -> None:
    """Remember values; napari writes its file if one of them is new."""
    model = _model(category)
    if model is None:
        return
    for key, value in values.items():
        if getattr(model, key) != value:
            try:
                setattr(model, key, value)
            except OSError as error:  # they hold for as long as the program runs
                _log.warning(
                    "The settings cannot be written (%s); %s.", error, _WAY_OUT
                )


def apply_system() -> None:
    """Let the rest of the program know of the cache folder, the mirror and the threads.

    By the variables of the environment in which all of them are looked up; what the user
    has set there goes before the Preferences.
    """
    values = load("system")
    for key, variable in _VARIABLES.items():
        mine = _applied.pop(variable, None)
        if os.environ.get(variable) != mine:
            continue
        os.environ.pop(variable, None)
        if values[key]:
            os.environ[variable] = _applied[variable] = str(values[key])


def _model(category: str) -> Any:
    if _is_set_aside:
        return None
    try:
        return getattr(get_plugin_settings(_PLUGIN), category)
    except KeyError:
        return None
    except Exception as error:  # napari lets through some of what a damaged file raises
        _log.warning("The settings cannot be read (%s); %s.", error, _WAY_OUT)
        return None
