"""A table of latencies that nobody measured."""

import random

from harness.core.arch import ARCHS
from harness.core.space import SearchSpace
from harness.models.latency import LatencyTable, parts_in, parts_of


def planted(space: SearchSpace) -> LatencyTable:
    """Return a time for every part of a space and of the named architectures; each follows from the part's text."""
    parts = [*parts_in(space), *(placed for arch in ARCHS.values() for placed in parts_of(arch))]
    times = {str(placed): random.Random(str(placed)).uniform(0.01, 0.2) for placed in parts}
    return LatencyTable({"cpu": "planted", "torch": "0", "size": 64, "threads": 1}, times)
