"""Sums over independent choices: the possible totals, and the number of combinations with each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.core.budget import Measure
from harness.core.space import Configuration
from harness.models.costs import value
from harness.models.modules.part import Cost

Ints = npt.NDArray[np.int64]

Flags = npt.NDArray[np.bool_]

Counts = npt.NDArray[np.int64] | npt.NDArray[np.object_]
"""Numbers of configurations: 64-bit integers, or Python integers if 62 bits are too few."""

CHUNK = 10_000_000
"""Number of sums that are held in memory before equal ones are merged."""


@dataclass(frozen=True)
class Totals:
    """Distinct totals of some configurations.

    Attributes:
        values: the totals, ascending.
        counts: number of configurations with each total.
        up_to: number of configurations with at most each total.
    """

    values: Ints
    counts: Counts
    up_to: Counts

    @classmethod
    def of(cls, values: Ints, counts: Counts) -> "Totals":
        """Return the totals ``values`` of ``counts`` configurations each; equal totals are merged."""
        order = np.argsort(values, kind="stable")
        values, counts = values[order], counts[order]
        starts = np.flatnonzero(np.diff(values, prepend=-1))
        merged = np.add.reduceat(counts, starts) if len(starts) else counts
        return cls(values[starts], merged, np.cumsum(merged))

    @classmethod
    def join(cls, several: Sequence["Totals"]) -> "Totals":
        """Return the totals of several disjoint sets of configurations together; at least one set is needed."""
        return cls.of(np.concatenate([t.values for t in several]), np.concatenate([t.counts for t in several]))

    def plus(self, values: Ints) -> "Totals":
        """Return the totals of all pairs of a configuration and an entry of ``values``, which is added."""
        different, often = np.unique(values, return_counts=True)
        pairs = len(different) * len(self.values)
        if pairs and self.values[-1] - self.values[0] + different[-1] - different[0] < pairs:
            return self._dense(different, often)
        rows = max(CHUNK // max(len(self.values), 1), 1)
        parts = [
            Totals.of(
                np.add.outer(different[start : start + rows], self.values).ravel(),
                np.multiply.outer(often[start : start + rows], self.counts).ravel(),
            )
            for start in range(0, max(len(different), 1), rows)
        ]
        return parts[0] if len(parts) == 1 else Totals.join(parts)

    def _dense(self, values: Ints, often: Ints) -> "Totals":
        """Return the totals of all pairs where these outnumber the integers they fall on: one cell for each integer."""
        lowest = int(self.values[0] + values[0])
        span = int(self.values[-1] + values[-1]) - lowest + 1
        cells: Counts = np.zeros(span, np.object_) if self.counts.dtype == np.object_ else np.zeros(span, np.int64)
        for added, times in zip(values.tolist(), often.tolist(), strict=True):
            cells[self.values + (added - lowest)] += self.counts * times
        taken: Ints = np.flatnonzero(cells)
        return Totals.of(taken + lowest, cells[taken])

    def fitting(self, limits: Ints) -> Counts:
        """Return, for each limit, the number of configurations with at most that total."""
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
        self._distinct: dict[Measure, tuple[Ints, Ints]] = {}

    def values(self, measure: Measure) -> Ints:
        """Return the value of ``measure`` for each configuration."""
        if measure not in self._values:
            self._values[measure] = np.array([value(cost, measure) for cost in self.costs], np.int64)
        return self._values[measure]

    def distinct(self, measure: Measure) -> tuple[Ints, Ints]:
        """Return the distinct values of ``measure``, and for each configuration the position of its value there."""
        if measure not in self._distinct:
            values, positions = np.unique(self.values(measure), return_inverse=True)
            self._distinct[measure] = values, positions
        return self._distinct[measure]

    def __len__(self) -> int:
        return len(self.configurations)


class Link:
    """One slot's table, linked to the tables of the slots after it. Rows of different tables combine freely.

    A shared link is the rest of several links, and keeps its totals. Any other link asks its rest once for each of its
    rows, because the totals of a space's hundreds of chains do not fit into memory.

    Args:
        table: the slot's table.
        rest: the next link; after the last slot, the totals of no slot: a single 0.
        shared: whether several links have this one as their rest.
    """

    def __init__(self, table: Table, rest: "Link | Totals", *, shared: bool) -> None:
        self.table = table
        self.rest = rest
        self.shared = shared
        self._totals: dict[Measure, Totals] = {}

    def totals(self, measure: Measure) -> Totals:
        """Return the totals over this slot and all slots after it, and keep them."""
        if measure not in self._totals:
            after = self.rest if isinstance(self.rest, Totals) else self.rest.totals(measure)
            self._totals[measure] = after.plus(self.table.values(measure))
        return self._totals[measure]

    def fitting(self, measure: Measure, limits: Ints) -> Counts:
        """Return, for each limit, the number of combinations of this and all later slots with at most that total."""
        if self.shared:
            return self.totals(measure).fitting(limits)
        found: Counts = np.add.reduce(self.rows_fitting(measure, limits), axis=-1)
        return found

    def rows_fitting(self, measure: Measure, limits: Ints) -> Counts:
        """Return, for each limit and each row, the number of combinations with that row and at most that total."""
        values, positions = self.table.distinct(measure)
        left = np.subtract.outer(limits, values)
        after = self.rest.fitting(left) if isinstance(self.rest, Totals) else self.rest.fitting(measure, left)
        return after[..., positions]

    def reaching(self, measure: Measure, totals: Ints) -> Flags:
        """Return, for each total, whether some combination of this and all later slots has it."""
        if self.shared:
            return np.isin(totals, self.totals(measure).values)
        found: Flags = np.logical_or.reduce(self.rows_reaching(measure, totals), axis=-1)
        return found

    def rows_reaching(self, measure: Measure, totals: Ints) -> Flags:
        """Return, for each total and each row, whether some combination with that row has that total."""
        values, positions = self.table.distinct(measure)
        left = np.subtract.outer(totals, values)
        after: Flags = left == 0 if isinstance(self.rest, Totals) else self.rest.reaching(measure, left)
        return after[..., positions]

    def links(self) -> "list[Link]":
        """Return this link and all links after it."""
        return [self] if isinstance(self.rest, Totals) else [self, *self.rest.links()]

    def architectures(self) -> int:
        """Return the number of combinations of rows of this slot and of all slots after it."""
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
    while True:  # A draw is accepted with a probability of at least one half.
        drawn = int.from_bytes(rng.bytes(-(-bits // 8))) >> (-bits % 8)
        if drawn < limit:
            return drawn
