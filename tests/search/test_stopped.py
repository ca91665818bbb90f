"""Early stopping on the trials of a replayed search, against a count by hand."""

from dataclasses import replace

from harness.core.replay import NEW, REPEATED, WASTED, Step
from harness.evaluation.stopping import LEAST
from harness.search.stopped import stopped


def step(cost: float, *aps: float, outcome: str = NEW) -> Step:
    return Step(outcome, (cost,), aps, 0.5, "table")


FIRST = [step(100, 0.2, 0.4, 0.5) for _ in range(LEAST)]
"""The largest gains are 0.3 after the first epoch, and 0.1 after the second."""


def test_only_the_epochs_of_trials_change() -> None:
    """Stopped after the first epoch: at most 0.49. After the second: at most 0.45. Not stopped: cheaper, or as good."""
    later = [step(150, 0.19, 0.6, 0.9), step(150, 0.25, 0.35, 0.4), step(50, 0.1, 0.2, 0.3), step(150, 0.2, 0.4, 0.45)]
    found = stopped([*FIRST, Step(WASTED), *later])
    assert [one.stops for one in found] == [*[None] * LEAST, None, 1, 2, None, None]
    assert sum(one.epochs - one.stops for one in found if one.stops is not None) == 2 + 1
    unstopped = [Step(one.outcome, one.costs, one.aps, one.best, one.source) for one in found]
    assert unstopped == [*FIRST, Step(WASTED), *later]


def test_a_stopped_trial_tells_later_ones_nothing() -> None:
    """It would have gained 0.71, and the next trial, which may gain as much, would be trained to its end."""
    late, later = step(150, 0.19, 0.6, 0.9), step(150, 0.195, 0.7, 0.8)
    assert [one.stops for one in stopped([*FIRST, late, later])[LEAST:]] == [1, 1]
    assert [one.stops for one in stopped([*FIRST, replace(late, costs=(99,)), later])[LEAST:]] == [None, None]


def test_wasted_trials_count_for_nothing() -> None:
    wasted = [Step(WASTED) for _ in range(LEAST)]
    assert stopped(wasted) == wasted
    assert stopped([]) == []
    assert stopped([*FIRST[1:], *wasted, step(150, 0.0, 0.0, 0.0)])[-1].stops is None
    assert stopped([*FIRST, *wasted, step(150, 0.0, 0.0, 0.0)])[-1].stops == 1


def test_a_repeated_trial_of_the_best_is_trained_again() -> None:
    assert stopped([*FIRST, step(100, 0.2, 0.4, 0.5, outcome=REPEATED)])[-1].stops is None
