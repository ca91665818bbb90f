import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.core.protocol import PRUNERS
from harness.search.pruning import STARTUP, Judge


def ended(curve: list[float], state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    return create_trial(
        state=state,
        value=curve[-1] if state == TrialState.COMPLETE else None,
        intermediate_values=dict(enumerate(curve, start=1)),
    )


EARLIER = [ended([0.1 * i, 0.2 * i, 0.3 * i]) for i in range(1, STARTUP + 1)]
"""Medians 0.55, 1.1 and 1.65."""


def test_below_the_median_of_earlier_trials_stops() -> None:
    assert Judge("median", EARLIER).stops(1, 0.54)
    judge = Judge("median", EARLIER)
    assert not judge.stops(1, 0.56)
    assert judge.stops(2, 1.09)


def test_too_few_complete_trials_stop_nothing() -> None:
    others = [ended([0.9], TrialState.PRUNED), ended([0.9, 0.9], TrialState.FAIL)]
    assert not Judge("median", [*EARLIER[:-1], *others]).stops(1, 0.0)


def test_halving_keeps_the_better_half_of_each_rung() -> None:
    earlier = [ended([0.5, 0.6, 0.7]), ended([0.1], TrialState.PRUNED), ended([0.4, 0.4], TrialState.PRUNED)]
    assert Judge("halving", earlier).stops(1, 0.3)
    judge = Judge("halving", earlier)
    assert not judge.stops(1, 0.45)
    assert judge.stops(2, 0.5)


def test_none_never_stops() -> None:
    assert not any(Judge("none", EARLIER).stops(epoch, 0.0) for epoch in (1, 2, 3))


@pytest.mark.parametrize("pruner", sorted(set(PRUNERS) - {"dominated"}))
def test_a_decision_is_repeatable(pruner: str) -> None:
    """After a kill the same epochs are judged once more: same earlier trials, same answer."""
    curve = [0.56, 1.0, 1.2]
    first, again = (
        [judge.stops(epoch, value) for epoch, value in enumerate(curve, start=1)]
        for judge in (Judge(pruner, EARLIER), Judge(pruner, EARLIER))
    )
    assert first == again
