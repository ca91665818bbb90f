"""Combinations of V1's and V2's parts, their exact counts, and Shapley values over them.

Of the 2^5 combinations, some cannot be built: V2's context and shuffle have grouped convolutions, whose groups divide
the channels of V2's neck and not those of V1's. A Shapley value (A Value for n-Person Games, 1953) averages what a part
adds over all orders in which the parts may be exchanged. Here only the orders count whose every step can be built: the
Shapley value under precedence constraints (Faigle and Kern, International Journal of Game Theory 21, 1992). The values
of the parts still add up to the difference between V1 and V2.
"""

from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from itertools import combinations, permutations

from harness.core.arch import ArchConfig
from harness.core.arms import EXCHANGED, exchanged
from harness.errors import InputError
from harness.models.builder import validate

Chosen = frozenset[str]
"""The parts that are V2's."""


def every_combination() -> Iterator[tuple[Chosen, ArchConfig, str]]:
    """Yield all 2^5 combinations, V1 first and V2 last, with the reason why one cannot be built, empty if it can."""
    for size in range(len(EXCHANGED) + 1):
        for parts in combinations(EXCHANGED, size):
            arch = exchanged(parts).arch
            try:
                validate(arch)
            except InputError as error:
                yield frozenset(parts), arch, str(error)
            else:
                yield frozenset(parts), arch, ""


def buildable() -> dict[Chosen, ArchConfig]:
    """Return the combinations that can be built."""
    return {parts: arch for parts, arch, reason in every_combination() if not reason}


def orders(known: Collection[Chosen]) -> list[tuple[str, ...]]:
    """Return the orders of ``EXCHANGED`` in which every step from V1 to V2 is one of the combinations ``known``."""
    return [
        order
        for order in permutations(EXCHANGED)
        if all(frozenset(order[:step]) in known for step in range(len(order) + 1))
    ]


def coefficients(known: Collection[Chosen]) -> dict[str, dict[Chosen, Fraction]]:
    """Return part → combination → its factor in the part's Shapley value; empty if the combinations contain no order.

    Args:
        known: the combinations that have a value. If they are not all that can be built, the average is over the orders
            that they contain.
    """
    paths = orders(known)
    found: dict[str, dict[Chosen, Fraction]] = {part: {} for part in EXCHANGED} if paths else {}
    for order in paths:
        for step, part in enumerate(order):
            before = frozenset(order[:step])
            for combination, sign in ((before, -1), (before | {part}, 1)):
                factor = found[part].get(combination, Fraction(0))
                found[part][combination] = factor + Fraction(sign, len(paths))
    return found


def shapley(values: Mapping[Chosen, int]) -> dict[str, Fraction]:
    """Return part → exact Shapley value, of the combinations' values.

    The values of the parts add up to the value of V2 less that of V1.
    """
    return {
        part: sum((factor * values[parts] for parts, factor in factors.items()), Fraction(0))
        for part, factors in coefficients(values).items()
    }
