"""Time of counting a search space in closed form against the time of building its networks."""

from collections.abc import Iterator

import numpy as np

from benchmarks.timing import Case, Given, Variant
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.core.space import SearchSpace
from harness.counting import SpaceCounts
from harness.counting.spaces import _part_cost
from harness.models.builder import build

SPACE = "v2_light"
BUDGET = Budget()


def cases(given: Given) -> Iterator[Case]:
    """Yield building against listing, a configuration each, and listing against counting without a list.

    Networks are built with their memory, as a harness without closed forms has to build them.

    Raises:
        RuntimeError: two ways of counting differ.
    """
    space = load_space(SPACE)
    counts = SpaceCounts(space)
    positions = np.random.default_rng(0).integers(counts.buildable, size=2 if given.quick else 10)
    archs = [space.arch(counts.configuration(int(position))) for position in positions]

    def built() -> list[int]:
        return [sum(parameter.numel() for parameter in build(arch).parameters()) for arch in archs]

    if built() != np.concatenate(list(counts.listed()))[positions].tolist():
        raise RuntimeError(f"{SPACE}: built networks have other parameters than listed ones")
    if listed(space) != counted(space):
        raise RuntimeError(f"{SPACE}: listing and counting find different numbers within {BUDGET}")
    facts = {
        "space": SPACE,
        "digest": space.digest(),
        "configurations": counts.size,
        "buildable": counts.buildable,
        "feasible": counts.feasible(BUDGET),
        "budget": str(BUDGET),
        "networks_built": len(archs),
    }
    yield Case(
        f"one of {counts.buildable:,} configurations",
        Variant("building", built, len(archs)),
        Variant("listing", lambda: listed(space), counts.buildable),
        facts=facts,
    )
    yield Case(
        f"{counts.size:,} configurations",
        Variant("listing", lambda: listed(space)),
        Variant("counting without a list", lambda: counted(space)),
        facts=facts,
    )


def listed(space: SearchSpace) -> int:
    """Return how many configurations fit, from the totals of all; nothing is remembered from an earlier call."""
    _part_cost.cache_clear()
    return sum(int(np.count_nonzero(block <= BUDGET.max_params)) for block in SpaceCounts(space).listed())


def counted(space: SearchSpace) -> int:
    """Return the same without listing; nothing is remembered from an earlier call."""
    _part_cost.cache_clear()
    return SpaceCounts(space).feasible(BUDGET)
