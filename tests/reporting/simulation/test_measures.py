"""What searches reached, against numbers that were computed by hand."""

import numpy as np
import pytest

from harness.evaluation.stats import Interval
from harness.reporting.simulation.measures import Reach, level, measured, quartiles, reached, reaches
from tests.fake_simulation import EPOCHS, simulation

NONE = -np.inf

FOUND = simulation(
    {
        "tpe": [
            [None, 0.4, None, 0.4, 0.6, 0.5],
            [0.3, None, None, 0.5, None, 0.6],
            [None, None, 0.2, None, 0.6, None],
        ],
        "feasible-tpe": [
            [0.5, 0.6, 0.65, 0.3, 0.4, 0.2],
            [0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
            [0.4, 0.7, 0.6, 0.5, 0.3, 0.2],
        ],
    }
)


def test_the_best_so_far_by_trial() -> None:
    tpe = measured(FOUND)["tpe"]
    assert tpe.best.tolist() == [
        [NONE, 0.4, 0.4, 0.4, 0.6, 0.6],
        [0.3, 0.3, 0.3, 0.5, 0.5, 0.6],
        [NONE, NONE, 0.2, 0.2, 0.6, 0.6],
    ]
    assert tpe.median.tolist() == [NONE, 0.3, 0.3, 0.4, 0.6, 0.6]
    low, high = tpe.quartiles()
    assert low.tolist() == pytest.approx([NONE, NONE, 0.25, 0.3, 0.55, 0.6])
    assert high.tolist() == pytest.approx([NONE, 0.35, 0.35, 0.45, 0.6, 0.6])


def test_quartiles_beside_a_missing_ap_are_missing() -> None:
    low, high = quartiles(np.array([[NONE, 0.1], [0.2, 0.3], [0.4, 0.5]]))
    assert low.tolist() == pytest.approx([NONE, 0.2])
    assert high.tolist() == pytest.approx([0.3, 0.4])


def test_shares_of_all_trials() -> None:
    tpe, ours = measured(FOUND).values()
    assert tpe.wasted == pytest.approx(9 / 18)
    assert tpe.repeated == pytest.approx(1 / 18)
    assert tpe.trained == 3
    assert tpe.from_table == pytest.approx(3 / 9)
    assert (ours.wasted, ours.repeated, ours.trained) == (0, 0, 6)


def test_wasted_trials_spend_no_epochs() -> None:
    tpe = measured(FOUND)["tpe"]
    assert (tpe.spent / EPOCHS).tolist() == [[0, 1, 1, 2, 3, 4], [1, 1, 1, 2, 2, 3], [0, 0, 1, 1, 2, 2]]
    grid, best = tpe.by_epochs(EPOCHS)
    assert grid.tolist() == [EPOCHS, 2 * EPOCHS, 3 * EPOCHS], "the median search spends three trainings"
    assert best.tolist() == [[0.4, 0.4, 0.6], [0.3, 0.5, 0.6], [0.2, 0.6, 0.6]]


def test_a_search_that_ended_early_keeps_its_best() -> None:
    found = simulation({"feasible-random": [[0.1, 0.3], [0.2, 0.1, 0.4, 0.5]]})
    assert measured(found)["feasible-random"].best.tolist() == [[0.1, 0.3, 0.3, 0.3], [0.2, 0.2, 0.4, 0.5]]


def test_trials_to_the_level_of_tpe() -> None:
    by_name = measured(FOUND)
    assert level(by_name) == 0.6
    assert by_name["feasible-tpe"].median.tolist() == [0.5, 0.6, 0.65, 0.65, 0.65, 0.65]
    (reach,) = reaches(by_name).values()
    assert (reach.trials, reach.plain, reach.share) == (2, 5, 0.4)
    assert reach.interval.low <= 0.4 <= reach.interval.high
    assert reached(np.array([0.1, 0.3, 0.2]), 0.25) == 2
    assert reached(np.array([0.1, 0.2]), 0.25) is None


def test_equal_searches_have_the_share_one_without_doubt() -> None:
    same = simulation({"tpe": [[0.1, 0.2, 0.3]] * 4, "feasible-tpe": [[0.1, 0.2, 0.3]] * 4})
    assert reaches(measured(same)) == {"feasible-tpe": Reach(3, 3, 1.0, Interval(1.0, 1.0))}


def test_a_level_that_is_never_reached() -> None:
    worse = simulation({"tpe": [[0.1, 0.5]] * 3, "feasible-random": [[0.1, 0.2]] * 3})
    (reach,) = reaches(measured(worse)).values()
    assert (reach.trials, reach.share) == (None, None)
    assert reach.interval == Interval(np.inf, np.inf)
    assert reach.verdict == "fails"


def test_without_tpe_there_is_no_level() -> None:
    assert reaches(measured(simulation({"feasible-tpe": [[0.1]]}))) == {}
    assert level(measured(simulation({"tpe": [[None, None]]}))) is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 0.5, "holds"), (0.4, 0.6, "open"), (0.6, np.inf, "fails"), (0.2, np.inf, "open")]
)
def test_the_claim_is_decided_by_the_interval(low: float, high: float, verdict: str) -> None:
    assert Reach(1, 2, 0.5, Interval(low, high)).verdict == verdict
