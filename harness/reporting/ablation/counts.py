"""Exact parameters and MACs of every combination of V1's and V2's parts, and what each part contributes to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from harness.counting.combinations import Chosen, buildable, every_combination, orders, shapley
from harness.models.costs import count, macs


@dataclass(frozen=True)
class Counts:
    """Exact counts of the combinations of V1's and V2's parts.

    Attributes:
        params, macs: combination that can be built → parameters; MACs for an image of ``size`` × ``size`` pixels.
        refused: combination that cannot be built → the reason.
    """

    params: Mapping[Chosen, int]
    macs: Mapping[Chosen, int]
    size: int
    refused: Mapping[Chosen, str]

    @property
    def orders(self) -> int:
        """Return the number of orders in which V1's parts can be exchanged for V2's."""
        return len(orders(self.params))

    @cached_property
    def parts(self) -> dict[str, dict[str, Fraction]]:
        """``params`` and ``macs`` → part → exact Shapley value."""
        return {"params": shapley(self.params), "macs": shapley(self.macs)}


def counts(size: int) -> Counts:
    """Return the exact counts; MACs are for an image of ``size`` × ``size`` pixels."""
    known = buildable()
    return Counts(
        {parts: count(arch) for parts, arch in known.items()},
        {parts: sum(macs(arch, size, size).values()) for parts, arch in known.items()},
        size,
        {parts: reason for parts, _, reason in every_combination() if reason},
    )
