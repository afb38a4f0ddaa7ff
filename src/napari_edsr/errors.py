"""What can go wrong, in words a user can act on.

None derives from ``RuntimeError``: napari's generator workers swallow those.
"""


def legible(text: object) -> str:
    """A stranger's text without line breaks or what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


class EDSRError(Exception):
    """Base of every error raised on purpose; its message is one clear sentence."""


class ImageError(EDSRError, ValueError):
    """The image, or what was said about its axes or intensities, cannot be used."""


class ModelError(EDSRError, ValueError):
    """The model is unknown, or does not fit the scale or channels asked for."""


class CheckpointError(EDSRError):
    """A weights file is damaged, unsafe, or not an EDSR or MDSR."""


class DownloadError(EDSRError):
    """Weights could not be fetched, or are not the file that was expected."""


class DeviceError(EDSRError):
    """The device or precision asked for is not there, or its memory ran out."""


class TrainingError(EDSRError, ValueError):
    """A training run cannot begin or go on: its settings, its data or its numbers."""


class FileError(EDSRError, OSError):
    """An image file could not be read or written."""


class EDSRWarning(UserWarning):
    """The run goes on, but the user should know."""
