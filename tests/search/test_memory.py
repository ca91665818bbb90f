import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.core.budget import Budget
from harness.core.names import load_space
from harness.core.space import Choice, Configuration
from harness.counting import SpaceCounts
from harness.search import memory
from harness.search.candidates import Proposal, Proposer, identity
from harness.search.generations import GENERATION, POPULATION
from harness.search.samplers import STARTUP
from harness.search.storage import Ledger, open_storage
from tests.search.rebuilding import Rebuilding

LIGHT = load_space("v2_light")
SPACE = replace(LIGHT, axes=(*LIGHT.axes[:-1], Choice(LIGHT.axes[-1].name, (10.0,))))
"""The space ``v2_light``, but the last axis has a single value."""

COUNTS = SpaceCounts(SPACE)
AP_PARAMS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
WINDOW = 3


class Call(NamedTuple):
    """What a proposer is given for one trial."""

    number: int
    ended: list[FrozenTrial]
    pending: list[FrozenTrial]
    seen: set[str]


def proposer(sampler: str, objectives: int = 1, kind: type[Proposer] = Proposer) -> Proposer:
    return kind(SPACE, COUNTS, Budget(), sampler, AP_PARAMS[:objectives], 0)


def score(configuration: Configuration) -> float:
    """An objective with many ties."""
    return round(float(configuration["neck.channels"]) / 48 + (configuration["attention.name"] == "eca"), 1)


def end(ledger: Ledger, number: int, objectives: int) -> None:
    """End a trial: one in five fails, and one in five is pruned."""
    found = ledger.trials()[number].params
    values = [score(found), float(COUNTS.total(found) or 0)][:objectives]
    if objectives == 1:
        ledger.report(number, 1, values[0] / 2)
    if number % 5 == 3:
        ledger.tell(number, TrialState.FAIL, None)
    elif number % 5 == 4:
        ledger.tell(number, TrialState.PRUNED, None)
    else:
        ledger.tell(number, TrialState.COMPLETE, values)


def search(
    sampler: str, trials: int, objectives: int = 1, storage: BaseStorage | None = None
) -> Iterator[tuple[Call, Proposal]]:
    """Run a search without training. Of the trials pending, one has ended and one is running."""
    asked = proposer(sampler, objectives)
    ledger = Ledger(storage or optuna.storages.InMemoryStorage(), "study", asked.directions)
    for number in range(trials):
        past = ledger.trials()
        history = max(0, number + 1 - WINDOW)
        call = Call(number, past[:history], past[history:], {identity(trial.params) for trial in past})
        proposal = asked.propose(*call)
        assert proposal is not None
        yield call, proposal
        ledger.add(proposal.configuration, asked.distributions(proposal.configuration), {}, proposal.system_attrs)
        if number:
            end(ledger, number - 1, objectives)


def planted(count: int) -> list[FrozenTrial]:
    """Return ended trials of one configuration, drawn from the space."""
    rng = np.random.default_rng(0)
    configuration = COUNTS.sample(Budget(), rng)
    distributions = proposer("random").distributions(configuration)
    return [
        create_trial(
            value=float(rng.random()),
            params=configuration,
            distributions=distributions,
            system_attrs={GENERATION: number // POPULATION},
        )
        for number in range(count)
    ]


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[FrozenTrial]:
    """The trials that are converted from now on."""
    found: list[FrozenTrial] = []

    def convert(**given: Any) -> FrozenTrial:
        found.append(create_trial(**given))
        return found[-1]

    monkeypatch.setattr(memory, "create_trial", convert)
    return found


@pytest.mark.parametrize(
    ("sampler", "objectives", "trials"),
    [
        ("random", 1, 12),
        ("tpe", 1, 36),
        pytest.param("tpe", 2, 24, marks=pytest.mark.slow),
        ("nsga2", 1, 60),
        ("nsga2", 2, 60),
        pytest.param("gp", 1, 16, marks=pytest.mark.slow),
        pytest.param("gp", 2, 13, marks=pytest.mark.slow),
    ],
)
def test_the_proposals_are_those_of_a_study_that_is_built_anew(sampler: str, objectives: int, trials: int) -> None:
    plain = proposer(sampler, objectives, Rebuilding)
    sources = set()
    for call, proposal in search(sampler, trials, objectives):
        assert proposal == plain.propose(*call)
        sources.add(proposal.source)
    assert ("sampler" in sources) == (sampler != "random")


@pytest.mark.parametrize(
    ("sampler", "objectives", "trials"), [("tpe", 1, 30), ("tpe", 2, 14), ("nsga2", 1, 60), ("nsga2", 2, 60)]
)
def test_a_proposal_does_not_depend_on_earlier_calls(sampler: str, objectives: int, trials: int) -> None:
    made = list(search(sampler, trials, objectives))[9::5]
    used = proposer(sampler, objectives)
    for which in np.random.default_rng(0).permutation(len(made)):
        call, proposal = made[which]
        assert proposer(sampler, objectives).propose(*call) == proposal
        assert used.propose(*call) == proposal
        assert used.propose(*call) == proposal


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_another_history_is_no_continuation(sampler: str) -> None:
    """It is as long as the last one or longer, and differs in one trial, in the order, or in nothing but identity."""
    *_, (call, proposal) = search(sampler, 30)
    used = proposer(sampler)
    assert used.propose(*call) == proposal
    better = copy.deepcopy(call.ended)
    better[0].values = [9.0]
    others = [better, call.ended[1:] + call.ended[:1], copy.deepcopy(call.ended), [*better, *planted(3)]]
    for ended in others:
        expected = proposer(sampler, kind=Rebuilding).propose(call.number, ended, call.pending, call.seen)
        assert used.propose(call.number, ended, call.pending, call.seen) == expected
    assert used.propose(*call) == proposal


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_proposal_converts_only_what_is_new(sampler: str, converted: list[FrozenTrial]) -> None:
    asked, trials, known, waiting = proposer(sampler), planted(300), 0, set[int]()
    for history in (20, 21, 22, 200, 201, 201, 298):
        converted.clear()
        asked.propose(history + 2, trials[:history], trials[history : history + 2], set())
        pending = {history, history + 1}
        assert len(converted) == history - known + len(pending - waiting)
        waiting = pending
        known = history


def test_a_search_on_disk_converts_each_ended_trial_once(converted: list[FrozenTrial], tmp_path: Path) -> None:
    storage, new = open_storage(f"sqlite:///{tmp_path / 'study.db'}"), []
    for _ in search("nsga2", 20, storage=storage):
        new.append(len(converted))
        converted.clear()
    assert max(new[STARTUP["nsga2"] + WINDOW :]) == 1 + WINDOW - 1
