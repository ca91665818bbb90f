"""Exact counts of a whole space without visiting its configurations; and its list, if it is small enough.

Slots depend on each other only through channels: the attention and the neck take the backbone's channels, all parts
after the neck take the neck's. For each combination of these channels there is a chain of tables, one per slot, whose
rows combine freely. Chains with a neck of one width share the tables after the neck. Convolving these from the last to
the first gives all their totals with their multiplicities, and counting is a sum over chains and over the rows of their
own tables. A uniform draw walks one chain from the first table to the last.

With several bounds, the totals of one measure do not decide what fits. In this case the architectures are listed.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from harness.core.arch import SLOTS, OptionValue, Part
from harness.core.budget import PARAMS, Budget, Measure
from harness.core.space import Configuration, SearchSpace
from harness.counting.totals import Counts, Ints, Link, Table, Totals, below, draw
from harness.errors import BudgetError, InputError
from harness.models.costs import value
from harness.models.latency import LatencyTable
from harness.models.modules.part import Cost, Levels
from harness.models.wiring import backbone_widths, component, level_pixels, misfit, neck_widths

_TAIL = SLOTS[SLOTS.index("neck") + 1 :]
"""The slots whose input channels are the neck's output channels."""

BLOCK = 1 << 20
"""Number of configurations whose totals are held in one block."""

LISTED_AT_MOST = 100_000_000
"""Largest number of architectures that are listed for a budget of several bounds."""


def part_cost(slot: str, part: Part, inputs: Levels | None, size: int = 0) -> Cost | None:
    """Return a part's cost on maps with these channels, for a ``size`` × ``size`` image; None if it cannot be built.

    Raises:
        InputError: the part or an option is unknown, missing or not accepted.
    """
    component(slot, part)
    return _part_cost(slot, part, inputs, size)


@cache
def _part_cost(slot: str, part: Part, inputs: Levels | None, size: int) -> Cost | None:
    found = component(slot, part)
    if inputs is None:
        return found.cost((size, size), **part.option_dict())
    if misfit(slot, part, inputs) is not None:
        return None
    return found.cost(inputs, level_pixels(size, size), **part.option_dict())


@dataclass(frozen=True)
class Move:
    """A change of one axis: the parameters saved, and the new values of the axis and of axes that it switches on."""

    saving: int
    changed: Configuration

    def __str__(self) -> str:
        verb = f"saves {self.saving:,}" if self.saving >= 0 else f"costs {-self.saving:,}"
        return f"{', '.join(f'{name}={value}' for name, value in self.changed.items())} {verb}"


