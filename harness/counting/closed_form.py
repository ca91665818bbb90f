"""What an architecture costs, from closed forms: no tensor is made unless counters are compared."""

from collections.abc import Mapping

from harness.arch import ArchConfig
from harness.errors import BudgetError
from harness.protocol import Budget
from harness.wiring import resolve


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
            f"{budget.max_params:,} ({shares(parts)})"
        )
