"""Seed variance against numbers worked out by hand."""

import math

import pytest

from harness.reporting.study.noise import Noise, noise_sentences, pooled


def test_variances_are_pooled_by_their_degrees_of_freedom() -> None:
    # Variances 1 (1 degree of freedom: 1, 1 + √2), 4 (2: −2, 0, 2): (1 · 1 + 2 · 4) / 3 = 3.
    found = pooled([[1.0, 1.0 + math.sqrt(2)], [-2.0, 0.0, 2.0], [7.0]])
    assert found is not None
    assert found.sd == pytest.approx(math.sqrt(3))
    assert found.degrees_of_freedom == 3


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (30, 2.0423)])
def test_the_least_difference_is_fisher_s(freedom: int, t: float) -> None:
    # t: two-sided 5 % points of Student's distribution, from a printed table.
    assert Noise(0.02, freedom).least_difference == pytest.approx(t * math.sqrt(2) * 0.02, rel=1e-4)


@pytest.mark.parametrize("networks", [[], [[0.5]], [[0.5], [0.6], []]])
def test_single_trainings_measure_nothing(networks: list[list[float]]) -> None:
    assert pooled(networks) is None
    assert noise_sentences({"mean AP": None}) == []
