"""A whole space counted exactly, without visiting its configurations.

Groups of axes are independent of each other except through widths: the attention and the neck meet the backbone's,
and whatever follows the neck meets the neck's. So every combination of backbone, attention and neck is listed (the
*prefixes*), and for each neck width the sums of what follows are convolved into one short table of totals with their
multiplicities. Counting is then a sum over prefixes, and a uniform draw walks the tables backwards.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from harness.arch import SLOTS, OptionValue, Part
from harness.errors import BudgetError, InputError
from harness.modules.part import Levels
from harness.protocol import Budget
from harness.space import Configuration, SearchSpace
from harness.wiring import backbone_widths, component, misfit, neck_widths

Ints = npt.NDArray[np.int64]

_TAIL = SLOTS[SLOTS.index("neck") + 1 :]
"""The slots that meet the neck's width."""


def part_params(slot: str, part: Part, inputs: Levels | None) -> int | None:
    """Return the parameters of a part on maps of these widths; None where it cannot be built there.

    Raises:
        InputError: the part or an option is unknown, missing or not accepted.
    """
    component(slot, part)
    return _part_params(slot, part, inputs)


@cache
def _part_params(slot: str, part: Part, inputs: Levels | None) -> int | None:
    found = component(slot, part)
    if inputs is None:
        return found.cost((0, 0), **part.option_dict()).params
    if misfit(slot, part, inputs) is not None:
        return None
    return found.cost(inputs, (0, 0, 0), **part.option_dict()).params


@dataclass(frozen=True)
class Totals:
    """Parameter totals in ascending order, how many configurations have each, and how many have at most each."""

    values: Ints
    counts: Ints
    up_to: Ints

    @classmethod
    def of(cls, values: Ints, counts: Ints) -> "Totals":
        """Merge equal values."""
        order = np.argsort(values, kind="stable")
        values, counts = values[order], counts[order]
        starts = np.flatnonzero(np.diff(values, prepend=-1))
        merged = np.add.reduceat(counts, starts) if len(starts) else counts
        return cls(values[starts], merged, np.cumsum(merged))

    def plus(self, values: Ints) -> "Totals":
        """Return the totals after adding one of ``values`` to each in turn."""
        sums = np.add.outer(values, self.values).ravel()
        return Totals.of(sums, np.tile(self.counts, len(values)))

    def fitting(self, limits: Ints) -> Ints:
        """Return, for each limit, how many configurations have at most that many parameters."""
        return np.concatenate(([0], self.up_to))[np.searchsorted(self.values, limits, side="right")]

    def largest(self, limits: Ints) -> Ints:
        """Return, for each limit, the largest total within it, or -1."""
        return np.concatenate(([-1], self.values))[np.searchsorted(self.values, limits, side="right")]


_NOTHING = Totals.of(np.zeros(1, np.int64), np.ones(1, np.int64))


@dataclass(frozen=True)
class Table:
    """The configurations of one slot that can be built on given widths, with their parameters."""

    configurations: tuple[Configuration, ...]
    params: Ints


@dataclass(frozen=True)
class Chain:
    """What follows a neck of one width: a table a slot, and the totals of each table with those after it."""

    tables: tuple[Table, ...]
    totals: tuple[Totals, ...]

    @classmethod
    def of(cls, tables: Sequence[Table]) -> "Chain":
        """Convolve the tables from the last to the first."""
        totals = [_NOTHING]
        for table in reversed(tables):
            totals.insert(0, totals[0].plus(table.params))
        return cls(tuple(tables), tuple(totals))


@dataclass(frozen=True)
class Move:
    """One axis changed, with the axes that the change switches on: the new values, and the parameters saved."""

    saving: int
    changed: Configuration

    def __str__(self) -> str:
        return f"{', '.join(f'{name}={value}' for name, value in self.changed.items())} saves {self.saving:,}"


