"""Replayed searches: deterministic, honest about waste, and better where there is something to learn."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from harness.core.protocol import SAMPLERS
from harness.core.replay import FEASIBLE, NEW, REPEATED, REPLAYED, WASTED, Replay
from harness.core.space import Configuration
from harness.counting import SpaceCounts
from harness.search.candidates import identity
from harness.search.costs import Costs
from harness.search.replay import Job, Trainer, World, jobs, optuna_sampler, replay, violations
from harness.search.surrogate import Surrogate
from tests import fake_table
from tests.fake_table import EPOCHS, SMALL

QUICK = [name for name in REPLAYED if not name.endswith("gp")]
TRIALS = 16


@cache
def world(ap: Callable[[Configuration], float] = fake_table.gentle, noisy: bool = True) -> World:
    table = fake_table.table(SMALL, ap, networks=80, noise=0.01)
    return World(SMALL, table.budget, Surrogate(table, SMALL), noisy)


@cache
def run(sampler: str, seed: int = 0, trials: int = TRIALS, pruner: str = "none") -> Replay:
    return replay(Job(world(), sampler, seed, trials, pruner))


def watched(monkeypatch: pytest.MonkeyPatch) -> list[optuna.Study]:
    """Return a list to which every study that is created from now on is added."""
    studies: list[optuna.Study] = []
    create = optuna.create_study

    def created(**arguments: Any) -> optuna.Study:
        studies.append(create(**arguments))
        return studies[-1]

    monkeypatch.setattr(optuna, "create_study", created)
    return studies


def test_every_sampler_of_a_study_can_be_replayed_and_those_of_optuna_both_ways() -> None:
    assert {name for name in REPLAYED if name.startswith(FEASIBLE)} == {f"{FEASIBLE}{name}" for name in SAMPLERS}
    assert {name for name in REPLAYED if not name.startswith(FEASIBLE)} == set(SAMPLERS) - {"evolution"}


@pytest.mark.parametrize("sampler", QUICK)
def test_equal_jobs_give_equal_searches(sampler: str) -> None:
    again = replay(Job(world(), sampler, 0, TRIALS))
    assert again == run(sampler)
    assert len(again.steps) == TRIALS
    assert run(sampler, seed=1) != again


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["gp", "feasible-gp"])
def test_the_gaussian_process_is_replayed(sampler: str) -> None:
    found = replay(Job(world(), sampler, 0, 13))
    assert len(found.steps) == 13
    assert all(step.outcome == NEW for step in found.steps) or sampler == "gp"


@pytest.mark.parametrize("sampler", [name for name in QUICK if name.startswith(FEASIBLE)])
def test_proposals_of_this_harness_are_never_wasted_or_repeated(sampler: str) -> None:
    assert {step.outcome for step in run(sampler).steps} == {NEW}


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_waste_and_repetition_are_those_of_an_independent_count(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Optuna suggested is counted from its own trials."""
    studies = watched(monkeypatch)
    found = replay(Job(world(), sampler, 0, 40))
    monkeypatch.undo()
    counts, budget = SpaceCounts(SMALL), world().budget
    seen, wanted = set[str](), []
    for trial in studies[0].trials:
        total = counts.total(trial.params)
        fits = total is not None and total <= budget.max_params
        wanted.append((REPEATED if identity(trial.params) in seen else NEW) if fits else WASTED)
        seen |= {identity(trial.params)} if fits else set()
        # Optuna knows it too: all its constraints are met exactly where a configuration fits.
        assert fits == all(by <= 0 for by in trial.constraints.values())
    assert [step.outcome for step in found.steps] == wanted
    assert wanted.count(WASTED) > 0


def test_wasted_trials_have_no_ap_and_spend_nothing() -> None:
    steps = run("random", trials=40).steps
    wasted = [step for step in steps if step.outcome == WASTED]
    assert wasted
    assert {(step.epochs, step.seen, step.source) for step in wasted} == {(0, None, "")}
    assert {step.epochs for step in steps if step.outcome != WASTED} == {EPOCHS}


def test_the_chosen_network_is_that_of_the_highest_ap_so_far() -> None:
    """Its expected AP is reported, not the one that was seen."""
    trainer = Trainer(world(), 0)
    configurations = [c for c in SMALL.enumerate() if identity(c) in world().surrogate.known][:12]
    chosen, most = None, -1.0
    for configuration in configurations:
        result = trainer.train(configuration, lambda *_: False)
        assert result.state == TrialState.COMPLETE
        if result.value > most:
            chosen, most = configuration, result.value
        assert chosen is not None
        assert trainer.steps[-1].best == world().surrogate.answer(chosen).aps[-1]
        assert trainer.steps[-1].seen == result.value
        assert trainer.steps[-1].source == "table"


def test_the_same_training_has_the_same_ap_in_every_search_of_a_seed() -> None:
    configuration = next(iter(SMALL.enumerate()))
    aps = [Trainer(world(), seed).train(configuration, lambda *_: False).reported for seed in (0, 0, 1)]
    assert aps[0] == aps[1] != aps[2]
    trainer = Trainer(world(), 0)
    first, second = (trainer.train(configuration, lambda *_: False) for _ in range(2))
    assert first == second
    assert [step.outcome for step in trainer.steps] == [NEW, REPEATED]


