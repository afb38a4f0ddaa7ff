"""What one dock tells all the others."""

from __future__ import annotations

from functools import cache

from qtpy.QtCore import QObject, Signal


class ModelNews(QObject):
    """News of models.

    Signals
    -------
    added(str)
        There is a new model of this name in the zoo.
    chosen(str, int)
        The Upscale dock is to take this model and scale.
    """

    added = Signal(str)
    chosen = Signal(str, int)


@cache
def model_news() -> ModelNews:
    """The one object whose signals all docks hear."""
    return ModelNews()


class LayerNews(QObject):
    """News of layers.

    Signals
    -------
    to_compare(list of napari.layers.Image)
        The Compare dock of their viewer is to take these, two at least.
    comparing(list of napari.layers.Image)
        A Compare dock begins with these; others of their viewer are to leave.
    redrawn(napari.layers.Image)
        Pixels of a layer have changed in place; of a hidden one napari tells nobody.
    """

    to_compare = Signal(object)
    comparing = Signal(object)
    redrawn = Signal(object)


@cache
def layer_news() -> LayerNews:
    """The one object whose signals all docks hear."""
    return LayerNews()
