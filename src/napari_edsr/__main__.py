"""Where the command ``napari-edsr`` begins, so that Ctrl-C is answered from the start."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, whose imports take a moment, and exit."""
    try:
        from napari_edsr.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("napari-edsr: Interrupted.\n")
        sys.exit(130)  # as every shell counts an interrupt


if __name__ == "__main__":
    main()
