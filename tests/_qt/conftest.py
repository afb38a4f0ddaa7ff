from __future__ import annotations

import os
import sys

import pytest

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(autouse=True)
def _no_worker_outlives_its_test(no_leaked_threads):
    """Every test of the widgets ends with an idle thread pool."""
