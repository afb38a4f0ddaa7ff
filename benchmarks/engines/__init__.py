"""Our engine beside others', on the same weights, picture and threads.

``python -m benchmarks.engines`` measures what is installed of them and writes
``docs/performance.json``, ``docs/performance.md`` and its figures; ``make bench`` does it
with all of them.
"""