class SpaceCounts:
    """Exact counts of a space, and uniform draws from what fits a budget.

    Attributes:
        space: the space.
        size: number of configurations.
        buildable: how many of them can be built.

    Raises:
        InputError: an axis sets an unknown part or option, or a value that is not accepted; or the space is so large
            that its counts do not fit 62 bits.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.size = space.size()
        if self.size >= 2**62:
            raise InputError(f"space '{space.name}' has {self.size:,} configurations; 2^62 is the most that is counted")
        self._distill = space.group_configurations("distill")
        self._options = {
            slot: [(c, space.arch(c).parts()[slot]) for c in space.group_configurations(slot)] for slot in SLOTS
        }
        prefixes, params, widths = self._list_prefixes()
        self._prefixes = prefixes
        self._prefix_params = np.array(params, np.int64)
        self._prefix_widths = np.array(widths, np.int64)
        self._chains = {
            width: Chain.of([self._table(slot, (width, width, width)) for slot in _TAIL])
            for width in sorted(set(widths))
        }
        self.buildable = self._count(np.iinfo(np.int64).max)

    def _table(self, slot: str, inputs: Levels | None) -> Table:
        rows = [(c, part_params(slot, part, inputs)) for c, part in self._options[slot]]
        built = [(c, params) for c, params in rows if params is not None]
        return Table(tuple(c for c, _ in built), np.array([params for _, params in built], np.int64))

    def _list_prefixes(self) -> tuple[list[Configuration], list[int], list[int]]:
        """List every buildable backbone, attention and neck: configuration, parameters and the neck's width."""
        prefixes: list[Configuration] = []
        params: list[int] = []
        widths: list[int] = []
        for backbone, backbone_part in self._options["backbone"]:
            inputs = backbone_widths(backbone_part)
            own = part_params("backbone", backbone_part, None) or 0
            attention = self._table("attention", inputs)
            for neck, neck_part in self._options["neck"]:
                neck_params = part_params("neck", neck_part, inputs)
                if neck_params is None:
                    continue
                for chosen, attention_params in zip(attention.configurations, attention.params, strict=True):
                    prefixes.append({**backbone, **chosen, **neck})
                    params.append(own + int(attention_params) + neck_params)
                    widths.append(neck_widths(neck_part)[0])
        return prefixes, params, widths

    def _prefix_weights(self, limit: int) -> Ints:
        """Return how many ways each prefix can be completed with at most ``limit`` parameters in all."""
        weights = np.zeros(len(self._prefixes), np.int64)
        for width, chain in self._chains.items():
            here = self._prefix_widths == width
            weights[here] = chain.totals[0].fitting(limit - self._prefix_params[here])
        return weights

    def _count(self, limit: int) -> int:
        return int(self._prefix_weights(limit).sum()) * len(self._distill)

    def feasible(self, budget: Budget) -> int:
        """Return how many configurations can be built and fit the budget."""
        return self._count(budget.max_params)

    @cached_property
    def histogram(self) -> Totals:
        """Every total that a buildable configuration can have, with how many have it."""
        values, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for width, chain in self._chains.items():
            merged = chain.totals[0].plus(self._prefix_params[self._prefix_widths == width])
            values.append(merged.values)
            counts.append(merged.counts * len(self._distill))
        return Totals.of(np.concatenate(values), np.concatenate(counts))

    @property
    def smallest(self) -> int:
        """The fewest parameters that a buildable configuration has.

        Raises:
            BudgetError: nothing in the space can be built.
        """
        return self._extreme(least=True, limit=None)

    def largest(self, budget: Budget | None = None) -> int:
        """Return the most parameters that a buildable configuration has, within the budget if one is given.

        Raises:
            BudgetError: nothing fits; the message says the smallest possible count.
        """
        return self._extreme(least=False, limit=None if budget is None else budget.max_params)

    def _extreme(self, *, least: bool, limit: int | None) -> int:
        if self.buildable == 0:
            raise BudgetError(f"space '{self.space.name}': none of its {self.size:,} configurations can be built")
        found: list[int] = []
        for width, chain in self._chains.items():
            prefixes, totals = self._prefix_params[self._prefix_widths == width], chain.totals[0]
            if not len(totals.values):
                continue
            if least:
                found.append(int(prefixes.min() + totals.values[0]))
            elif limit is None:
                found.append(int(prefixes.max() + totals.values[-1]))
            else:
                tails = totals.largest(limit - prefixes)
                found += [int((prefixes + tails)[tails >= 0].max())] if (tails >= 0).any() else []
        if not found:
            raise self._nothing_fits(limit or 0)
        return min(found) if least else max(found)

    def _nothing_fits(self, limit: int) -> BudgetError:
        return BudgetError(
            f"space '{self.space.name}': nothing fits the budget of {limit:,} parameters; "
            f"its smallest configuration has {self.smallest:,}"
        )

    def total(self, configuration: Mapping[str, OptionValue]) -> int | None:
        """Return the parameters of a configuration of the space; None where it cannot be built."""
        arch = self.space.arch(configuration)
        inputs, width = backbone_widths(arch.backbone), neck_widths(arch.neck)
        whole = 0
        for slot, part in arch.parts().items():
            met = None if slot == "backbone" else width if slot in _TAIL else inputs
            params = part_params(slot, part, met)
            if params is None:
                return None
            whole += params
        return whole

    def is_feasible(self, configuration: Mapping[str, OptionValue], budget: Budget) -> bool:
        """Say whether a configuration of the space can be built and fits the budget."""
        params = self.total(configuration)
        return params is not None and params <= budget.max_params

    def sample(self, budget: Budget, rng: np.random.Generator) -> Configuration:
        """Draw a configuration, each that can be built and fits the budget with the same probability.

        Raises:
            BudgetError: nothing fits; the message says the smallest possible count.
        """
        weights = self._prefix_weights(budget.max_params)
        if not weights.sum():
            self.largest(budget)
        index = _draw(weights, rng)
        chosen = dict(self._prefixes[index])
        left = budget.max_params - int(self._prefix_params[index])
        chain = self._chains[int(self._prefix_widths[index])]
        for table, after in zip(chain.tables, chain.totals[1:], strict=True):
            row = _draw(after.fitting(left - table.params), rng)
            chosen.update(table.configurations[row])
            left -= int(table.params[row])
        chosen.update(self._distill[int(rng.integers(len(self._distill)))])
        return {axis.name: chosen[axis.name] for axis in self.space.axes if axis.name in chosen}

    def nearest(self, budget: Budget, count: int) -> list[tuple[int, Configuration]]:
        """Return up to ``count`` in-budget architectures with the most parameters, largest first, with their totals.

        Distillation axes are left out: they do not change what is built. Equal totals come in the space's order.

        Raises:
            BudgetError: nothing fits; the message says the smallest possible count.
        """
        floor = self.largest(budget)
        totals = self.histogram
        position = int(np.searchsorted(totals.values, floor, side="right"))
        found: list[tuple[int, Configuration]] = []
        while position > 0 and len(found) < count:
            position -= 1
            value = int(totals.values[position])
            found += [(value, c) for c in itertools.islice(self._with_total(value), count - len(found))]
        return found

    def over(self, budget: Budget) -> tuple[int, Configuration] | None:
        """Return the first architecture with the smallest total above the budget, if any is above it."""
        totals = self.histogram.values
        position = int(np.searchsorted(totals, budget.max_params, side="right"))
        if position == len(totals):
            return None
        return int(totals[position]), next(self._with_total(int(totals[position])))

    def moves(self, configuration: Configuration, budget: Budget) -> list[Move]:
        """Return the changes of one axis that bring a configuration under the budget, smallest saving first.

        An axis that chooses a part may bring new axes with it: then every value of these is a move of its own.
        """
        before = self.total(configuration)
        if before is None:
            return []
        found = []
        for group in SLOTS:
            here = {name: value for name, value in configuration.items() if name.startswith(f"{group}.")}
            for other, _ in self._options[group]:
                if not self._one_axis_apart(here, other):
                    continue
                rest = {name: value for name, value in configuration.items() if name not in here}
                after = self.total({**rest, **other})
                if after is not None and after <= budget.max_params:
                    changed = {name: value for name, value in other.items() if here.get(name) != value}
                    found.append(Move(before - after, changed))
        return sorted(found, key=lambda move: (move.saving, str(move.changed)))

    def _one_axis_apart(self, here: Configuration, other: Configuration) -> bool:
        """Say whether two configurations of a group differ in one axis and in what this axis switches on or off."""
        differing = [name for name in here.keys() & other.keys() if here[name] != other[name]]
        if len(differing) != 1:
            return False
        switched = (self.space.axis(name).when for name in here.keys() ^ other.keys())
        return all(when is not None and when.axis == differing[0] for when in switched)

    def _with_total(self, value: int) -> "itertools.chain[Configuration]":
        """Yield the architectures with exactly this many parameters."""

        def completions(chain: Chain, depth: int, left: int) -> "list[Configuration]":
            if depth == len(chain.tables):
                return [{}] if left == 0 else []
            table, after = chain.tables[depth], chain.totals[depth + 1]
            rows = np.flatnonzero(np.isin(left - table.params, after.values))
            return [
                {**table.configurations[row], **rest}
                for row in rows
                for rest in completions(chain, depth + 1, left - int(table.params[row]))
            ]

        return itertools.chain.from_iterable(
            ({**prefix, **rest} for rest in completions(self._chains[int(width)], 0, value - int(params)))
            for prefix, params, width in zip(self._prefixes, self._prefix_params, self._prefix_widths, strict=True)
        )


def _draw(weights: Ints, rng: np.random.Generator) -> int:
    """Return an index with a probability proportional to its weight."""
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative, rng.integers(int(cumulative[-1])), side="right"))
