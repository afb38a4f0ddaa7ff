"""What several commands share: words of their help, and how their tables are printed."""

from __future__ import annotations

from rich.console import Console

#: Of a model that is not named, as `zoo.default_model` has it.
DEFAULT_MODEL = "edsr-light-x2, or that of --scale"
#: Metavar of a switch: without one, newer releases of typer show ``<bool>``.
FLAG = ""
_PIPE_WIDTH = 200


def table_console() -> Console:
    """As wide as the terminal; in a pipe wide enough for one line a row."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)
