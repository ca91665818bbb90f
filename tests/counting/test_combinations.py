"""Combinations of V1's and V2's parts, and their Shapley values, against networks that are built."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations, permutations

import pytest
import torch

from harness.core.arch import ARCHS, ArchConfig
from harness.core.arms import EXCHANGED, exchanged
from harness.counting.combinations import buildable, coefficients, every_combination, orders, shapley
from harness.errors import InputError
from harness.models.builder import build
from harness.models.costs import count, macs

PARTS = ("attention", "neck", "context", "shuffle", "head")
V1, V2 = 487_103, 256_156


@cache
def built(new: frozenset[str]) -> int | None:
    """Return the parameters of a network that is built, or None if it cannot be."""
    one, other = ARCHS["v1"], ARCHS["v2"]
    arch = ArchConfig(
        backbone=one.backbone,
        attention=(other if "attention" in new else one).attention,
        neck=(other if "neck" in new else one).neck,
        neck_attention=(other if "attention" in new else one).neck_attention,
        context=(other if "context" in new else one).context,
        shuffle=(other if "shuffle" in new else one).shuffle,
        head=(other if "head" in new else one).head,
    )
    try:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in build(arch).parameters())
    except InputError:
        return None


def brute_force(value: Callable[[frozenset[str]], int | None]) -> dict[str, Fraction]:
    """Average what each part adds over all 5! orders, without those in which a step has no value."""
    added: dict[str, list[int]] = {part: [] for part in PARTS}
    for order in permutations(PARTS):
        steps = [value(frozenset(order[:step])) for step in range(len(order) + 1)]
        known = [step for step in steps if step is not None]
        if len(known) == len(steps):
            for part, before, after in zip(order, known, known[1:], strict=False):
                added[part].append(after - before)
    return {part: Fraction(sum(values), len(values)) for part, values in added.items()}


def test_the_parts_are_the_documented_ones() -> None:
    assert EXCHANGED == PARTS
    assert exchanged(()).arch == ARCHS["v1"]
    assert exchanged(PARTS).arch == ARCHS["v2"]


def test_twelve_of_the_combinations_cannot_be_built() -> None:
    """Those with V2's context or shuffle on the 74 channels of V1's neck."""
    found = {parts: reason for parts, _, reason in every_combination()}
    assert len(found) == 32
    refused = {parts for parts, reason in found.items() if reason}
    assert refused == {parts for parts in found if parts & {"context", "shuffle"} and "neck" not in parts}
    assert len(refused) == 12
    assert all("channels" in found[parts] for parts in refused)
    assert {parts for size in range(6) for parts in map(frozenset, combinations(PARTS, size))} == set(found)
    assert {parts for parts in found if built(parts) is not None} == set(buildable())


def test_the_parameters_are_divided_exactly() -> None:
    found = shapley({parts: count(arch) for parts, arch in buildable().items()})
    assert sum(found.values()) == V2 - V1 == -230_947
    assert found == brute_force(built)
    assert found == {
        "attention": Fraction(4421, 2),
        "neck": Fraction(-425131, 2),
        "context": Fraction(-21_648),
        "shuffle": Fraction(1_056),
        "head": Fraction(0),
    }


def test_the_macs_are_divided_exactly() -> None:
    values = {parts: sum(macs(arch, 640, 640).values()) for parts, arch in buildable().items()}
    found = shapley(values)
    assert sum(found.values()) == 410_568_000 - 966_997_688
    assert found == brute_force(values.get)


def test_only_orders_that_can_be_built_count() -> None:
    known = buildable()
    found = orders(known)
    assert len(found) == 40
    assert all(order.index("neck") < min(order.index("context"), order.index("shuffle")) for order in found)


def test_a_chain_of_networks_gives_its_own_steps() -> None:
    """With the networks of one order, a value is one difference; without a whole order there is none."""
    chain = [frozenset(PARTS[:step]) for step in range(6)]
    assert coefficients(chain)["neck"] == {chain[1]: -1, chain[2]: 1}
    assert coefficients(chain[:-1]) == {}


@pytest.mark.parametrize("part", PARTS)
def test_the_factors_of_a_part_add_up_to_zero(part: str) -> None:
    factors = coefficients(buildable())[part]
    assert sum(factors.values()) == 0
    assert sum(factor for parts, factor in factors.items() if part in parts) == 1
