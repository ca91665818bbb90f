from collections.abc import Iterable

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.search.generations import GENERATION, POPULATION, Generations, NSGAIISampler

STUDY = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage())
OF_TEN = [number // POPULATION for number in range(50)]
"""The generations of fifty trials."""


def trials(generations: Iterable[int]) -> list[FrozenTrial]:
    """Return complete trials of these generations, with many ties."""
    rng = np.random.default_rng(0)
    made = [create_trial(value=float(rng.integers(8)), system_attrs={GENERATION: of}) for of in generations]
    for number, trial in enumerate(made):
        trial.number = number
    return made


def kept(ended: Iterable[FrozenTrial]) -> Generations:
    generations = Generations()
    for trial in ended:
        generations.add(trial)
    return generations


def numbers(parents: Iterable[FrozenTrial]) -> list[int]:
    return [trial.number for trial in parents]


def by_optuna(ended: Iterable[FrozenTrial], generation: int, times: int) -> list[list[int]]:
    """Return a generation's parents as often as asked, by Optuna's own NSGA-II."""
    study = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage())
    study.add_trials(ended)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=0)
    return [numbers(sampler.get_parent_population(study, generation)) for _ in range(times)]


@pytest.fixture
def selected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The generations whose parents are selected from now on."""
    found: list[int] = []
    select = NSGAIISampler.select_parent

    def noted(sampler: NSGAIISampler, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        found.append(generation)
        return select(sampler, study, generation)

    monkeypatch.setattr(NSGAIISampler, "select_parent", noted)
    return found


@pytest.mark.parametrize("generation", [0, 1, 4, 5])
def test_the_parents_and_their_order_are_those_of_optuna(generation: int) -> None:
    ended = trials(OF_TEN)
    generations, expected = kept(ended), by_optuna(ended, generation, 3)
    for _ in range(2):
        sampler = NSGAIISampler(0, generations)
        assert [numbers(sampler.get_parent_population(STUDY, generation)) for _ in range(3)] == expected


def test_they_are_selected_once(selected: list[int]) -> None:
    generations = kept(trials(OF_TEN))
    for _ in range(2):
        NSGAIISampler(0, generations).get_parent_population(STUDY, 4)
    assert selected == [1, 2, 3, 4]


@pytest.mark.parametrize(("late", "again"), [(0, [1, 2, 3, 4]), (2, [3, 4]), (4, [])])
def test_a_late_trial_of_a_generation_changes_the_parents_of_later_ones(
    late: int, again: list[int], selected: list[int]
) -> None:
    *ended, last = trials([*OF_TEN, late])
    generations = kept(ended)
    NSGAIISampler(0, generations).get_parent_population(STUDY, 4)
    selected.clear()
    last.value = 7.0
    generations.add(last)
    parents = NSGAIISampler(0, generations).get_parent_population(STUDY, 4)
    assert selected == again
    assert [numbers(parents)] == by_optuna([*ended, last], 4, 1)


def test_only_complete_trials_of_a_generation_count() -> None:
    others = [
        create_trial(state=TrialState.PRUNED, system_attrs={GENERATION: 0}),
        create_trial(value=9.0),
    ]
    generations = kept([*trials([0]), *others])
    assert [numbers(population) for population in generations.populations.values()] == [[0]]


def test_the_number_of_generations_is_not_bounded_by_recursion() -> None:
    generations = kept(trials(number // POPULATION for number in range(6_000)))
    assert len(NSGAIISampler(0, generations).get_parent_population(STUDY, 600)) == POPULATION
