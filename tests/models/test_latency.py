"""Planted times of parts add up exactly, and every part that a space can build has its place in the table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.arch import ARCHS, ArchConfig
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.counting import SpaceCounts
from harness.errors import BudgetError, DataError, InputError
from harness.models.latency import LatencyTable, Placed, parts_in, parts_of
from tests.planted_latencies import planted

SPACE = load_space("v2_light")
TABLE = planted(parts_in(SPACE))


def ratio_of(arch: ArchConfig, table: LatencyTable = TABLE) -> float:
    ratio = table.ratio(arch)
    assert ratio is not None
    return ratio


def test_a_network_takes_the_sum_of_its_parts_in_units_of_v1() -> None:
    times = {str(placed): 0.1 for placed in parts_of(ARCHS["v1"])}
    v2 = parts_of(ARCHS["v2"])
    times |= {str(placed): 0.05 for placed in v2[1:]}  # They share V1's backbone, which takes 0.1.
    table = LatencyTable({}, times)
    assert table.ratio(ARCHS["v1"]) == pytest.approx(1, abs=1e-5)
    assert table.ratio(ARCHS["v2"]) == pytest.approx((0.1 + 6 * 0.05) / (7 * 0.1), abs=1e-5)
    assert table.part(*v2[1]) == round(1e6 * 0.05 / (7 * 0.1))
    assert table.ratio(ARCHS["featherface"]) is None
    with pytest.raises(KeyError):
        table.only(parts_of(ARCHS["featherface"]))


def test_a_sum_is_that_of_whole_numbers() -> None:
    arch = SPACE.arch(SpaceCounts(SPACE).sample(Budget(), np.random.default_rng(0)))
    assert 1e6 * ratio_of(arch) == pytest.approx(sum(TABLE.part(*placed) for placed in parts_of(arch)), abs=1e-6)


@pytest.mark.parametrize("name", ["v2_light", "v1_to_v2", "recipe"])
def test_a_space_s_parts_are_those_of_its_configurations(name: str) -> None:
    space = load_space(name)
    known = list(parts_in(space))
    counts, rng = SpaceCounts(space), np.random.default_rng(0)
    assert len(known) == len(set(map(str, known)))
    most = Budget(counts.largest())
    drawn = {str(part) for _ in range(300) for part in parts_of(space.arch(counts.sample(most, rng)))}
    assert drawn <= set(map(str, known))


def test_the_same_part_on_other_channels_is_another_entry() -> None:
    part = ARCHS["v2"].context
    texts = {str(Placed("context", part, (width,) * 3)) for width in (24, 32)}
    texts |= {str(Placed("context", replace(part, options=()), (24,) * 3))}
    assert len(texts) == 3


def test_counts_know_the_latency_of_what_they_count() -> None:
    counts, rng = SpaceCounts(SPACE, TABLE), np.random.default_rng(0)
    for _ in range(20):
        configuration = counts.sample(Budget(), rng)
        cost = counts.cost(configuration)
        assert cost is not None
        assert cost.latency == round(1e6 * ratio_of(SPACE.arch(configuration)))


@pytest.mark.parametrize("name", ["v1_to_v2", "architectures"])
def test_a_bound_on_latency_draws_exactly_what_is_within_it(name: str) -> None:
    space = load_space(name)
    counts, wide = SpaceCounts(space, planted(parts_in(space))), Budget(300_000)
    drawn = [counts.sample(wide, np.random.default_rng(seed)) for seed in range(40)]
    ratios = [ratio_of(space.arch(configuration), planted(parts_in(space))) for configuration in drawn]
    narrow = replace(wide, max_latency_ratio=float(np.median(ratios)))
    within = [counts.is_feasible(configuration, narrow) for configuration in drawn]
    assert within == [ratio <= np.median(ratios) for ratio in ratios]
    assert 0 < sum(within) < len(within)
    for seed in range(40):
        assert counts.is_feasible(counts.sample(narrow, np.random.default_rng(seed)), narrow)
    if name == "v1_to_v2":
        listed = sum(counts.is_feasible(configuration, narrow) for configuration in space.enumerate())
        assert counts.feasible(narrow) == listed < counts.feasible(wide)


def test_a_bound_that_nothing_meets_is_refused_with_the_smallest_latency() -> None:
    counts = SpaceCounts(load_space("v1_to_v2"), planted(parts_in(load_space("v1_to_v2"))))
    with pytest.raises(
        BudgetError, match=r"parameters and 0\.01 × V1's latency; the smallest values are .* V1's latency"
    ):
        counts.sample(Budget(max_latency_ratio=0.01), np.random.default_rng(0))


def test_a_bound_without_a_table_is_a_defect() -> None:
    counts, bounded = SpaceCounts(SPACE), Budget(max_latency_ratio=1.0)
    with pytest.raises(ValueError, match="needs the latencies"):
        counts.feasible(bounded)
    with pytest.raises(ValueError, match="needs the latencies"):
        counts.is_feasible({}, bounded)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_bounds_are_refused(ratio: float) -> None:
    with pytest.raises(InputError, match="a multiple of V1's latency, a number above 0, got"):
        Budget(max_latency_ratio=ratio)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "a" / "latency.json")
    again = LatencyTable.load(tmp_path / "a" / "latency.json")
    assert (again, again.digest()) == (TABLE, TABLE.digest())
    other = LatencyTable(TABLE.conditions, {**TABLE.times, next(iter(TABLE.times)): 0.5})
    assert other.digest() != TABLE.digest()
    for text in ("[]", "{}", "no"):
        (tmp_path / "broken.json").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"broken\.json is no readable table of latencies"):
            LatencyTable.load(tmp_path / "broken.json")
