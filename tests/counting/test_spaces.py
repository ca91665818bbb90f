"""Exact counts of whole spaces against plain enumeration, and uniform draws."""

import time
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from harness.arch import ARCHS, SLOTS, Part
from harness.builder import build
from harness.counting import SpaceCounts, count
from harness.counting.spaces import _part_params
from harness.errors import BudgetError, InputError
from harness.modules.part import Levels
from harness.names import load_space, space_names
from harness.protocol import Budget
from harness.space import Choice, Configuration, IntRange, SearchSpace, When
from harness.wiring import REGISTRIES, inputs_of

SMALL = SearchSpace(
    "small",
    "every kind of dependency at once",
    ARCHS["v2"],
    (
        Choice("backbone.width", (0.125, 0.25)),
        Choice("attention.name", ("none", "se")),
        Choice("attention.reduction", (8, 64), When("attention.name", ("se",))),
        IntRange("neck.channels", 28, 36, 4),
        IntRange("neck.repeats", 1, 2),
        Choice("context.name", ("none", "ssh_grouped")),
        Choice("context.groups", (1, 3, 4), When("context.name", ("ssh_grouped",))),
        Choice("shuffle.groups", (2, 4)),
        Choice("head.trunk", ("none", "conv")),
        Choice("distill.alpha", (0.0, 0.7)),
        Choice("distill.temperature", (2.0, 4.0), When("distill.alpha", (0.7,))),
    ),
)


def _by_enumeration(space: SearchSpace) -> list[tuple[int | None, Configuration]]:
    found: list[tuple[int | None, Configuration]] = []
    for configuration in space.enumerate():
        try:
            found.append((count(space.arch(configuration)), configuration))
        except InputError:
            found.append((None, configuration))
    return found


@pytest.mark.parametrize("space", [SMALL, load_space("v1_to_v2")], ids=lambda s: s.name)
def test_counts_equal_plain_enumeration(space: SearchSpace) -> None:
    counts, rows = SpaceCounts(space), _by_enumeration(space)
    totals = [params for params, _ in rows if params is not None]
    assert counts.size == len(rows)
    assert counts.buildable == len(totals)
    assert 0 < len(totals) < len(rows)
    assert counts.smallest == min(totals)
    assert counts.largest() == max(totals)
    histogram = dict(zip(counts.histogram.values.tolist(), counts.histogram.counts.tolist(), strict=True))
    assert histogram == dict(Counter(totals))
    for limit in (min(totals) - 1, min(totals), 150_000, 256_148, max(totals) - 1, max(totals)):
        assert counts.feasible(Budget(limit)) == sum(params <= limit for params in totals)
        if limit >= min(totals):
            assert counts.largest(Budget(limit)) == max(params for params in totals if params <= limit)
    for params, configuration in rows[::7]:
        assert counts.total(configuration) == params
        assert counts.is_feasible(configuration, Budget()) == (params is not None and params <= 256_148)


def test_nearest_lists_the_largest_architectures_that_fit() -> None:
    counts = SpaceCounts(SMALL)
    best: dict[str, int] = {}
    for params, configuration in _by_enumeration(SMALL):
        if params is not None and params <= 256_148:
            best[str(SMALL.arch(configuration))] = params
    expected = sorted(best.values(), reverse=True)[:25]
    nearest = counts.nearest(Budget(), 25)
    assert [params for params, _ in nearest] == expected
    assert len({str(SMALL.arch(configuration)) for _, configuration in nearest}) == 25
    assert all(count(SMALL.arch(configuration)) == params for params, configuration in nearest)
    assert len(counts.nearest(Budget(), 10**6)) == len(best)


def test_draws_are_uniform_over_what_fits() -> None:
    counts, budget = SpaceCounts(SMALL), Budget(251_000)
    fitting = [str(c) for params, c in _by_enumeration(SMALL) if params is not None and params <= 251_000]
    rng = np.random.default_rng(0)
    drawn = Counter(str(counts.sample(budget, rng)) for _ in range(20 * len(fitting)))
    assert set(drawn) <= set(fitting)
    assert len(fitting) == counts.feasible(budget)
    assert chisquare([drawn[key] for key in fitting]).pvalue > 1e-3


