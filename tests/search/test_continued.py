import optuna
import pytest
from optuna.trial import TrialState, create_trial

from harness.search.continued import Continued


@pytest.fixture
def study() -> optuna.Study:
    """A study with one running trial, after a complete and a pruned one."""
    ended = [create_trial(value=1.0), create_trial(state=TrialState.PRUNED)]
    for number, trial in enumerate(ended):
        trial.number = number
    study = optuna.create_study(storage=Continued(ended), direction="maximize")
    study.add_trial(create_trial(state=TrialState.RUNNING))
    return study


def test_its_trials_are_numbered_after_them(study: optuna.Study) -> None:
    study.tell(study.ask(), 2.0)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert [trial.value for trial in study.trials] == [1.0, None, None, 2.0]


@pytest.mark.parametrize(
    ("states", "numbers"),
    [
        (None, [0, 1, 2]),
        ((TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING), [0, 1, 2]),
        ((TrialState.PRUNED, TrialState.COMPLETE), [0, 1]),
        ((TrialState.COMPLETE,), [0]),
        ((TrialState.PRUNED, TrialState.RUNNING), [1, 2]),
        ((TrialState.WAITING,), []),
    ],
)
def test_trials_are_selected_by_state(
    study: optuna.Study, states: tuple[TrialState, ...] | None, numbers: list[int]
) -> None:
    assert [trial.number for trial in study.get_trials(states=states)] == numbers


def test_copies_do_not_change_the_ended_ones(study: optuna.Study) -> None:
    study.get_trials(deepcopy=True)[0].value = 5.0
    study.get_trials(deepcopy=False).clear()
    assert study.trials[0].value == 1.0
