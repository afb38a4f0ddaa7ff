"""What several commands share: words of their help, tables, errors."""

from __future__ import annotations

from rich.console import Console

from napari_edsr.errors import EDSRError

#: Of a model that is not named, as `zoo.default_model` has it.
DEFAULT_MODEL = "edsr-light-x2, or that of --scale"
#: Metavar of a switch: without one, newer releases of typer show ``<bool>``.
FLAG = ""
_PIPE_WIDTH = 200


def table_console() -> Console:
    """As wide as the terminal; in a pipe wide enough for one line a row."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def reason(error: Exception) -> str:
    """One sentence on what went wrong."""
    if isinstance(error, EDSRError):
        return str(error)
    if isinstance(error, MemoryError):
        return "The memory is full; close other programs or crop the image."
    if isinstance(error, OSError):
        return f"{error}; check the disk and the paths."
    return f"{type(error).__name__}: {error} (NAPARI_EDSR_TRACEBACK=1 shows where)."
