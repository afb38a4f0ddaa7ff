"""Commands that are loaded when they are used, so that ``--help`` is there at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class LazyCommand(TyperCommand):
    """A command of which only name and summary are known before it is used.

    Parameters
    ----------
    name : str
    place : str
        Its module and, after a colon, its function or `typer.Typer`.
    summary : str
        For the list of all commands.
    """

    def __init__(self, name: str, place: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._place = place

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Hand over to the command itself."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Any:
        """Import the command."""
        module, _, name = self._place.partition(":")
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        app = typer.Typer(add_completion=False)
        app.command(self.name)(found)
        return typer.main.get_command(app)


def group_of(commands: Mapping[str, tuple[str, str]]) -> type[TyperGroup]:
    """A group of lazy commands: by name, their places and summaries."""

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            for name, (place, summary) in commands.items():
                self.commands[name] = LazyCommand(name, place, summary)

    return Group
