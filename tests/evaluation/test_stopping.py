"""Early stopping on planted learning curves."""

import random
from dataclasses import replace

import pytest

from harness.core.record import TrialRecord
from harness.evaluation.stopping import LEAST, Dominance, Training, replay, shown


def training(cost: float, *curve: float, end: bool = True) -> Training:
    return Training((cost,), dict(enumerate(curve, start=1)), curve[-1] if end else None)


FINISHED = [training(100 + n, 0.20, 0.40, 0.45 + n / 1_000) for n in range(LEAST)]
"""The largest gain after the first epoch is 0.259, after the second 0.059; the cheapest has 0.45, the dearest 0.459."""


def test_a_training_stops_where_the_largest_gain_would_not_be_enough() -> None:
    assert Dominance((200.0,), FINISHED).stops(1, 0.19)
    assert not Dominance((200.0,), FINISHED).stops(1, 0.21)
    rule = Dominance((200.0,), FINISHED)
    assert not rule.stops(1, 0.25)
    assert rule.stops(2, 0.39)


def test_only_networks_that_are_no_worse_in_any_cost_count() -> None:
    assert not Dominance((99.0,), FINISHED).stops(1, 0.0), "none costs as little"
    assert Dominance((100.0,), FINISHED).stops(1, 0.19), "the cheapest one has 0.45"
    assert not Dominance((100.0,), FINISHED).stops(1, 0.195)
    assert Dominance((109.0,), FINISHED).stops(1, 0.195), "the last one has 0.459"
    several = [replace(one, costs=(one.costs[0], 1.0)) for one in FINISHED]
    assert Dominance((200.0, 1.0), several).stops(1, 0.0)
    assert not Dominance((200.0, 0.9), several).stops(1, 0.0)


def test_reaching_as_much_as_the_other_is_enough() -> None:
    flat = [training(1, 0.25, 0.5) for _ in range(LEAST)]
    assert not Dominance((2.0,), flat).stops(1, 0.25)
    assert Dominance((2.0,), flat).stops(1, 0.125)


def test_what_was_reached_stays_reached() -> None:
    """With early stopping by patience the best epoch's network is kept, so a later loss decides nothing."""
    rule = Dominance((200.0,), FINISHED)
    assert not rule.stops(1, 0.46)
    assert not rule.stops(2, 0.1)


def test_too_few_finished_trainings_stop_nothing() -> None:
    assert not Dominance((200.0,), FINISHED[1:]).stops(1, 0.0)
    stopped = [training(0, 0.9, end=False) for _ in range(LEAST)]
    assert not Dominance((200.0,), [*FINISHED[1:], *stopped]).stops(1, 0.0)
    assert not Dominance((200.0,), []).stops(1, 0.0)
    ended_earlier = [training(100, 0.5)] * LEAST
    assert not Dominance((200.0,), ended_earlier).stops(2, 0.0), "none has an AP after the second epoch"


def test_where_all_lose_ap_less_is_expected() -> None:
    falling = [training(1, 0.6, 0.5) for _ in range(LEAST)]
    assert not Dominance((2.0,), falling).stops(1, 0.5), "it has reached 0.5 already"
    assert Dominance((2.0,), falling).stops(1, 0.49)


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("seed", range(5))
def test_a_replay_decides_as_a_study_that_stops_what_it_decides(seed: int, window: int) -> None:
    rng = random.Random(seed)
    whole = []
    for _ in range(60):
        end, cost = rng.uniform(0.3, 0.8), rng.uniform(1, 5)
        curve = [end * (1 - 0.5**epoch) + rng.uniform(-0.02, 0.02) for epoch in (1, 2, 3, 4)]
        whole.append(training(cost, *curve, end=rng.random() > 0.1))
    seen: list[Training] = []
    expected: dict[int, int] = {}
    for number, one in enumerate(whole):
        rule = Dominance(one.costs, seen[: max(0, number + 1 - window)])
        shown_so_far: dict[int, float] = {}
        for epoch, ap in one.curve.items():
            shown_so_far[epoch] = ap
            if epoch < 4 and rule.stops(epoch, ap):
                expected[number] = epoch
                break
        seen.append(Training(one.costs, shown_so_far, None if number in expected else one.final))
    assert replay(whole, window, 4) == expected
    assert 3 < len(expected) < 50
    lost = [whole[n] for n in expected if (final := whole[n].final) is not None and final > 0.75]
    assert len(lost) < len(expected) / 2


def test_a_record_is_read_as_its_training() -> None:
    epochs = [{"epoch": 1, "ap": {}}, {"epoch": 2, "ap": {"mean": 0.3}}, {"epoch": 3, "ap": {"mean": None}}]
    record = TrialRecord("0000", "candidate", state="complete", params=7, latency=0.5, epochs=epochs)
    record.search_ap = {"mean": 0.4}
    assert shown(record, ("ap", "latency", "params")) == Training((0.5, 7.0), {2: 0.3}, 0.4)
    assert shown(replace(record, state="pruned"), ("ap", "params")).final is None
