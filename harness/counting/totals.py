"""Sums over independent choices: which totals there are, and how many ways lead to each."""

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
"""Numbers of configurations: 64-bit integers, or Python's own where 62 bits are too few."""

CHUNK = 10_000_000
"""Sums that are held at once before equal ones are merged."""


@dataclass(frozen=True)
class Totals:
    """Totals in ascending order, how many configurations have each, and how many have at most each."""

    values: Ints
    counts: Counts
    up_to: Counts

    @classmethod
    def of(cls, values: Ints, counts: Counts) -> "Totals":
        """Merge equal values."""
        order = np.argsort(values, kind="stable")
        values, counts = values[order], counts[order]
        starts = np.flatnonzero(np.diff(values, prepend=-1))
        merged = np.add.reduceat(counts, starts) if len(starts) else counts
        return cls(values[starts], merged, np.cumsum(merged))

    @classmethod
    def join(cls, several: Sequence["Totals"]) -> "Totals":
        """Return the totals of alternatives, of which there is at least one."""
        return cls.of(np.concatenate([t.values for t in several]), np.concatenate([t.counts for t in several]))

    def plus(self, values: Ints) -> "Totals":
        """Return the totals after adding one of ``values`` to each in turn."""
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
    """The configurations of one slot that can be built on given widths, with their costs."""

    def __init__(self, configurations: Sequence[Configuration], costs: Sequence[Cost]) -> None:
        self.configurations = tuple(configurations)
        self.costs = tuple(costs)
        self._values: dict[Measure, Ints] = {}

    def values(self, measure: Measure) -> Ints:
        """Return what ``measure`` says of each."""
        if measure not in self._values:
            self._values[measure] = np.array([value(cost, measure) for cost in self.costs], np.int64)
        return self._values[measure]

    def __len__(self) -> int:
        return len(self.configurations)


class Link:
    """One slot's table and the links after it, whose choices are independent of each other.

    Args:
        table: the slot's.
        rest: what follows; after the last slot the totals of nothing.
    """

    def __init__(self, table: Table, rest: "Link | Totals") -> None:
        self.table = table
        self.rest = rest
        self._totals: dict[Measure, Totals] = {}

    def totals(self, measure: Measure) -> Totals:
        """Return the totals over this slot and those after it."""
        if measure not in self._totals:
            self._totals[measure] = self.after(measure).plus(self.table.values(measure))
        return self._totals[measure]

    def after(self, measure: Measure) -> Totals:
        """Return the totals over the slots after this one."""
        return self.rest if isinstance(self.rest, Totals) else self.rest.totals(measure)

    def links(self) -> "list[Link]":
        """Return this link and those after it."""
        return [self] if isinstance(self.rest, Totals) else [self, *self.rest.links()]

    def architectures(self) -> int:
        """Return in how many ways this slot and those after it can be filled."""
        return math.prod(len(link.table) for link in self.links())


def draw(weights: Counts, rng: np.random.Generator) -> int:
    """Return an index with a probability proportional to its weight."""
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative, below(int(cumulative[-1]), rng), side="right"))


def below(limit: int, rng: np.random.Generator) -> int:
    """Return an integer from 0 to ``limit`` - 1, each with the same probability, however large ``limit`` is."""
    if limit <= np.iinfo(np.int64).max:
        return int(rng.integers(limit))
    bits = limit.bit_length()
    while True:  # Each round ends it with a probability of at least one half.
        drawn = int.from_bytes(rng.bytes(-(-bits // 8))) >> (-bits % 8)
        if drawn < limit:
            return drawn
