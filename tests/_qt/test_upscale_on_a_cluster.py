"""Results that the workers of a scheduler write, seen from the dock."""

from __future__ import annotations

import dask
import numpy as np
import pytest
from distributed import Client
from stored_files import choose_file, share_small_units

from napari_edsr import cluster, upscale

WAIT = 60_000
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def scheduler():
    with cluster.connected(None, 1) as client:
        yield client.scheduler.address


@pytest.fixture(autouse=True)
def small_units(monkeypatch):
    share_small_units(monkeypatch)


@pytest.fixture
def image(rng):
    return rng.integers(0, 2**16, (900, 48), np.uint16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cells_x2.ome.zarr"


@pytest.fixture
def widget(make_widget, path):
    widget = make_widget()
    widget.controls.speed.tile.setValue(0)
    choose_file(widget, path)
    return widget


def ask(widget, address):
    scheduler = widget.controls.output.scheduler
    scheduler.setText(address)
    scheduler.editingFinished.emit()


def tasks_of(scheduler):
    """How many tasks its workers have done so far."""
    with Client(scheduler, set_as_default=False) as client:
        return len(client.run_on_scheduler(_transitions))


def _transitions(dask_scheduler):
    return [event for event in dask_scheduler.transition_log if event[2] == "memory"]


@pytest.mark.promise("a cluster's scheduler can be named below the file")
def test_workers_write_what_the_dock_shows(widget, viewer, run, image, scheduler):
    viewer.add_image(image, name="cells")
    before, shares = tasks_of(scheduler), []
    ask(widget, scheduler)
    assert f"on {scheduler}" in widget.panel.estimate.text()
    widget.session.progressed.connect(lambda share, words: shares.append(share))
    run(widget)

    want = upscale(image, widget.controls.choices().model.key, scale=2)
    np.testing.assert_array_equal(np.asarray(viewer.layers[-1].data[0]), want)
    assert tasks_of(scheduler) > before
    assert shares == sorted(shares) and shares[-1] == 1
    assert "Done" in widget.panel.outcome.text()


def test_cancel_reaches_the_workers_and_this_computer_goes_on(
    qtbot, widget, viewer, run, image, scheduler
):
    viewer.add_image(image, name="cells")
    ask(widget, scheduler)
    tiles = widget.session.runner.tile_done

    def cancel():
        widget.panel.progress.cancel.click()

    tiles.connect(cancel)
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.panel.upscale.click()
    assert "Resume" in widget.panel.upscale.text().replace("&", "")
    with Client(scheduler, set_as_default=False) as client:
        assert not any(client.processing().values())

    tiles.disconnect(cancel)
    ask(widget, "")
    run(widget)
    want = upscale(image, widget.controls.choices().model.key, scale=2)
    np.testing.assert_array_equal(np.asarray(viewer.layers[-1].data[0]), want)


def test_nobody_answers(widget, viewer, run, image, errors_shown, path):
    viewer.add_image(image, name="cells")
    ask(widget, "tcp://127.0.0.1:9")
    with dask.config.set({"distributed.comm.timeouts.connect": 0.2}):
        run(widget)
    (shown,) = errors_shown
    assert "No scheduler answers at tcp://127.0.0.1:9" in shown
    assert len(viewer.layers) == 1 and not path.exists()


def test_only_files_are_for_clusters(widget, viewer, run, image):
    viewer.add_image(image[:20], name="cells")
    output = widget.controls.output
    ask(widget, "tcp://127.0.0.1:9")
    output.where.button("memory").click()
    assert output.scheduler.isHidden() and output.cluster() == ""
    run(widget)
    assert viewer.layers[-1].data.shape == (40, 96)


def test_a_preview_is_made_here(qtbot, widget, viewer, image):
    viewer.add_image(image[:20], name="cells")
    ask(widget, "tcp://127.0.0.1:9")
    assert widget.panel.preview.isEnabled()
    with qtbot.waitSignal(widget.session.ended, timeout=WAIT):
        widget.panel.preview.click()
    assert viewer.layers[-1].data.shape == (40, 96)
