from __future__ import annotations

import pytest

from napari_edsr._qt.live import RedrawBudget


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def simulate(tile_seconds, redraw_seconds, tiles, share=0.05):
    """Tiles that arrive one after the other, each followed by a redraw if affordable."""
    clock = Clock()
    budget = RedrawBudget(share, clock)
    for _ in range(tiles):
        clock.now += tile_seconds
        if budget.allows_another():
            finish = budget.start()
            clock.now += redraw_seconds
            finish()
    return budget


@pytest.mark.parametrize("tile", [0.001, 0.02, 0.5, 5.0])
@pytest.mark.parametrize("redraw", [0.0005, 0.02, 0.3])
def test_redraws_cost_at_most_their_share(tile, redraw):
    budget = simulate(tile, redraw, tiles=4000)
    first = redraw  # its cost could not be foreseen
    assert budget.spent <= 0.05 * budget.elapsed + first
    assert budget.spent == pytest.approx(budget.count * redraw)


def test_cheap_redraws_follow_every_tile():
    assert simulate(tile_seconds=1.0, redraw_seconds=0.01, tiles=50).count == 50


def test_dear_redraws_become_rare_but_go_on():
    # 0.23 s is what a 4k frame takes on a software renderer
    budget = simulate(tile_seconds=0.1, redraw_seconds=0.23, tiles=1000)
    assert 10 <= budget.count <= 24


def test_first_tile_is_shown_at_once():
    assert RedrawBudget(clock=Clock()).allows_another()
