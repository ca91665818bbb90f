"""Fronts against brute force, and on points whose answer is known."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.evaluation.fronts import dominated, hypervolume, knee, losses, spread

GRID = 6
"""Points have coordinates 0 … GRID - 1, so that equal coordinates and equal points are frequent."""


def drawn(seed: int, objectives: int, most: int = 9) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.integers(GRID, size=(int(rng.integers(1, most)), objectives)).astype(np.float64)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(20))
def test_the_hypervolume_is_the_number_of_unit_cells_that_a_point_dominates(seed: int, objectives: int) -> None:
    points = drawn(seed, objectives)
    reference = np.random.default_rng(seed + 100).integers(1, GRID + 1, size=objectives)
    cells = itertools.product(*(range(limit) for limit in reference))
    covered = sum(any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points) for cell in cells)
    assert hypervolume(points, reference.astype(np.float64)) == covered


@pytest.mark.parametrize("seed", range(10))
def test_only_the_front_counts_in_the_hypervolume(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(size=(30, 3))
    front, reference = points[~dominated(points)], np.ones(3)
    assert len(front) < len(points)
    assert hypervolume(front, reference) == pytest.approx(hypervolume(points, reference))
    assert hypervolume(np.zeros((0, 3)), reference) == 0.0


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_chosen_points_dominate_nearly_as_much_as_the_best_choice(seed: int, objectives: int) -> None:
    points, reference = np.random.default_rng(seed).uniform(size=(12, objectives)), np.ones(objectives)
    chosen = spread(points, 3)
    assert len(set(chosen)) == 3
    best = max(hypervolume(points[list(some)], reference) for some in itertools.combinations(range(12), 3))
    assert (1 - 1 / np.e) * best <= hypervolume(points[chosen], reference) <= best + 1e-12
    alone = [hypervolume(points[[position]], reference) for position in range(12)]
    assert chosen[0] == int(np.argmax(alone))
    assert spread(points, 3)[:2] == spread(points, 2)


def test_fewer_points_than_wanted_are_all_chosen() -> None:
    assert sorted(spread(np.array([[0.5, 0.5], [0.6, 0.6], [0.5, 0.5]]), 7)) == [0, 1, 2]


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_dominance_is_that_of_every_pair(seed: int, objectives: int) -> None:
    points = [tuple(point) for point in drawn(seed, objectives)]
    expected = [
        any(all(a <= b for a, b in zip(other, one, strict=True)) and other != one for other in points) for one in points
    ]
    assert dominated(np.array(points)).tolist() == expected


@pytest.mark.parametrize("seed", range(20))
def test_the_knee_of_two_objectives_is_furthest_below_the_line_through_the_ends(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(size=(40, 2)) * (1.0, 50_000.0)
    front = points[~dominated(points)]
    low, span = front.min(0), np.ptp(front, axis=0)
    first, last = front[front[:, 0].argmin()], front[front[:, 1].argmin()]
    (x1, y1), (x2, y2) = (first - low) / span, (last - low) / span
    below = []
    for x, y in (front - low) / span:
        cross = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        below.append(-cross / np.hypot(x2 - x1, y2 - y1))
    found = knee(front)
    if max(below) > 1e-9 and len(front) > 2:
        assert found == int(np.argmax(below))
    else:
        assert found is None


def test_the_knee_of_three_objectives_has_the_smallest_normalised_sum() -> None:
    front = np.array([[0, 10, 100], [4, 0, 100], [4, 10, 0], [1, 3, 30], [2, 4, 50.0]])
    assert knee(front) == 3, "its normalised coordinates are 0.25, 0.3 and 0.3"
    assert knee(front[:, :2]) == 3


@pytest.mark.parametrize(
    "front",
    [
        np.zeros((0, 2)),
        np.array([[0.0, 1.0]]),
        np.array([[0.0, 1.0], [1.0, 0.0]]),
        np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]),
        np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]),
        np.array([[0.0, 1.0], [0.6, 0.6], [1.0, 0.0]]),
        np.array([[0.0], [1.0], [2.0]]),
    ],
    ids=["nothing", "one point", "two points", "two different points", "a line", "bent outwards", "one objective"],
)
def test_some_fronts_have_no_knee(front: NDArray[np.float64]) -> None:
    assert knee(front) is None


def test_a_front_loses_what_the_best_one_kept_is_worse() -> None:
    points = np.array([[1.0, 5.0], [3.0, 2.0], [3.5, 2.0], [4.0, 1.0], [2.0, 6.0], [3.0, 2.0]])
    assert losses(points, np.ones(6, dtype=bool)).tolist() == [0, 0, 0]
    assert losses(points, np.array([True, True, True, True, False, False])).tolist() == [0, 0, 0], "one is behind"
    assert losses(points, np.array([False, True, False, True, True, True])).tolist() == [2, 0, 0], "2, 6 costs too much"
    assert losses(points, np.array([False, False, False, True, True, False])).tolist() == [3, 1, 0]
    assert losses(points, np.array([True, False, True, False, True, False])).tolist() == [0, 0.5, np.inf]
    assert losses(points[:0], np.zeros(0, dtype=bool)).tolist() == []


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_no_bound_on_the_other_coordinates_loses_more_than_a_point_of_the_front(seed: int, objectives: int) -> None:
    points = drawn(seed, objectives)
    kept = np.random.default_rng(seed).random(len(points)) < 0.6
    lost = []
    for bounds in itertools.product(range(GRID), repeat=objectives - 1):
        inside = (points[:, 1:] <= bounds).all(1)
        if inside.any():
            lost.append(points[inside & kept, 0].min(initial=np.inf) - points[inside, 0].min())
    assert losses(points, kept).max() == max(lost)
