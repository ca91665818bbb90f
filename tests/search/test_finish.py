import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from harness.core.budget import Budget
from harness.core.names import load_space
from harness.counting import SpaceCounts
from harness.search.candidates import Proposer
from harness.search.finish import FEWEST, importance

SPACE = load_space("v2_light")
COUNTS = SpaceCounts(SPACE)


def study(trials: int, directions: list[StudyDirection]) -> optuna.Study:
    """Trials whose AP depends only on the gate's reduction, an axis that half of them have."""
    proposer = Proposer(SPACE, COUNTS, Budget(), "random", directions, 0)
    made = optuna.create_study(directions=directions)
    rng = np.random.default_rng(0)
    for _ in range(trials):
        configuration = COUNTS.sample(Budget(), rng)
        values = [1.0 if configuration.get("attention.reduction") == 16 else rng.uniform(0, 0.1), 250_000.0]
        made.add_trial(
            create_trial(
                params=configuration,
                distributions=proposer.distributions(configuration),
                values=values[: len(directions)],
            )
        )
    return made


@pytest.mark.parametrize(
    "directions", [[StudyDirection.MAXIMIZE], [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]], ids=["ap", "both"]
)
def test_the_axis_that_decides_is_found_also_where_not_every_trial_has_it(directions: list[StudyDirection]) -> None:
    shares = importance(study(60, directions))
    assert max(shares, key=lambda name: shares[name]) == "attention.reduction"
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert set(shares) == {axis.name for axis in SPACE.axes}


def test_too_few_trials_have_no_importance() -> None:
    few = study(FEWEST - 1, [StudyDirection.MAXIMIZE])
    few.add_trial(create_trial(state=TrialState.FAIL))
    assert importance(few) == {}
    assert importance(study(FEWEST, [StudyDirection.MAXIMIZE])) != {}
