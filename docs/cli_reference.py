"""Writes the reference of the command line from the commands themselves.

``python docs/cli_reference.py`` after a command was changed; a test compares the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from napari_edsr.cli import app

PAGE = Path(__file__).parent / "reference" / "cli.md"

INTRODUCTION = """\
# Command line

The package is called `napari-edsr` on the command line, and `python -m napari_edsr` is the
same. `--help` after any command says what stands here. A command ends with the code 0; with
1 and one line on the standard error output where something went wrong; with 2 where it was
called wrongly; with 130 after Ctrl-C. `NAPARI_EDSR_TRACEBACK=1` shows where an unforeseen
error came from.
"""


def page_text() -> str:
    """The page, in Markdown."""
    sections = (_section(name, command) for name, command in commands().items())
    return "\n".join([INTRODUCTION, *sections])


def commands() -> dict[str, Any]:
    """Every command by its full name, such as ``"models list"``."""
    return dict(_walk(typer.main.get_command(app), ""))


def _walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        loaded = command.load() if hasattr(command, "load") else command
        full = f"{prefix}{name}"
        if hasattr(loaded, "commands"):
            yield from _walk(loaded, f"{full} ")
        else:
            yield full, loaded


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["napari-edsr", name, *map(_usage, arguments)])
    lines = [f"## {name}", "", "```sh", usage, "```", "", _prose(command.help), ""]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|", *map(_argument, arguments), ""]
    if options:
        lines += ["| option | meaning | by default |", "|---|---|---|"]
        lines += [*map(_option, options), ""]
    return "\n".join(lines)


def _usage(argument: Any) -> str:
    return f"{argument.metavar}..." if argument.nargs == -1 else argument.metavar


def _argument(argument: Any) -> str:
    return f"| `{argument.metavar}` | {_cell(argument.help)} |"


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    return f"| {names} | {_cell(option.help)} | {_default(option)} |"


def _default(option: Any) -> str:
    """In words, as the help has it; nothing for a switch that is off."""
    if isinstance(option.show_default, str):
        return _cell(option.show_default)
    if option.secondary_opts:
        return f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
    if option.default is None or option.default is False:
        return ""
    return f"`{option.default}`"


def _cell(text: str) -> str:
    """Fit for a table; patterns and fields in braces are code."""
    line = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"[^\s;,]*[*{][^\s;,]*[^\s;,.]", r"`\g<0>`", line)


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