class SpaceCounts:
    """Exact counts of a space, and uniform draws from the configurations that fit a budget.

    Args:
        space: the space.
        latencies: latencies of all its parts; needed for budgets that bound latency.

    Attributes:
        space: the space.
        size: number of configurations.
        architectures: number of buildable architectures: configurations without the axes of ``train`` and ``distill``.
        buildable: number of configurations that can be built.

    Raises:
        InputError: an axis sets an unknown part or option, or a value that is not accepted.
    """

    def __init__(self, space: SearchSpace, latencies: LatencyTable | None = None) -> None:
        self.space = space
        self._latencies = latencies
        self.size = space.size()
        self._recipes = space.recipes()
        one: Counts = np.ones(1, np.int64) if self.size < 2**62 else np.ones(1, np.object_)
        self._nothing = Totals.of(np.zeros(1, np.int64), one)
        self._options = {
            slot: [(c, space.arch(c).parts()[slot]) for c in space.group_configurations(slot)] for slot in SLOTS
        }
        self._by_size: dict[int, list[Link]] = {}
        self._by_limit: dict[int, Counts] = {}
        self._fitting: dict[Budget, Ints] = {}
        self.architectures = sum(chain.architectures() for chain in self._chains(0))
        self.buildable = self.architectures * len(self._recipes)

    def _chains(self, size: int) -> list[Link]:
        """Return a chain for every combination of backbone and neck channels; MACs at ``size`` × ``size`` pixels."""
        if size not in self._by_size:
            self._by_size[size] = list(self._make_chains(size))
        return self._by_size[size]

    def _make_chains(self, size: int) -> Iterator[Link]:
        backbones: dict[Levels, list[tuple[Configuration, Part]]] = {}
        for chosen, part in self._options["backbone"]:
            backbones.setdefault(backbone_widths(part), []).append((chosen, part))
        necks: dict[int, list[tuple[Configuration, Part]]] = {}
        for chosen, part in self._options["neck"]:
            necks.setdefault(neck_widths(part)[0], []).append((chosen, part))
        tails = {width: self._tail(width, size) for width in necks}
        for inputs, parts in backbones.items():
            backbone = self._table("backbone", parts, None, size)
            attention = self._table("attention", self._options["attention"], inputs, size)
            for width, tail in tails.items():
                neck = Link(self._table("neck", necks[width], inputs, size), tail, shared=False)
                chain = Link(backbone, Link(attention, neck, shared=False), shared=False)
                if chain.architectures():
                    yield chain

    def _tail(self, width: int, size: int) -> Link:
        """Return the links after the neck, which all chains with a neck of ``width`` channels share."""
        after: Link | Totals = self._nothing
        for slot in reversed(_TAIL):
            after = Link(self._table(slot, self._options[slot], (width, width, width), size), after, shared=True)
        assert isinstance(after, Link)
        return after

    def _cost(self, slot: str, part: Part, inputs: Levels | None, size: int) -> Cost | None:
        """Return a part's cost, with its latency if that is known; None if it cannot be built."""
        cost = part_cost(slot, part, inputs, size)
        if cost is None or self._latencies is None:
            return cost
        return replace(cost, latency=self._latencies.part(slot, part, inputs))

    def _table(
        self, slot: str, options: Sequence[tuple[Configuration, Part]], inputs: Levels | None, size: int
    ) -> Table:
        """Return the table of a slot's configurations that can be built on maps with these channels."""
        rows = [(chosen, self._cost(slot, part, inputs, size)) for chosen, part in options]
        built = [(chosen, cost) for chosen, cost in rows if cost is not None]
        return Table([chosen for chosen, _ in built], [cost for _, cost in built])

    def _require_latencies(self, budget: Budget) -> None:
        if budget.max_latency_ratio is not None and self._latencies is None:
            raise ValueError("a bound on latency needs the latencies of the parts")

    def feasible(self, budget: Budget) -> int:
        """Return the number of configurations that can be built and fit the budget.

        Raises:
            InputError: the budget has several bounds, and the space is too large to list.
        """
        if len(budget.bounds) > 1:
            return len(self._positions(budget)) * len(self._recipes)
        return int(self._weights(budget.max_params).sum()) * len(self._recipes)

    def _weights(self, limit: int) -> Counts:
        """Return for each chain the number of architectures with at most ``limit`` parameters."""
        if limit not in self._by_limit:
            at = np.array([limit])
            found = [chain.fitting(PARAMS, at) for chain in self._chains(0)]
            self._by_limit[limit] = np.concatenate(found or [np.zeros(1, int)])
        return self._by_limit[limit]

    def totals(self, measure: Measure = PARAMS) -> Totals:
        """Return all distinct totals of buildable configurations, and the number of configurations with each.

        Raises:
            BudgetError: nothing in the space can be built.
        """
        self._require_buildable()
        whole = Totals.join(
            [self._with_tail(tail, chains, measure) for tail, chains in self._by_tail(measure.size).items()]
        )
        return Totals(whole.values, whole.counts * len(self._recipes), whole.up_to * len(self._recipes))

    def _by_tail(self, size: int) -> dict[Link, list[Link]]:
        """Return the first link after the neck → the chains that share it."""
        found: dict[Link, list[Link]] = {}
        for chain in self._chains(size):
            found.setdefault(chain.links()[-len(_TAIL)], []).append(chain)
        return found

    def _with_tail(self, tail: Link, chains: Sequence[Link], measure: Measure) -> Totals:
        """Return the totals of chains that share ``tail``: their other slots are joined before the tail is added."""
        heads = []
        for chain in chains:
            head = self._nothing
            for link in chain.links()[: -len(_TAIL)]:
                head = head.plus(link.table.values(measure))
            heads.append(head)
        whole = Totals.join(heads)
        for link in tail.links():
            whole = whole.plus(link.table.values(measure))
        return whole

    @cached_property
    def histogram(self) -> Totals:
        """The distinct numbers of parameters of buildable configurations, and how many configurations have each."""
        return self.totals()

    def _require_buildable(self) -> None:
        if self.buildable == 0:
            raise BudgetError(f"space '{self.space.name}': none of its {self.size:,} configurations can be built")

    @property
    def smallest(self) -> int:
        """The fewest parameters that a buildable configuration has.

        Raises:
            BudgetError: nothing in the space can be built.
        """
        return self.least(PARAMS)

    def least(self, measure: Measure) -> int:
        """Return the smallest value of ``measure`` among the buildable configurations.

        Raises:
            BudgetError: nothing in the space can be built.
        """
        self._require_buildable()
        return min(
            sum(int(link.table.values(measure).min()) for link in chain.links()) for chain in self._chains(measure.size)
        )

    def largest(self, budget: Budget | None = None) -> int:
        """Return the largest number of parameters of a buildable configuration, within the budget if one is given.

        Raises:
            BudgetError: nothing fits; the message gives the smallest possible count.
            InputError: the budget has several bounds, and the space is too large to list.
        """
        values = self.histogram.values
        if budget is None:
            return int(values[-1])
        if len(budget.bounds) > 1:
            self._require_feasible(budget)
            return int(self._params(self._positions(budget)).max())
        self._require_feasible(budget)
        return int(values[np.searchsorted(values, budget.max_params, side="right") - 1])

    def _require_feasible(self, budget: Budget) -> None:
        self._require_buildable()
        if self.feasible(budget):
            return
        least = [(self.least(measure), measure, limit) for measure, limit in budget.bounds]
        if len(least) == 1:
            what = f"its smallest configuration has {least[0][0]:,}"
        else:
            what = "the smallest values are " + ", ".join(measure.text(number) for number, measure, _ in least)
            if all(number <= limit for number, _, limit in least):
                what += "; each bound can be met, but not all of them by one configuration"
        raise BudgetError(f"space '{self.space.name}': nothing fits the budget of {budget}; {what}")

    def cost(self, configuration: Mapping[str, OptionValue], size: int = 0) -> Cost | None:
        """Return a configuration's cost, with MACs at ``size`` × ``size`` pixels; None if it cannot be built."""
        arch = self.space.arch(configuration)
        inputs, width = backbone_widths(arch.backbone), neck_widths(arch.neck)
        whole = Cost()
        for slot, part in arch.parts().items():
            met = None if slot == "backbone" else width if slot in _TAIL else inputs
            cost = self._cost(slot, part, met, size)
            if cost is None:
                return None
            whole += cost
        return whole

    def total(self, configuration: Mapping[str, OptionValue]) -> int | None:
        """Return a configuration's number of parameters; None if it cannot be built."""
        cost = self.cost(configuration)
        return None if cost is None else cost.params

    def is_feasible(self, configuration: Mapping[str, OptionValue], budget: Budget) -> bool:
        """Return whether a configuration of the space can be built and fits every bound of the budget."""
        self._require_latencies(budget)
        cost = self.cost(configuration, budget.macs_size)
        return cost is not None and all(value(cost, measure) <= limit for measure, limit in budget.bounds)

    def sample(self, budget: Budget, rng: np.random.Generator) -> Configuration:
        """Draw uniformly from the configurations that can be built and fit the budget.

        Raises:
            BudgetError: nothing fits; the message gives the smallest possible count.
            InputError: the budget has several bounds, and the space is too large to list.
        """
        if len(budget.bounds) > 1:
            self._require_feasible(budget)
            positions = self._positions(budget)
            position = int(positions[int(rng.integers(len(positions)))]) * len(self._recipes)
            return self.configuration(position + int(rng.integers(len(self._recipes))))
        weights = self._weights(budget.max_params)
        if not weights.sum():
            self._require_feasible(budget)
        chosen: Configuration = {}
        left = budget.max_params
        for link in self._chains(0)[draw(weights, rng)].links():
            row = draw(link.rows_fitting(PARAMS, np.array([left]))[0], rng)
            chosen.update(link.table.configurations[row])
            left -= int(link.table.values(PARAMS)[row])
        return self._ordered(chosen, below(len(self._recipes), rng))

    def _ordered(self, chosen: Configuration, recipe: int | None) -> Configuration:
        """Return a configuration with its axes in the space's order, without training axes if ``recipe`` is None."""
        whole = chosen if recipe is None else {**chosen, **self._recipes[recipe]}
        return {axis.name: whole[axis.name] for axis in self.space.axes if axis.name in whole}

    def listed(self, measure: Measure = PARAMS) -> Iterator[Ints]:
        """Yield the totals of all buildable configurations, in blocks; ``configuration`` returns the one at a position.

        The chains follow one another. Within a chain, training axes vary fastest, then the last slot, then the slot
        before it, and so on.
        """
        for block in self._blocks(measure):
            yield np.repeat(block, len(self._recipes))

    def _blocks(self, measure: Measure) -> Iterator[Ints]:
        """Yield the total of every architecture in the order of ``listed``, without training axes."""
        most = max(BLOCK // len(self._recipes), 1)
        for chain in self._chains(measure.size):
            values = [link.table.values(measure) for link in chain.links()]
            inner = values.pop()
            while values and len(values[-1]) * len(inner) <= most:
                inner = np.add.outer(values.pop(), inner).ravel()
            outer = np.zeros(1, np.int64)
            for table in values:
                outer = np.add.outer(outer, table).ravel()
            rows = max(most // len(inner), 1)
            for start in range(0, len(outer), rows):
                yield np.add.outer(outer[start : start + rows], inner).ravel()

    def configuration(self, position: int) -> Configuration:
        """Return the configuration at a position of ``listed``.

        Raises:
            IndexError: there are fewer configurations.
        """
        if not 0 <= position < self.buildable:
            raise IndexError(f"position {position:,} of {self.buildable:,} buildable configurations")
        architecture, recipe = divmod(position, len(self._recipes))
        return self._architecture(architecture, recipe)

    def _architecture(self, position: int, recipe: int | None) -> Configuration:
        chosen: Configuration = {}
        for chain in self._chains(0):
            if position >= chain.architectures():
                position -= chain.architectures()
                continue
            for link in chain.links():
                row, position = divmod(position, 1 if isinstance(link.rest, Totals) else link.rest.architectures())
                chosen.update(link.table.configurations[row])
            break
        return self._ordered(chosen, recipe)

    def within(self, budget: Budget) -> Iterator[Configuration]:
        """Yield every configuration that can be built and fits the budget, in the order of ``listed``.

        Raises:
            InputError: the space is too large to list.
        """
        for position in self._positions(budget):
            for recipe in range(len(self._recipes)):
                yield self._architecture(int(position), recipe)

    def _positions(self, budget: Budget) -> Ints:
        """Return the positions of the architectures that fit, in the list of those that can be built."""
        self._require_latencies(budget)
        if budget not in self._fitting:
            if self.architectures > LISTED_AT_MOST:
                raise InputError(
                    f"space '{self.space.name}' has {self.architectures:,} architectures that can be built; a budget "
                    f"of several bounds ({budget}) can be counted for at most {LISTED_AT_MOST:,}: "
                    "bound parameters only, or give axes fewer values"
                )
            found = []
            start = 0
            for blocks in zip(*(self._blocks(measure) for measure, _ in budget.bounds), strict=True):
                fits = [block <= limit for block, (_, limit) in zip(blocks, budget.bounds, strict=True)]
                found.append(start + np.flatnonzero(np.logical_and.reduce(fits)))
                start += len(blocks[0])
            self._fitting[budget] = np.concatenate(found or [np.zeros(0, np.int64)])
        return self._fitting[budget]

    def _params(self, positions: Ints) -> Ints:
        """Return the number of parameters of the architectures at ``positions``, which are ascending."""
        found, start = [], 0
        for block in self._blocks(PARAMS):
            inside = positions[np.searchsorted(positions, start) : np.searchsorted(positions, start + len(block))]
            found.append(block[inside - start])
            start += len(block)
        return np.concatenate(found)

    def nearest(self, budget: Budget, count: int) -> list[tuple[int, Configuration]]:
        """Return up to ``count`` in-budget architectures with the most parameters, largest first, with their totals.

        Axes of ``train`` and ``distill`` are left out, because they do not change what is built. Equal totals come in
        the order of ``listed``.

        Raises:
            BudgetError: nothing fits; the message gives the smallest possible count.
            InputError: the budget has several bounds, and the space is too large to list.
        """
        self._require_feasible(budget)
        if len(budget.bounds) > 1:
            positions = self._positions(budget)
            params = self._params(positions)
            order = np.argsort(-params, kind="stable")[:count]
            return [(int(params[i]), self._architecture(int(positions[i]), None)) for i in order]
        values = self.histogram.values
        position = int(np.searchsorted(values, budget.max_params, side="right"))
        found: list[tuple[int, Configuration]] = []
        while position > 0 and len(found) < count:
            position -= 1
            total = int(values[position])
            found += [(total, c) for c in itertools.islice(self._with_total(total), count - len(found))]
        return found

    def over(self, budget: Budget) -> tuple[int, Configuration] | None:
        """Return the smallest number of parameters over the budget and the first architecture with it, or None."""
        values = self.histogram.values
        position = int(np.searchsorted(values, budget.max_params, side="right"))
        if position == len(values):
            return None
        return int(values[position]), next(self._with_total(int(values[position])))

    def moves(self, configuration: Configuration, budget: Budget) -> list[Move]:
        """Return the changes of one axis that bring a configuration within every bound, smallest saving first.

        If the axis chooses a part with further axes, each combination of their values is a separate move.
        """
        before = self.total(configuration)
        if before is None:
            return []
        found = []
        for group in SLOTS:
            here = {name: value for name, value in configuration.items() if name.startswith(f"{group}.")}
            rest = {name: value for name, value in configuration.items() if name not in here}
            for other, _ in self._options[group]:
                if self._one_axis_apart(here, other) and self.is_feasible({**rest, **other}, budget):
                    changed = {name: value for name, value in other.items() if here.get(name) != value}
                    found.append(Move(before - (self.total({**rest, **other}) or 0), changed))
        return sorted(found, key=lambda move: (move.saving, str(move.changed)))

    def _one_axis_apart(self, here: Configuration, other: Configuration) -> bool:
        """Return whether two configurations of a group differ in one axis, and otherwise in axes that it switches."""
        differing = [name for name in here.keys() & other.keys() if here[name] != other[name]]
        if len(differing) != 1:
            return False
        switched = (self.space.axis(name).when for name in here.keys() ^ other.keys())
        return all(when is not None and when.axis == differing[0] for when in switched)

    def _with_total(self, total: int) -> Iterator[Configuration]:
        """Yield the architectures with exactly ``total`` parameters."""

        def completions(links: Sequence[Link], left: int) -> Iterator[Configuration]:
            if not links:
                yield {}
                return
            values = links[0].table.values(PARAMS)
            for row in np.flatnonzero(links[0].rows_reaching(PARAMS, np.array([left]))[0]):
                for rest in completions(links[1:], left - int(values[row])):
                    yield {**links[0].table.configurations[row], **rest}

        for chain in self._chains(0):
            for chosen in completions(chain.links(), total):
                yield self._ordered(chosen, None)
