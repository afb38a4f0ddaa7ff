"""What the help of several commands says."""

from __future__ import annotations

#: Of a model that is not named, as `zoo.default_model` has it.
DEFAULT_MODEL = "edsr-light-x2, or that of --scale"
#: Metavar of a switch: without one, newer releases of typer show ``<bool>``.
FLAG = ""
