"""Exact counts of whole spaces against plain enumeration, and uniform draws."""

import itertools
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare

from harness.core.arch import ARCHS, MOBILENET_STAGES, SLOTS, Part
from harness.core.budget import PARAMS, Budget, Measure
from harness.core.names import load_space, space_names
from harness.core.space import Choice, Configuration, IntRange, SearchSpace, When
from harness.counting import SpaceCounts
from harness.counting.spaces import _part_cost, part_cost
from harness.counting.totals import Totals, below
from harness.errors import BudgetError, InputError
from harness.models.builder import build
from harness.models.costs import check_budget, costs, count
from harness.models.modules.part import Cost, Levels
from harness.models.wiring import REGISTRIES, backbone_widths, inputs_of, neck_widths

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


STAGED = SearchSpace(
    "staged",
    "several backbones of equal widths, and several widths",
    replace(ARCHS["v2"], backbone=MOBILENET_STAGES),
    (
        IntRange("backbone.width_p3", 32, 64, 32),
        IntRange("backbone.width_p5", 96, 128, 32),
        IntRange("backbone.depth_p2", 1, 2),
        IntRange("backbone.depth_p4", 1, 5, 2),
        Choice("attention.name", ("none", "se")),
        # At most widths, 32 and 64 give the same hidden width: equal totals in one table.
        Choice("attention.reduction", (32, 64), When("attention.name", ("se",))),
        Choice("neck.channels", (24, 30, 32)),
        Choice("context.name", ("none", "ssh_grouped")),
        Choice("context.groups", (1, 4), When("context.name", ("ssh_grouped",))),
        Choice("shuffle.groups", (1, 4)),
        Choice("distill.alpha", (0.0, 0.7)),
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


@pytest.mark.parametrize("space", [SMALL, STAGED, load_space("v1_to_v2")], ids=lambda s: s.name)
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
        assert sum(1 for _ in counts.within(Budget(limit))) == sum(params <= limit for params in totals)
        if limit >= min(totals):
            assert counts.largest(Budget(limit)) == max(params for params in totals if params <= limit)
    for params, configuration in rows[::7]:
        assert counts.total(configuration) == params
        assert counts.is_feasible(configuration, Budget()) == (params is not None and params <= 256_148)


@pytest.mark.parametrize("space", [SMALL, STAGED], ids=lambda s: s.name)
def test_nearest_lists_the_largest_architectures_that_fit(space: SearchSpace) -> None:
    counts, budget = SpaceCounts(space), Budget(256_148 if space is SMALL else 125_000)
    best: dict[str, int] = {}
    for params, configuration in _by_enumeration(space):
        if params is not None and params <= budget.max_params:
            best[str(space.arch(configuration))] = params
    expected = sorted(best.values(), reverse=True)[:25]
    nearest = counts.nearest(budget, 25)
    assert [params for params, _ in nearest] == expected
    assert len({str(space.arch(configuration)) for _, configuration in nearest}) == 25
    assert all(count(space.arch(configuration)) == params for params, configuration in nearest)
    assert len(counts.nearest(budget, 10**6)) == len(best)


@pytest.mark.slow
@pytest.mark.parametrize(("space", "limit"), [(SMALL, 251_000), (STAGED, 76_000)], ids=["small", "staged"])
def test_draws_are_uniform_over_what_fits(space: SearchSpace, limit: int) -> None:
    counts, budget = SpaceCounts(space), Budget(limit)
    fitting = [str(c) for params, c in _by_enumeration(space) if params is not None and params <= limit]
    assert len(fitting) > 50
    rng = np.random.default_rng(0)
    drawn = Counter(str(counts.sample(budget, rng)) for _ in range(20 * len(fitting)))
    assert set(drawn) <= set(fitting)
    assert len(fitting) == counts.feasible(budget)
    assert chisquare([drawn[key] for key in fitting]).pvalue > 1e-3


def test_the_same_generator_draws_the_same() -> None:
    counts = SpaceCounts(load_space("v2_light"))
    first, second = ([counts.sample(Budget(), rng) for _ in range(20)] for rng in map(np.random.default_rng, (5, 5)))
    assert first == second


@pytest.mark.parametrize("space", [SMALL, STAGED, load_space("v2_light")], ids=lambda s: s.name)
def test_every_configuration_is_listed_with_its_total(space: SearchSpace) -> None:
    counts = SpaceCounts(space)
    macs = Measure("macs", 96)
    listed, adds = (np.concatenate(list(counts.listed(measure))) for measure in (PARAMS, macs))
    assert len(listed) == counts.buildable
    assert np.array_equal(Totals.of(listed, np.ones_like(listed)).counts, counts.histogram.counts)
    if space in (SMALL, STAGED):
        buildable = {str(c) for params, c in _by_enumeration(space) if params is not None}
        assert {str(counts.configuration(position)) for position in range(len(listed))} == buildable
    for position in np.random.default_rng(0).integers(len(listed), size=100).tolist():
        configuration = counts.configuration(position)
        assert space.contains(configuration)
        cost = counts.cost(configuration, 96)
        assert cost is not None
        assert (cost.params, cost.macs) == (listed[position], adds[position])
    with pytest.raises(IndexError):
        counts.configuration(counts.buildable)


@pytest.mark.parametrize(
    "budget",
    [
        Budget(300_000, max_macs=8_900_000, macs_size=96),
        Budget(300_000, max_with_buffers=255_000),
        Budget(300_000, max_deployed=245_000),
        Budget(300_000, max_bytes=1_050_000),
        Budget(256_148, max_deployed=250_000, max_macs=9_700_000, macs_size=96, max_bytes=1_060_000),
    ],
    ids=str,
)
def test_a_budget_of_several_bounds_is_counted_and_sampled_exactly(budget: Budget) -> None:
    counts = SpaceCounts(SMALL)
    fitting: dict[str, int] = {}
    for params, configuration in _by_enumeration(SMALL):
        if params is None:
            continue
        whole = sum(costs(SMALL.arch(configuration), 96, 96).values(), Cost())
        fits = (
            params <= budget.max_params
            and whole.with_buffers <= (budget.max_with_buffers or 10**9)
            and whole.deployed <= (budget.max_deployed or 10**9)
            and whole.macs <= (budget.max_macs or 10**9)
            and whole.bytes <= (budget.max_bytes or 10**9)
        )
        assert counts.is_feasible(configuration, budget) == fits
        if fits:
            fitting[str(configuration)] = params
    assert 20 < len(fitting) < counts.feasible(Budget(budget.max_params))
    assert counts.feasible(budget) == len(fitting)
    assert sorted(map(str, counts.within(budget))) == sorted(map(str, fitting))
    assert counts.largest(budget) == max(fitting.values())
    rng = np.random.default_rng(0)
    drawn = Counter(str(counts.sample(budget, rng)) for _ in range(20 * len(fitting)))
    assert set(drawn) <= set(fitting)
    assert chisquare([drawn[key] for key in fitting]).pvalue > 1e-3
    nearest = counts.nearest(budget, 10)
    assert [params for params, _ in nearest] == sorted((params for params, _ in nearest), reverse=True)
    for params, configuration in nearest:
        assert count(SMALL.arch(configuration)) == params
        check_budget(SMALL.arch(configuration), budget)


def test_several_bounds_that_nothing_meets() -> None:
    counts = SpaceCounts(SMALL)
    least = counts.least(Measure("macs", 640))
    with pytest.raises(BudgetError, match=f"the smallest values are {counts.smallest:,} parameters, {least:,} MACs"):
        counts.sample(Budget(max_macs=least - 1), np.random.default_rng(0))
    fewest = next(c for params, c in _by_enumeration(SMALL) if params == counts.smallest)
    cost = counts.cost(fewest, 640)
    assert cost is not None
    one = Budget(counts.smallest, max_macs=cost.macs)
    assert counts.feasible(one) > 0
    assert counts.largest(one) == counts.smallest


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
@pytest.mark.slow
def test_closed_form_equals_numel_for_random_configurations(name: str) -> None:
    space = load_space(name)
    counts, rng = SpaceCounts(space), np.random.default_rng(0)
    # Most of the time is spent on building backbones.
    for position in range(1_000 if len(space.group_configurations("backbone")) == 1 else 100):
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
def test_a_space_is_counted_without_listing_it(name: str) -> None:
    """Every part is costed once for every width it may meet; there are fewer of these than configurations."""
    space = load_space(name)
    parts = {slot: [space.arch(c).parts()[slot] for c in space.group_configurations(slot)] for slot in SLOTS}
    backbones = {backbone_widths(part) for part in parts["backbone"]}
    necks = {neck_widths(part) for part in parts["neck"]}
    meets = {"backbone": 1, "attention": len(backbones), "neck": len(backbones)}
    _part_cost.cache_clear()
    counts = SpaceCounts(space)
    counts.feasible(Budget())
    costed = _part_cost.cache_info().misses
    assert costed <= sum(len(parts[slot]) * meets.get(slot, len(necks)) for slot in SLOTS)
    assert costed < counts.size


HUGE = SearchSpace(
    "huge",
    "more configurations than 62 bits count; in most of its values the gates' hidden widths have reached their floor",
    ARCHS["v2"],
    (
        Choice("backbone.width", (0.125, 0.25)),
        Choice("attention.name", ("se", "cbam_plus")),
        IntRange("attention.reduction", 40, 1_024),
        Choice("neck.channels", (32, 64)),
        IntRange("neck.repeats", 1, 24),
        Choice("neck.reduction_factor", (1, 2, 4, 8)),
        Choice("neck_attention.name", ("se", "cbam_plus")),
        IntRange("neck_attention.reduction", 1, 1_024),
        Choice("context.groups", (1, 2, 4, 8)),
        Choice("context.reduction", (0, 1, 2, 4)),
        Choice("shuffle.groups", (1, 2, 4, 8, 16)),
        Choice("head.trunk", ("none", "depthwise", "conv")),
        Choice("head.per_level", (False, True)),
        IntRange("distill.temperature", 1, 8_000_000),
    ),
)


def _feasible_by_hand(space: SearchSpace, limit: int) -> int:
    """Count in Python integers, slot after slot: total so far → ways, with no array and no table in common."""
    answer = 0
    options = {slot: Counter(space.arch(c).parts()[slot] for c in space.group_configurations(slot)) for slot in SLOTS}
    for (backbone, often), width in itertools.product(options["backbone"].items(), (32, 64)):
        ways = {0: often * len(space.group_configurations("distill"))}
        for slot in SLOTS:
            costs: Counter[int] = Counter()
            for chosen, times in options[slot].items():
                if slot == "backbone" and chosen != backbone:
                    continue
                if slot == "neck" and chosen.option_dict()["channels"] != width:
                    continue
                step = inputs_of(slot, backbone, Part("bifpn", (("channels", width), ("repeats", 1))))
                cost = part_cost(slot, chosen, None if slot == "backbone" else step)
                if cost is not None:
                    costs[cost.params] += 1 if slot == "backbone" else times
            longer: dict[int, int] = {}
            for before, count_before in ways.items():
                for params, times in costs.items():
                    if before + params <= limit:
                        longer[before + params] = longer.get(before + params, 0) + count_before * times
            ways = longer
        answer += sum(ways.values())
    return answer


@pytest.mark.slow
def test_a_space_beyond_62_bits_is_counted_and_sampled_exactly() -> None:
    counts, budget = SpaceCounts(HUGE), Budget(76_000)
    assert counts.size > 2**62
    assert counts.feasible(budget) == _feasible_by_hand(HUGE, budget.max_params)
    totals = counts.histogram
    assert int(totals.counts.sum()) == counts.buildable == counts.feasible(Budget(int(totals.values[-1])))
    assert totals.counts.dtype == np.object_
    rng = np.random.default_rng(0)
    drawn = [counts.sample(budget, rng) for _ in range(100)]
    assert all(counts.is_feasible(c, budget) for c in drawn)
    assert all(HUGE.contains(c) for c in drawn[:5])
    near = sum((counts.total(c) or 0) > 74_000 for c in drawn)
    share = 1 - counts.feasible(Budget(74_000)) / counts.feasible(budget)
    assert binomtest(near, len(drawn), share).pvalue > 1e-3
    with pytest.raises(InputError, match="can be counted for at most 100,000,000"):
        counts.feasible(Budget(max_macs=10**9))


def test_large_integers_are_drawn_uniformly() -> None:
    limit = 3 * 2**70
    rng = np.random.default_rng(0)
    drawn = [below(limit, rng) for _ in range(3_000)]
    assert max(drawn) < limit
    assert chisquare(np.bincount([number * 6 // limit for number in drawn])).pvalue > 1e-3


def test_slots_before_and_after_the_neck_meet_its_two_sides() -> None:
    arch = ARCHS["v2"]
    meets = {slot: inputs_of(slot, arch.backbone, arch.neck) for slot in SLOTS[1:]}
    assert meets["attention"] == meets["neck"] == (64, 128, 256)
    assert {meets[slot] for slot in SLOTS[3:]} == {(32, 32, 32)}
