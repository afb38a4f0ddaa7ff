"""Errors as a dock shows them."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass

from napari_edsr._qt.wording import sentence
from napari_edsr._qt.worker import JobFailedError
from napari_edsr.errors import EDSRError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """An error, in a sentence or two and in full."""

    message: str
    details: str

    @classmethod
    def of(cls, error: BaseException, doing: str) -> Failure:
        """Errors of ours say what to do; of others the user can only report them.

        The log has all of them, those of ours among what happens and is no fault.
        """
        details = "".join(traceback.format_exception(error))
        if isinstance(error, EDSRError) and not isinstance(error, JobFailedError):
            _log.info("%s: %s", doing, error)
            return cls(sentence(str(error)), details)
        _log.error("%s failed.", doing, exc_info=error)
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        advice = "Copy the details below for a report."
        return cls(f"{doing} failed: {sentence(what)} {advice}", details)
