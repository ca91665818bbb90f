"""Sums over independent choices: the possible totals, and in how many ways each is reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.core.protocol import Measure
from harness.core.space import Configuration
from harness.models.costs import value
from harness.models.modules.part import Cost

Ints = npt.NDArray[np.int64]

Counts = npt.NDArray[np.int64] | npt.NDArray[np.object_]
"""Numbers of configurations: 64-bit integers, or Python's integers where 62 bits are too few."""

CHUNK = 10_000_000
"""How many sums are held in memory before equal ones are merged."""


@dataclass(frozen=True)
class Totals:
    """Distinct totals of some configurations.

    Attributes:
        values: the totals, ascending.
        counts: how many configurations have each.
        up_to: how many have at most each.
    """

    values: Ints
    counts: Counts
    up_to: Counts

    @classmethod
    def of(cls, values: Ints, counts: Counts) -> "Totals":
        """Return the totals of ``values``, merging equal ones."""
        order = np.argsort(values, kind="stable")
        values, counts = values[order], counts[order]
        starts = np.flatnonzero(np.diff(values, prepend=-1))
        merged = np.add.reduceat(counts, starts) if len(starts) else counts
        return cls(values[starts], merged, np.cumsum(merged))

    @classmethod
    def join(cls, several: Sequence["Totals"]) -> "Totals":
        """Return the totals of the union of at least one set of configurations."""
        return cls.of(np.concatenate([t.values for t in several]), np.concatenate([t.counts for t in several]))

    def plus(self, values: Ints) -> "Totals":
        """Return the totals of all sums of one configuration's total and one of ``values``."""
        different, often = np.unique(values, return_counts=True)
        rows = max(CHUNK // max(len(self.values), 1), 1)
        parts = [
            Totals.of(
                np.add.outer(different[start : start + rows], self.values).ravel(),
                np.multiply.outer(often[start : start + rows], self.counts).ravel(),
            )
            for start in range(0, max(len(different), 1), rows)
        ]
        return parts[0] if len(parts) == 1 else Totals.join(parts)

    def fitting(self, limits: Ints) -> Counts:
        """Return, for each limit, how many configurations have at most that much."""
        within = np.searchsorted(self.values, limits, side="right")
        found: Counts = self.up_to[np.maximum(within - 1, 0)]
        found[within == 0] = 0
        return found


class Table:
    """The configurations of one slot that can be built on given input channels, with their costs."""

    def __init__(self, configurations: Sequence[Configuration], costs: Sequence[Cost]) -> None:
        self.configurations = tuple(configurations)
        self.costs = tuple(costs)
        self._values: dict[Measure, Ints] = {}

    def values(self, measure: Measure) -> Ints:
        """Return each configuration's number in one way of counting."""
        if measure not in self._values:
            self._values[measure] = np.array([value(cost, measure) for cost in self.costs], np.int64)
        return self._values[measure]

    def __len__(self) -> int:
        return len(self.configurations)


class Link:
    """One slot's table, linked to those of the slots after it; every row goes with every row of the others.

    Args:
        table: the slot's table.
        rest: the next link, or after the last slot the totals of nothing.
    """

    def __init__(self, table: Table, rest: "Link | Totals") -> None:
        self.table = table
        self.rest = rest
        self._totals: dict[Measure, Totals] = {}

    def totals(self, measure: Measure) -> Totals:
        """Return the totals of this slot and all after it."""
        if measure not in self._totals:
            self._totals[measure] = self.after(measure).plus(self.table.values(measure))
        return self._totals[measure]

    def after(self, measure: Measure) -> Totals:
        """Return the totals of all slots after this one."""
        return self.rest if isinstance(self.rest, Totals) else self.rest.totals(measure)

    def links(self) -> "list[Link]":
        """Return this link and all after it."""
        return [self] if isinstance(self.rest, Totals) else [self, *self.rest.links()]

    def architectures(self) -> int:
        """Return the number of combinations of this slot's rows and those of all after it."""
        return math.prod(len(link.table) for link in self.links())


def draw(weights: Counts, rng: np.random.Generator) -> int:
    """Return an index with a probability proportional to its weight."""
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative, below(int(cumulative[-1]), rng), side="right"))


def below(limit: int, rng: np.random.Generator) -> int:
    """Return an integer from 0 to ``limit`` - 1, all equally probable; ``limit`` may exceed 64 bits."""
    if limit <= np.iinfo(np.int64).max:
        return int(rng.integers(limit))
    bits = limit.bit_length()
    while True:  # Each round is the last with a probability of at least one half.
        drawn = int.from_bytes(rng.bytes(-(-bits // 8))) >> (-bits % 8)
        if drawn < limit:
            return drawn
