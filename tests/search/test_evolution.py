"""Regularised evolution: who is a parent, and how a child differs from it."""

from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.core.budget import Budget
from harness.core.names import load_space
from harness.core.space import Configuration
from harness.counting import SpaceCounts
from harness.search.candidates import distribution
from harness.search.evolution import POPULATION, SAMPLE, EvolutionSampler, mutated
from harness.search.memory import Memory

SPACE = load_space("architectures")
COUNTS = SpaceCounts(SPACE)
DISTRIBUTIONS = {axis.name: distribution(axis) for axis in SPACE.axes}
DRAWN = [COUNTS.sample(Budget(), np.random.default_rng(number)) for number in range(60)]


def trial(configuration: Configuration, *values: float) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE if values else TrialState.FAIL,
        values=values or None,
        params=configuration,
        distributions={name: DISTRIBUTIONS[name] for name in configuration},
    )


def children(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], seeds: int = 40
) -> list[Configuration]:
    """Return the proposals of samplers with other seeds."""
    memory = Memory(SPACE, DISTRIBUTIONS, dense=False)
    memory.follow(trials)
    found = []
    for seed in range(seeds):
        study = optuna.create_study(directions=list(directions), sampler=EvolutionSampler(seed, memory))
        asked = study.ask()
        chosen: Configuration = {}
        for axis in SPACE.axes:
            if SPACE.active(axis, chosen):
                chosen[axis.name] = asked._suggest(axis.name, DISTRIBUTIONS[axis.name])
        found.append(chosen)
    return found


def apart(one: Configuration, other: Configuration) -> set[str]:
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


def is_child(child: Configuration, parent: Configuration) -> bool:
    """Return whether they differ in one axis, and else only in axes that it switches."""
    differing = apart(child, parent)
    changed = [axis for axis in SPACE.axes if axis.name in differing]
    return sum(axis.when is None or axis.when.axis not in differing for axis in changed) == 1


@pytest.mark.parametrize("number", range(20))
def test_a_mutation_changes_one_axis_and_what_it_switches(number: int) -> None:
    rng = np.random.default_rng(number)
    seen = set()
    for _ in range(100):
        child = mutated(SPACE, DRAWN[number], rng)
        SPACE.check(child)
        assert is_child(child, DRAWN[number])
        seen |= apart(child, DRAWN[number])
    assert seen >= set(DRAWN[number])


def test_the_parent_is_the_best_of_a_sample() -> None:
    trials = [trial(configuration, float(number)) for number, configuration in enumerate(DRAWN[:POPULATION])]
    parents = [
        {number for number, parent in enumerate(DRAWN[:POPULATION]) if is_child(child, parent)}
        for child in children(trials, [StudyDirection.MAXIMIZE])
    ]
    assert all(parents)
    # The worst SAMPLE - 1 of the population are never the best of a sample.
    assert min(max(numbers) for numbers in parents) >= SAMPLE - 1
    assert len({max(numbers) for numbers in parents}) > 3


def test_old_trials_are_no_parents_however_good() -> None:
    best, others = DRAWN[0], DRAWN[1 : POPULATION + 1]
    trials = [trial(best, 100.0), *(trial(one, 1.0) for one in others)]
    strangers = [
        child
        for child in children(trials, [StudyDirection.MAXIMIZE])
        if not any(is_child(child, one) for one in others)
    ]
    assert strangers == []
    younger = [*trials[1:], trials[0]]
    assert sum(is_child(child, best) for child in children(younger, [StudyDirection.MAXIMIZE])) > 0


def test_failed_trials_are_no_parents() -> None:
    trials = [trial(DRAWN[0]), trial(DRAWN[1], 1.0), trial(DRAWN[2])]
    assert all(is_child(child, DRAWN[1]) for child in children(trials, [StudyDirection.MAXIMIZE]))


def test_of_several_objectives_a_parent_is_not_dominated_in_its_sample() -> None:
    good = [trial(DRAWN[0], 0.9, 200.0), trial(DRAWN[1], 0.5, 100.0)]
    bad = [trial(one, 0.4, 300.0) for one in DRAWN[2:6]]
    found = children([*bad, *good], [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
    assert all(is_child(child, DRAWN[0]) or is_child(child, DRAWN[1]) for child in found)
    assert any(is_child(child, DRAWN[0]) for child in found)
    assert any(is_child(child, DRAWN[1]) for child in found)
