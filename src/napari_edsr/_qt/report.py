"""What to send along with an error: versions and devices."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "napari-edsr",
    "napari",
    "torch",
    "numpy",
    "PyQt6",
    "PySide6",
    "zarr",
    "MNN",
)


def report(message: str, details: str) -> str:
    """An error with what a developer asks for first.

    Parameters
    ----------
    message, details : str
        Of the error; may be empty.
    """
    about = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    system = f"Python {platform.python_version()} on {platform.platform()}"
    parts = [message, details, "\n".join([*about, system, *_devices()])]
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _devices() -> list[str]:
    """Torch is asked for them only where it was needed already: it takes seconds."""
    if "torch" not in sys.modules:
        return []
    from napari_edsr.device import explain_devices

    return [f"{found.name}: {found.description}" for found in explain_devices()]
