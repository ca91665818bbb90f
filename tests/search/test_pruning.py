import random

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.core.protocol import PRUNERS
from harness.search.pruning import STARTUP, Judge, Judges, make_pruner


def ended(curve: list[float], state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return create_trial(
        state=state,
        value=curve[-1] if state == TrialState.COMPLETE else None,
        intermediate_values=dict(enumerate(curve, start=1)),
    )


EARLIER = [ended([0.1 * i, 0.2 * i, 0.3 * i]) for i in range(1, STARTUP + 1)]
"""Medians 0.55, 1.1 and 1.65."""


def judge_after(pruner: str, earlier: list[FrozenTrial]) -> Judge:
    return Judges(pruner).after(earlier)


def test_below_the_median_of_earlier_trials_stops() -> None:
    assert judge_after("median", EARLIER).stops(1, 0.54)
    judge = judge_after("median", EARLIER)
    assert not judge.stops(1, 0.56)
    assert judge.stops(2, 1.09)


def test_too_few_complete_trials_stop_nothing() -> None:
    others = [ended([0.9], TrialState.PRUNED), ended([0.9, 0.9], TrialState.FAIL)]
    assert not judge_after("median", [*EARLIER[:-1], *others]).stops(1, 0.0)


def test_halving_keeps_the_better_half_of_each_rung() -> None:
    earlier = [ended([0.5, 0.6, 0.7]), ended([0.1], TrialState.PRUNED), ended([0.4, 0.4], TrialState.PRUNED)]
    assert judge_after("halving", earlier).stops(1, 0.3)
    judge = judge_after("halving", earlier)
    assert not judge.stops(1, 0.45)
    assert judge.stops(2, 0.5)


def test_none_never_stops() -> None:
    assert not any(judge_after("none", EARLIER).stops(epoch, 0.0) for epoch in (1, 2, 3))


@pytest.mark.parametrize("pruner", sorted(set(PRUNERS) - {"dominated"}))
def test_a_decision_is_repeatable(pruner: str) -> None:
    """After a kill the same epochs are judged once more: same earlier trials, same answer."""
    curve = [0.56, 1.0, 1.2]
    first, again = (
        [judge.stops(epoch, value) for epoch, value in enumerate(curve, start=1)]
        for judge in (judge_after(pruner, EARLIER), judge_after(pruner, EARLIER))
    )
    assert first == again


@pytest.mark.parametrize("pruner", sorted(set(PRUNERS) - {"dominated"}))
def test_trials_that_are_entered_once_decide_as_if_all_were_entered_again(pruner: str) -> None:
    rng, judges, stopped = random.Random(0), Judges(pruner), set[bool]()
    states = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = [ended([rng.random() for _ in range(rng.randint(1, 4))], state) for state in rng.choices(states, k=60)]
    for number in (0, 3, 14, 13, 40, 60, 27):  # A trial whose worker was killed starts again after later ones.
        curve = [rng.random() for _ in range(4)]
        found = judges.after(trials[:number])
        expected = _entered_again(pruner, trials[:number])
        decisions = [found.stops(epoch, value) for epoch, value in enumerate(curve, start=1)]
        for epoch, (value, decision) in enumerate(zip(curve, decisions, strict=True), start=1):
            expected.report(value, epoch)
            assert decision == expected.should_prune()
        stopped |= set(decisions)
    assert stopped == ({False} if pruner == "none" else {True, False})


def _entered_again(pruner: str, earlier: list[FrozenTrial]) -> optuna.Trial:
    """Return a trial of a plain Optuna study in which the earlier ones did what they did."""
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=make_pruner(pruner)
    )
    for one in earlier if pruner != "none" else ():
        trial = study.ask()
        for epoch, reached in one.intermediate_values.items():
            trial.report(reached, epoch)
            if pruner == "halving":
                trial.should_prune()
        study.tell(trial, one.value if one.state == TrialState.COMPLETE else None, state=one.state)
    return study.ask()
