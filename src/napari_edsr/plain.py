"""Dataclasses as the plain values of YAML and JSON, and made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from napari_edsr.errors import TrainingError


def made(kind: type, values: Any, where: str) -> Any:
    """An instance of a dataclass, its values converted to the types of its fields.

    Raises
    ------
    TrainingError
        If a key is unknown or a value is not of its type; `where` says in what.
    """
    if isinstance(values, kind):
        return values
    if not isinstance(values, Mapping):
        raise TrainingError(f"{where} must hold keys and values, not {values!r}.")
    known = {entry.name for entry in fields(kind)}
    if unknown := sorted(set(map(str, values)) - known):
        raise TrainingError(
            f"Unknown in {where}: {', '.join(unknown)}; known are {', '.join(sorted(known))}."
        )
    hints = get_type_hints(kind)
    return kind(**{key: _as(hints[key], value, key) for key, value in values.items()})


def _as(hint: Any, value: Any, key: str) -> Any:
    """A value in the type of its field: YAML reads ``1e-4`` as a text."""
    if hint is bool and not isinstance(value, bool):
        raise TrainingError(f"{key} is true or false, not {value!r}.")
    kinds: dict[Any, Callable[[Any], Any]] = {
        str: _text,
        Mapping[str, str]: lambda about: {str(k): str(v) for k, v in about.items()},
        int: _whole,
        float: float,
        tuple[int, ...]: lambda many: tuple(_whole(one) for one in many),
        tuple[tuple[int, ...], ...]: lambda rows: tuple(
            tuple(_whole(one) for one in row) for row in rows
        ),
        str | tuple[float, ...]: lambda either: (
            either if isinstance(either, str) else tuple(float(one) for one in either)
        ),
        tuple[str, ...]: lambda many: tuple(
            _text(one) for one in ([many] if isinstance(many, str) else many)
        ),
    }
    try:
        return kinds.get(hint, lambda same: same)(value)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise TrainingError(f"{key}: {value!r} is not what belongs there.") from error


def _text(value: Any) -> str:
    """A text, which YAML may have read as a number."""
    if not isinstance(value, str | int | float):
        raise TypeError(value)
    return str(value)


def _whole(value: Any) -> int:
    """An integer, which YAML may have read as a float or a text, but not from ``yes``."""
    if isinstance(value, bool):
        raise TypeError(value)
    if isinstance(value, int):
        return value  # a float could not hold every seed
    whole = int(float(value))
    if whole != float(value):
        raise ValueError(value)
    return whole


def plain(value: Any) -> Any:
    """Tuples as lists and mappings as dicts, all the way down."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    return value