def test_the_noise_of_trainings_is_that_of_the_surrogate() -> None:
    configuration = next(c for c in SMALL.enumerate() if identity(c) in world().surrogate.known)
    values = [Trainer(world(), seed).train(configuration, lambda *_: False).value for seed in range(300)]
    assert np.mean(values) == pytest.approx(world().surrogate.answer(configuration).aps[-1], abs=0.002)
    assert np.std(values) == pytest.approx(np.sqrt(world().surrogate.noise.seeds[-1, -1]), rel=0.15)


def test_without_noise_a_search_is_told_the_expected_ap() -> None:
    steps = replay(Job(world(noisy=False), "feasible-random", 0, TRIALS)).steps
    best = np.maximum.accumulate([step.seen or 0.0 for step in steps])
    assert [step.best for step in steps] == best.tolist()


def test_a_stopped_training_spends_fewer_epochs_and_is_not_chosen() -> None:
    trainer = Trainer(world(), 0)
    configuration = next(iter(SMALL.enumerate()))
    result = trainer.train(configuration, lambda epoch, _: epoch == 2)
    assert result.state == TrialState.PRUNED
    assert list(result.reported) == [1, 2]
    assert (trainer.steps[0].epochs, trainer.steps[0].best) == (2, None)
    assert trainer.train(configuration, lambda epoch, _: epoch == EPOCHS).state == TrialState.COMPLETE


@pytest.mark.parametrize("sampler", ["tpe", "feasible-nsga2"])
def test_pruning_saves_epochs(sampler: str) -> None:
    spent = [sum(step.epochs for step in run(sampler, trials=30, pruner=name).steps) for name in ("none", "median")]
    assert spent[1] < spent[0]


def several_world() -> World:
    return replace(world(), costs=Costs(("params",), (float(world().budget.max_params),)))


@cache
def several(sampler: str) -> Replay:
    """A search for AP and parameters."""
    return replay(Job(several_world(), sampler, 0, 30))


@pytest.mark.parametrize("sampler", QUICK)
def test_with_several_objectives_all_trials_are_trained_and_some_would_be_stopped(sampler: str) -> None:
    steps = [step for step in several(sampler).steps if step.outcome != WASTED]
    assert {step.epochs for step in steps} == {EPOCHS}
    assert all(0 < step.costs[0] <= world().budget.max_params for step in steps)
    assert len({step.costs for step in steps}) > 1
    stops = {step.stops for step in several(f"{FEASIBLE}random").steps}
    assert stops >= {None, 1}


def test_stopping_does_not_change_the_trials_of_a_search() -> None:
    """A sampler that learns nothing proposes the same with one objective."""
    for sampler in ("random", f"{FEASIBLE}random"):
        one, two = run(sampler, trials=30), several(sampler)
        assert [step.aps for step in one.steps] == [step.aps for step in two.steps]
        assert {step.stops for step in one.steps} == {None}
        assert {step.costs for step in one.steps} == {()}


def test_optuna_is_told_all_objectives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a wasted trial, the reference point of the hypervolume."""
    studies = watched(monkeypatch)
    steps = replay(Job(several_world(), "nsga2", 0, 30)).steps
    monkeypatch.undo()
    limits = several_world().costs.limits
    wanted = [[0.0, *limits] if step.outcome == WASTED else [step.seen, *step.costs] for step in steps]
    assert [trial.values for trial in studies[0].trials] == wanted
    assert [step.outcome == WASTED for step in steps].count(True) > 0


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", FEASIBLE])
def test_where_one_axis_decides_tpe_is_better_than_random(prefix: str) -> None:
    """In the second half of a search, more of its trained trials have the value that decides."""

    def good(sampler: str) -> float:
        found = [replay(Job(world(fake_table.decided), sampler, seed, 24)) for seed in range(3)]
        late = [step.seen for search in found for step in search.steps[12:] if step.seen is not None]
        return float(np.mean([seen > 0.6 for seen in late]))

    assert good(f"{prefix}tpe") > good(f"{prefix}random") + 0.2


def test_a_search_ends_when_everything_was_tried() -> None:
    budget = replace(world().budget, max_params=SpaceCounts(SMALL).smallest)
    small = replace(world(), budget=budget)
    assert SpaceCounts(SMALL).feasible(budget) == len(replay(Job(small, "feasible-random", 0, 50)).steps) < 50


def test_violations_are_shares_of_the_bounds() -> None:
    counts = SpaceCounts(SMALL)
    configuration = next(iter(SMALL.enumerate()))
    total = counts.total(configuration) or 0
    budget = replace(world().budget, max_params=total // 2, max_macs=10**12)
    found = violations(configuration, counts, budget)
    assert found["built"] == 0
    assert found["params"] == pytest.approx(1, rel=1e-4)
    assert -1 < found["macs"] < 0


def test_the_jobs_of_all_seeds() -> None:
    found = Counter(job.sampler for job in jobs(world(), {"tpe": 3, "gp": 1}, 5, "none"))
    assert found == {"tpe": 3, "gp": 1}
    assert type(optuna_sampler("gp", 0)).__name__ == "GPSampler"
