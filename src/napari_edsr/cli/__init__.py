"""The command line: ``napari-edsr upscale | models | devices | demo | train | evaluate ...``.

Nothing here imports torch or napari before a command needs it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from napari_edsr.cli.lazy import group_of
from napari_edsr.cli.parameters import FLAG, reason
from napari_edsr.errors import EDSRError

INTERRUPTED = 130
_HANDLED = (signal.SIGINT, signal.SIGTERM)
_QUIET = logging.NullHandler()

#: Where each command is, and the first sentences of its help.
COMMANDS = {
    "upscale": (
        "napari_edsr.cli.upscale:upscale",
        "Upscale images. Pixel size, colour profile and metadata go along.",
    ),
    "models": (
        "napari_edsr.cli.models:app",
        "List, inspect, download, import and export models.",
    ),
    "devices": (
        "napari_edsr.cli.devices:devices",
        "Show what torch can run on, why a GPU is not used, and how fast it is.",
    ),
    "demo": (
        "napari_edsr.cli.demo:demo",
        "Upscale the bundled photograph and micrograph, and compare with bicubic.",
    ),
    "train": (
        "napari_edsr.cli.train:train",
        "Train a network as a configuration says; an interrupted run is taken up again.",
    ),
    "finetune": (
        "napari_edsr.cli.train:finetune",
        "Fine-tune a model on images of one's own.",
    ),
    "evaluate": (
        "napari_edsr.cli.evaluate:evaluate",
        "Measure images against the truth, plane by plane.",
    ),
    "benchmark": (
        "napari_edsr.cli.benchmark:benchmark",
        "Measure a model beside bicubic interpolation on a set of images.",
    ),
}

app = typer.Typer(
    name="napari-edsr",
    cls=group_of(COMMANDS),
    help="EDSR and MDSR super-resolution of images.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of those of the process.

    Raises
    ------
    SystemExit
        Always: 0; 1 with one line on the standard error output; 2 if called wrongly;
        130 on Ctrl-C; 143 if terminated.
    """
    _make_streams_usable()
    with _signals(), library_messages():
        sys.exit(_run(arguments))


def _make_streams_usable() -> None:
    """A closed output or a narrow character set must not end a run."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _run(arguments: list[str] | None) -> int:
    usage_error: type[Any] = typer.BadParameter.__bases__[0]
    try:
        code = app(args=arguments, prog_name="napari-edsr", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer turns Ctrl-C into this code
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except usage_error as error:
        return _usage(error)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one adds nothing
        return _fail("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        return _closed_pipe()
    except (EDSRError, MemoryError, OSError) as error:
        return _fail(reason(error))
    except Exception as error:
        if os.environ.get("NAPARI_EDSR_TRACEBACK"):
            raise
        return _fail(reason(error))


def _usage(error: Any) -> int:
    message = error.format_message()
    if not message:  # the help was printed instead
        return 2
    command = error.ctx.command_path if error.ctx else "napari-edsr"
    if command.endswith(" upscale") and "extra argument" in message:
        message += ' If INPUT is a pattern, quote it, as in "scans/*.png".'
    stop = "" if message.endswith((".", "?")) else "."
    return _fail(f"{message}{stop} Try '{command} --help'.", 2)


def _fail(message: str, code: int = 1) -> int:
    line = " ".join(message.split())
    typer.echo(f"napari-edsr: {line}", err=True)
    return code


def _closed_pipe() -> int:
    # Otherwise the interpreter would complain once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Let the ``finally`` clauses run, so that no half-written file stays."""
    raise SystemExit(128 + number)


@contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _HANDLED}
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def library_messages() -> Iterator[None]:
    """Print warnings as notes on the standard output; keep libraries' logs off it."""
    logging.getLogger().addHandler(_QUIET)
    with warnings.catch_warnings():
        warnings.showwarning = _note
        yield


def _note(message: Warning | str, *unused: Any, **also_unused: Any) -> None:
    typer.echo(f"Note: {' '.join(str(message).split())}")


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"napari-edsr {version('napari-edsr')}")
    except PackageNotFoundError:
        typer.echo("napari-edsr (not installed)")
    raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar=FLAG,
            callback=_show_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    pass
