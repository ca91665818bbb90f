"""Costs of an architecture from closed forms. No tensor is created."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness.core.arch import ArchConfig, OptionValue, Part
from harness.core.budget import LATENCY, PARAMS, Budget, Measure
from harness.errors import BudgetError, InputError
from harness.models.modules.part import Cost
from harness.models.wiring import REGISTRIES, component, resolve


def costs(arch: ArchConfig, height: int = 0, width: int = 0) -> dict[str, Cost]:
    """Return slot → cost, with MACs for one image of ``height`` × ``width`` pixels.

    Raises:
        InputError: the architecture cannot be built.
    """
    return {slot: step.cost(height, width) for slot, step in resolve(arch).items()}


def measured(arch: ArchConfig, measure: Measure) -> dict[str, int]:
    """Return slot → value of ``measure``.

    Raises:
        InputError: the architecture cannot be built.
    """
    return {slot: value(cost, measure) for slot, cost in costs(arch, measure.size, measure.size).items()}


def value(cost: Cost, measure: Measure) -> int:
    """Return the value of ``measure`` of a cost."""
    number: int = getattr(cost, measure.name)
    return number


def count_parts(arch: ArchConfig) -> dict[str, int]:
    """Return slot → parameters.

    Raises:
        InputError: the architecture cannot be built.
    """
    return measured(arch, PARAMS)


def count(arch: ArchConfig) -> int:
    """Return the number of parameters.

    Raises:
        InputError: the architecture cannot be built.
    """
    return sum(count_parts(arch).values())


def macs(arch: ArchConfig, height: int, width: int) -> dict[str, int]:
    """Return slot → MACs of its convolutions and linears for one image of ``height`` × ``width`` pixels.

    Raises:
        InputError: the architecture cannot be built.
    """
    return {slot: cost.macs for slot, cost in costs(arch, height, width).items()}


def shares(parts: Mapping[str, int]) -> str:
    """Return ``backbone 79 %, neck 10 %, …``, largest first, without parts below 0.5 %."""
    whole = sum(parts.values())
    ranked = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{slot} {100 * n / whole:.0f} %" for slot, n in ranked if n >= 0.005 * whole)


@dataclass(frozen=True, order=True)
class Change:
    """A change of one option or part: the saving, the change as text, and its slot."""

    saving: int
    text: str
    slot: str


def _alternatives(slot: str, part: Part) -> Iterator[tuple[str, Part]]:
    """Yield ``none`` and the parts that differ from ``part`` in one option, each with the change as text."""
    names = {entry.name for entry in REGISTRIES[slot]}
    if "none" in names and part.name != "none":
        yield f"{slot}=none", Part("none")
    for name, value in part.options:
        option = component(slot, part).option(name)
        if option is None:
            continue
        near: Iterable[OptionValue] = option.values
        if type(value) is int:
            near = {value - 1, value // 2, 2 * value, 4 * value, *range(8, value, 8)}
        for other in near:
            if other != value and option.accepts(other):
                yield f"{slot}.{name}={other}", Part(part.name, tuple({**part.option_dict(), name: other}.items()))


def savings(arch: ArchConfig, measure: Measure = PARAMS) -> list[Change]:
    """Return every change of one option, or removal of one part, that saves something; smallest saving first.

    Raises:
        InputError: the architecture cannot be built.
    """
    whole = sum(measured(arch, measure).values())
    found: list[Change] = []
    for slot, part in arch.parts().items():
        for text, other in _alternatives(slot, part):
            try:
                saving = whole - sum(measured(replace(arch, **{slot: other}), measure).values())
            except InputError:
                continue
            if saving > 0:
                found.append(Change(saving, text, slot))
    return sorted(found)


def hints(arch: ArchConfig, excess: int, measure: Measure = PARAMS, most: int = 3) -> str:
    """Return ``most`` changes as text: each slot's smallest that saves ``excess``, or the largest if none does."""
    changes = savings(arch, measure)
    enough = {change.slot: change for change in reversed(changes) if change.saving >= excess}
    if enough:
        return ", ".join(f"{change.text} saves {change.saving:,}" for change in sorted(enough.values())[:most])
    largest = {change.slot: change for change in changes}
    texts = [f"{change.text} saves {change.saving:,}" for change in sorted(largest.values(), reverse=True)[:most]]
    return f"no single change is enough ({', '.join(texts)})" if texts else "no change of one option saves anything"


@dataclass(frozen=True)
class Broken:
    """A bound that an architecture exceeds: the value of each slot, the limit, and as text changes that save enough."""

    measure: Measure
    parts: dict[str, int]
    limit: int
    hints: str

    @property
    def total(self) -> int:
        """Return the architecture's value."""
        return sum(self.parts.values())

    @property
    def excess(self) -> int:
        """Return by how much the value exceeds the limit."""
        return self.total - self.limit

    def __str__(self) -> str:
        return (
            f"{self.total:,} {self.measure}, {self.excess:,} over the budget of {self.limit:,} "
            f"({shares(self.parts)}); {self.hints}"
        )


def broken(arch: ArchConfig, budget: Budget) -> list[Broken]:
    """Return every bound of the budget that an architecture exceeds, except one on latency, which has no closed form.

    Raises:
        InputError: the architecture cannot be built.
    """
    found = []
    for measure, limit in budget.bounds:
        if measure == LATENCY:
            continue
        parts = measured(arch, measure)
        excess = sum(parts.values()) - limit
        if excess > 0:
            found.append(Broken(measure, parts, limit, hints(arch, excess, measure)))
    return found


def check_budget(arch: ArchConfig, budget: Budget, name: str = "") -> None:
    """Raise an error if an architecture exceeds the budget, except for a bound on latency.

    Raises:
        InputError: the architecture cannot be built.
        BudgetError: it is over the budget. For every exceeded bound, the message gives the total, the excess, the
            shares of its parts, and changes that save enough.
    """
    problems = broken(arch, budget)
    if problems:
        raise BudgetError(f"{name or arch} has {'; and '.join(map(str, problems))}")