def test_the_same_generator_draws_the_same() -> None:
    counts = SpaceCounts(load_space("v2_light"))
    first, second = ([counts.sample(Budget(), rng) for _ in range(20)] for rng in map(np.random.default_rng, (5, 5)))
    assert first == second


def test_nothing_fits() -> None:
    counts = SpaceCounts(SMALL)
    smallest = f"its smallest configuration has {counts.smallest:,}"
    assert counts.feasible(Budget(1_000)) == 0
    for attempt in (
        lambda: counts.sample(Budget(1_000), np.random.default_rng(0)),
        lambda: counts.largest(Budget(1_000)),
        lambda: counts.nearest(Budget(1_000), 1),
    ):
        with pytest.raises(BudgetError, match=f"nothing fits the budget of 1,000 parameters; {smallest}"):
            attempt()


def test_nothing_can_be_built() -> None:
    counts = SpaceCounts(SearchSpace("odd", "", ARCHS["v2"], (Choice("neck.channels", (30, 34)),)))
    assert (counts.size, counts.buildable, counts.feasible(Budget())) == (2, 0, 0)
    with pytest.raises(BudgetError, match="none of its 2 configurations can be built"):
        counts.sample(Budget(), np.random.default_rng(0))


@pytest.mark.parametrize("axis", [Choice("neck.width", (1,)), Choice("attention.name", ("cbam_minus",))], ids=str)
def test_an_axis_that_sets_nothing_is_refused(axis: Choice) -> None:
    with pytest.raises(InputError, match="unknown"):
        SpaceCounts(SearchSpace("wrong", "", ARCHS["v2"], (axis,)))


@cache
def _numel(slot: str, part: Part, inputs: Levels | None) -> int:
    """Parameters of a part that is really constructed, without memory."""
    found = REGISTRIES[slot][part.name].item
    with torch.device("meta"):
        module = found.module(*(() if inputs is None else (inputs,)), **part.option_dict())
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", space_names())
def test_closed_form_equals_numel_for_random_configurations(name: str) -> None:
    space = load_space(name)
    counts, rng = SpaceCounts(space), np.random.default_rng(0)
    for position in range(1_000):
        configuration = counts.sample(Budget(10**9), rng)
        arch = space.arch(configuration)
        numel = 0
        for slot, chosen in arch.parts().items():
            inputs = None if slot == "backbone" else inputs_of(slot, arch.backbone, arch.neck)
            numel += _numel(slot, chosen, inputs)
        assert counts.total(configuration) == numel
        assert space.contains(configuration)
        if position % 100 == 0:
            with torch.device("meta"):
                assert sum(p.numel() for p in build(arch).parameters()) == numel == count(arch)


@pytest.mark.parametrize("name", space_names())
def test_a_space_is_counted_in_milliseconds(name: str) -> None:
    _part_params.cache_clear()
    started = time.process_time()
    SpaceCounts(load_space(name)).feasible(Budget())
    assert time.process_time() - started < 0.5


def test_a_space_too_large_for_its_counts_is_refused() -> None:
    axes = (
        IntRange("attention.reduction", 1, 10**4),
        IntRange("neck_attention.reduction", 1, 10**4),
        IntRange("context.groups", 1, 10**4),
        IntRange("shuffle.groups", 1, 10**4),
        IntRange("neck.channels", 4, 10**4),
    )
    with pytest.raises(InputError, match=r"2\^62 is the most"):
        SpaceCounts(SearchSpace("huge", "", ARCHS["v2"], axes))


def test_slots_before_and_after_the_neck_meet_its_two_sides() -> None:
    arch = ARCHS["v2"]
    meets = {slot: inputs_of(slot, arch.backbone, arch.neck) for slot in SLOTS[1:]}
    assert meets["attention"] == meets["neck"] == (64, 128, 256)
    assert {meets[slot] for slot in SLOTS[3:]} == {(32, 32, 32)}
