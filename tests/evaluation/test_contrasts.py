"""Tests of differences: error rates by simulation, and agreement with textbook tests."""

import gc
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from harness.evaluation.contrasts import ALPHA, BETTER, TIE, WORSE, Blocks, Estimate, blocks, estimate, holm, undecided
from harness.evaluation.contrasts import verdicts as judge

SD = 0.01
"""Deviation between seeds of the simulated networks; another part of a seed's effect is shared by all networks."""


@pytest.fixture(autouse=True)
def _without_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """statsmodels collects garbage in every correction, which takes most of the time of a simulation."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


def table(effects: list[float], seeds: int, rng: np.random.Generator) -> dict[str, list[float]]:
    """Return simulated APs: network + seed + rest."""
    shared = rng.normal(0, 2 * SD, seeds)
    return {f"n{i}": list(0.7 + effect + shared + rng.normal(0, SD, seeds)) for i, effect in enumerate(effects)}


def pairs(aps: dict[str, list[float]], seeds: int, image_error: float = 0.0) -> dict[tuple[str, str], Estimate]:
    noise = blocks([values[:seeds] for values in aps.values()])
    assert noise is not None
    return {
        (a, b): estimate({a: 1.0, b: -1.0}, aps, seeds, noise, image_error=image_error) for a, b in combinations(aps, 2)
    }


def test_two_networks_are_compared_as_by_the_paired_t_test() -> None:
    aps = table([0.0, 0.01], 5, np.random.default_rng(0))
    found = pairs(aps, 5)["n0", "n1"]
    textbook = stats.ttest_rel(aps["n0"], aps["n1"])
    assert found.freedom == 4
    assert found.p() == pytest.approx(textbook.pvalue)
    interval = textbook.confidence_interval(0.95)
    assert found.over_seeds() == pytest.approx((interval.low, interval.high))


def test_the_deviation_is_that_of_randomised_blocks() -> None:
    """Against the residual of least squares with an indicator for every network and seed."""
    aps = list(table([0.0, 0.01, 0.03, -0.02], 3, np.random.default_rng(1)).values())
    rows = [(network, seed) for network in range(4) for seed in range(3)]
    design = np.array([[*np.eye(4)[network], *np.eye(3)[seed][1:]] for network, seed in rows])
    values = np.array([aps[network][seed] for network, seed in rows])
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    found = blocks(aps)
    assert found is not None
    assert found.freedom == 6
    assert found.sd == pytest.approx(np.sqrt((residual**2).sum() / 6))
    assert blocks(aps[:1]) is blocks([values[:1] for values in aps]) is blocks([]) is None


def test_a_difference_needs_both_seeds_and_images() -> None:
    sure = Estimate(0.05, 3, error=0.001, freedom=10)
    assert sure.p() < 1e-6
    assert Estimate(0.05, 3, error=0.001, freedom=10, image_error=0.05).p() == pytest.approx(2 * stats.norm.sf(1))
    assert Estimate(0.05, 3, error=0.05, freedom=10, image_error=0.001).p() == pytest.approx(2 * stats.t.sf(1, 10))
    assert Estimate(0.05, 3, error=0.05, freedom=10, looks=2).p() == pytest.approx(min(1, 4 * stats.t.sf(1, 10)))
    assert Estimate(0.05, 3, error=0.05, freedom=10).p(null=0.05) == 1.0
    assert Estimate(0.0, 3, error=0.0, freedom=10).p() == 1.0, "two copies of one network"


def test_an_interval_excludes_zero_where_the_test_does() -> None:
    for looks in (1, 3):
        for value in np.linspace(0.005, 0.05, 50):
            one = Estimate(float(value), 3, error=0.01, freedom=10, looks=looks)
            assert one.over_seeds().excludes_zero is (one.p() < ALPHA)


def test_lower_bounds_hold_together() -> None:
    """Five differences, whose bounds are one-sided at 1 % each, for two looks at 0.5 %."""
    one = Estimate(0.02, 3, error=0.01, freedom=10, image_error=0.001)
    assert one.least(5) == pytest.approx(0.02 - 0.01 * stats.t.ppf(0.99, 10))
    assert replace(one, image_error=0.05).least(5) == pytest.approx(0.02 - 0.05 * stats.norm.ppf(0.99))
    assert replace(one, looks=2).least(5) == pytest.approx(0.02 - 0.01 * stats.t.ppf(0.995, 10))
    rng = np.random.default_rng(6)
    wrong = [
        any(found.least(9) > 0 for pair, found in pairs(table([0.0] * 10, 3, rng), 3).items() if "n0" in pair)
        for _ in range(1_000)
    ]
    assert np.mean(wrong) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 1_000)


def test_holm_corrects_for_the_number_of_differences() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_equal_networks_are_seldom_told_apart_and_different_ones_often() -> None:
    """Two equal networks and one that is six deviations better, three seeds, all pairs, 1,000 simulations."""
    rng, wrong, right = np.random.default_rng(2), 0, 0
    for _ in range(1_000):
        found = pairs(table([0.0, 0.0, 6 * SD], 3, rng), 3)
        said = dict(zip(found, judge(list(found.values())), strict=True))
        wrong += said["n0", "n1"] != TIE
        right += said["n0", "n2"] == WORSE and said["n1", "n2"] == WORSE
    assert wrong / 1_000 <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 1_000)
    assert right / 1_000 >= 0.95


def test_among_equal_networks_any_verdict_is_rare() -> None:
    """Ten equal networks, 45 pairs: the rate of simulations with any better or worse."""
    rng = np.random.default_rng(3)
    wrong = [any(said != TIE for said in judge(list(pairs(table([0.0] * 10, 3, rng), 3).values()))) for _ in range(400)]
    assert np.mean(wrong) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 400)


def test_the_sign_of_a_difference_is_that_of_its_verdict() -> None:
    noise = Blocks(0.001, 20)
    aps = {"a": [0.7, 0.7], "b": [0.6, 0.6], "c": [0.6999, 0.6999]}
    found = [estimate({x: 1.0, y: -1.0}, aps, 2, noise) for x, y in (("a", "b"), ("b", "a"), ("a", "c"))]
    assert judge(found) == [BETTER, WORSE, TIE]
    assert undecided(found) == [False, False, False], "the tie is narrower than a point"
    wide = [estimate({"a": 1.0, "c": -1.0}, aps, 2, Blocks(0.01, 20))]
    assert undecided(wide) == [True]
