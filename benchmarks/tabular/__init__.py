"""The tabular benchmark: many networks of one space, trained. ``python -m benchmarks.tabular`` makes it."""
