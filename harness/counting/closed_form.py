"""What an architecture costs, from closed forms: no tensor is made unless counters are compared."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness.arch import ArchConfig, OptionValue, Part
from harness.errors import BudgetError, InputError
from harness.protocol import Budget
from harness.wiring import REGISTRIES, component, resolve


def count_parts(arch: ArchConfig) -> dict[str, int]:
    """Return slot → parameters.

    Raises:
        InputError: the architecture cannot be built.
    """
    return {slot: step.cost(0, 0).params for slot, step in resolve(arch).items()}


def count(arch: ArchConfig) -> int:
    """Return the number of parameters.

    Raises:
        InputError: the architecture cannot be built.
    """
    return sum(count_parts(arch).values())


def macs(arch: ArchConfig, height: int, width: int) -> dict[str, int]:
    """Return slot → multiply-adds of its convolutions and linears on one image of ``height`` × ``width`` pixels.

    Raises:
        InputError: the architecture cannot be built.
    """
    return {slot: step.cost(height, width).macs for slot, step in resolve(arch).items()}


def shares(parts: Mapping[str, int]) -> str:
    """Return ``backbone 79 %, neck 10 %, …``, largest first, without parts below half a per cent."""
    whole = sum(parts.values())
    ranked = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{slot} {100 * n / whole:.0f} %" for slot, n in ranked if n >= 0.005 * whole)


@dataclass(frozen=True, order=True)
class Change:
    """One option or part changed: how many parameters that saves, and how it is written."""

    saving: int
    text: str
    slot: str


def _alternatives(slot: str, part: Part) -> Iterator[tuple[str, Part]]:
    """Yield the parts that differ from ``part`` in one option, or have the slot left empty, with how it is written."""
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


def savings(arch: ArchConfig) -> list[Change]:
    """Return every single change of an option that saves parameters, and every part left out, smallest saving first.

    Raises:
        InputError: the architecture cannot be built.
    """
    whole = count(arch)
    found: list[Change] = []
    for slot, part in arch.parts().items():
        for text, other in _alternatives(slot, part):
            try:
                saving = whole - count(replace(arch, **{slot: other}))
            except InputError:
                continue
            if saving > 0:
                found.append(Change(saving, text, slot))
    return sorted(found)


def hints(arch: ArchConfig, excess: int, most: int = 3) -> str:
    """Return the smallest change of each slot that saves ``excess`` parameters, or the largest there are."""
    changes = savings(arch)
    enough = {change.slot: change for change in reversed(changes) if change.saving >= excess}
    if enough:
        return ", ".join(f"{change.text} saves {change.saving:,}" for change in sorted(enough.values())[:most])
    largest = {change.slot: change for change in changes}
    texts = [f"{change.text} saves {change.saving:,}" for change in sorted(largest.values(), reverse=True)[:most]]
    return f"no single change is enough ({', '.join(texts)})" if texts else "no option of it saves anything"


def check_budget(arch: ArchConfig, budget: Budget, name: str = "") -> None:
    """Refuse an architecture that has more parameters than the budget allows.

    Raises:
        InputError: the architecture cannot be built.
        BudgetError: it is over the budget; the message holds the total, the excess, the parts, and changes that would
            bring it under.
    """
    parts = count_parts(arch)
    excess = sum(parts.values()) - budget.max_params
    if excess > 0:
        raise BudgetError(
            f"{name or arch} has {sum(parts.values()):,} parameters, {excess:,} over the budget of "
            f"{budget.max_params:,} ({shares(parts)}); {hints(arch, excess)}"
        )
