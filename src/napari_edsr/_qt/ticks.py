"""Round numbers for the axes of a plot, few enough to be read."""

from __future__ import annotations

import math


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Find round numbers from `low` to `high`, 1, 2 or 5 times a power of ten apart.

    Parameters
    ----------
    low, high : float
    most : int
        As many as there may be, at least 1.
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [float(f"{i * step:.10g}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Find round numbers for a logarithmic axis from `low` to `high`, both positive.

    Parameters
    ----------
    low, high : float
    most : int
        As many as there may be, at least 1.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        numbers = [float(f"{digit}e{power}") for power in powers for digit in digits]
        ticks = [number for number in numbers if low <= number <= high]
        if 2 <= len(ticks) <= most:
            return ticks
    if len(ticks) > most:
        return ticks[:: math.ceil(len(ticks) / most)]
    return [tick for tick in nice_ticks(low, high, most) if tick > 0]


def step_label(step: float, last: float) -> str:
    """Short on an axis that ends at `last`: ``"500"``, ``"20k"``, ``"0"``."""
    return f"{step / 1000:g}k" if step and last >= 10_000 else f"{step:g}"
