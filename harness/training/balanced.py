"""``Balanced``: draws networks for the training of shared weights."""

import numpy as np

from harness.core.arch import SLOTS, ArchConfig
from harness.core.budget import Budget
from harness.core.space import Configuration, IntRange, SearchSpace
from harness.counting import SpaceCounts

DRAWS = 8_192
"""Number of networks that fit the budget, drawn uniformly, among which ``Balanced`` draws."""


class Balanced:
    """Draws networks that fit a budget: half of them uniformly, half of them with every width equally often.

    The wider a network's neck, the fewer such networks fit: drawn uniformly, one network of ``v2_light`` in a hundred
    has its widest neck, whose last channels would hardly be trained. So for every second network an ``IntRange`` axis
    is drawn, then one of its values, and then a network that has it. The sandwich rule (Yu and Huang, arXiv 1903.05134)
    trains the widest and the narrowest network in every step for the same reason; here, the widest parts do not fit
    together.

    Args:
        space: the networks; only the axes that change what is built matter.
        budget: what they fit.

    Raises:
        BudgetError: no network fits.
    """

    def __init__(self, space: SearchSpace, budget: Budget) -> None:
        counts, rng = SpaceCounts(space), np.random.default_rng(0)
        self._space = space
        self._drawn = [counts.sample(budget, rng) for _ in range(DRAWS)]
        ranges = [axis for axis in space.axes if isinstance(axis, IntRange) and axis.name.partition(".")[0] in SLOTS]
        having = [[[c for c in self._drawn if c.get(axis.name) == v] for v in axis.values] for axis in ranges]
        self._by_width: list[list[list[Configuration]]] = [[found for found in axis if found] for axis in having]

    def draw(self, rng: np.random.Generator, number: int) -> list[ArchConfig]:
        """Return ``number`` networks."""
        return [self._space.arch(self._one(rng, by_width=place % 2 == 1)) for place in range(number)]

    def _one(self, rng: np.random.Generator, *, by_width: bool) -> Configuration:
        chosen = self._drawn
        if by_width and self._by_width:
            values = self._by_width[rng.integers(len(self._by_width))]
            chosen = values[rng.integers(len(values))]
        return chosen[rng.integers(len(chosen))]
