import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from harness.core.budget import Budget
from harness.core.names import load_space
from harness.core.protocol import SAMPLERS
from harness.core.space import Configuration
from harness.counting import SpaceCounts
from harness.errors import BudgetError, InputError
from harness.search.candidates import Proposer, apart, identity
from harness.search.evolution import POPULATION
from harness.search.storage import Ledger

SPACE = load_space("v2_light")
COUNTS = SpaceCounts(SPACE)
BUDGET = Budget()
AP = [StudyDirection.MAXIMIZE]
AP_PARAMS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
WINDOW = 3
TRIALS = {"tpe": 24, "random": 24, "nsga2": 24, "evolution": 56, "gp": 12}
"""Each proposal of the Gaussian process fits one, which takes a second."""


def score(configuration: Configuration) -> float:
    """An objective that a sampler can learn: larger values and some parts are better."""
    wide = float(configuration["neck.channels"]) + 10 * (configuration["attention.name"] == "eca")
    return wide / 60 + 0.1 * (configuration["distill.alpha"] == 0.7)


def search(
    sampler: str, trials: int, seed: int = 0, directions: Sequence[StudyDirection] = AP
) -> tuple[list[Configuration], list[str]]:
    """Run a search without training: configurations and where they came from."""
    proposer = Proposer(SPACE, COUNTS, BUDGET, sampler, directions, seed)
    ledger = Ledger(optuna.storages.InMemoryStorage(), "study", directions)
    sources = []
    for number in range(trials):
        past = ledger.trials()
        history = max(0, number + 1 - WINDOW)
        seen = {identity(trial.params) for trial in past}
        proposal = proposer.propose(number, past[:history], past[history:], seen)
        assert proposal is not None
        found = proposal.configuration
        ledger.add(found, proposer.distributions(found), {}, proposal.system_attrs)
        values = [score(found), float(COUNTS.total(found) or 0)][: len(directions)]
        # One in five fails, and one in five is pruned where that is possible.
        if number % 5 == 3:
            ledger.tell(number, TrialState.FAIL, None)
        elif number % 5 == 4 and len(directions) == 1:
            ledger.report(number, 1, values[0] / 2)
            ledger.tell(number, TrialState.PRUNED, None)
        else:
            ledger.report(number, 1, values[0])
            ledger.tell(number, TrialState.COMPLETE, values)
        sources.append(proposal.source)
    return [trial.params for trial in ledger.trials()], sources


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, list[Configuration]]:
    """The proposals of every sampler in another process, where strings have other hashes."""
    code = "import json, test_candidates as t\n"
    code += "print(json.dumps({name: t.search(name, trials)[0] for name, trials in t.TRIALS.items()}))"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    found: dict[str, list[Configuration]] = json.loads(done.stdout)
    return found


class SamplerContract:
    """What holds for every sampler."""

    sampler = ""

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls) -> tuple[list[Configuration], list[str]]:
        return search(cls.sampler, TRIALS[cls.sampler])

    def test_each_is_in_the_space_fits_the_budget_and_is_new(
        self, found: tuple[list[Configuration], list[str]]
    ) -> None:
        for configuration in found[0]:
            SPACE.check(configuration)
            assert COUNTS.is_feasible(configuration, BUDGET)
        assert len({identity(configuration) for configuration in found[0]}) == TRIALS[self.sampler]

    @pytest.mark.slow
    def test_the_same_seed_proposes_the_same_in_another_process(
        self, found: tuple[list[Configuration], list[str]], elsewhere: dict[str, list[Configuration]]
    ) -> None:
        assert elsewhere[self.sampler] == found[0]

    def test_several_objectives(self) -> None:
        found, _ = search(self.sampler, 11, directions=AP_PARAMS)
        assert all(COUNTS.is_feasible(configuration, BUDGET) for configuration in found)
        assert len({identity(configuration) for configuration in found}) == 11

    def test_the_sampler_is_asked_once_there_are_results(self, found: tuple[list[Configuration], list[str]]) -> None:
        assert set(found[1][:8]) == {"uniform"}
        assert set(found[1][11:]) <= {"sampler", "alike"}


class TestTpe(SamplerContract):
    sampler = "tpe"

    @pytest.mark.parametrize("good", ["eca", "cbam_plus"])
    def test_it_proposes_configurations_like_the_good_ones(self, good: str) -> None:
        """Of the same forty trials, those with one kind of attention are said to be better."""
        rng = np.random.default_rng(0)
        past = [
            _trial(number, configuration, 0.5 * (configuration["attention.name"] == good) + 0.01 * rng.random())
            for number, configuration in enumerate(COUNTS.sample(BUDGET, rng) for _ in range(40))
        ]
        proposer = Proposer(SPACE, COUNTS, BUDGET, "tpe", AP, 0)
        proposals = [proposer.propose(number, past, [], set()) for number in range(40, 60)]
        chosen = [p.configuration["attention.name"] for p in proposals if p is not None and p.source == "sampler"]
        assert len(chosen) > 10
        assert chosen.count(good) > 0.6 * len(chosen)


class TestNsga2(SamplerContract):
    sampler = "nsga2"

    def test_generations_follow_one_another(self) -> None:
        """A proposal carries its generation, without which NSGA-II would draw at random for ever."""
        drawn = [COUNTS.sample(BUDGET, np.random.default_rng(number)) for number in range(10)]
        ended = [_trial(number, c, score(c), {"NSGAIISampler:generation": 0}) for number, c in enumerate(drawn)]
        proposer = Proposer(SPACE, COUNTS, BUDGET, "nsga2", AP, 0)
        proposal = proposer.propose(10, ended, [], {identity(trial.params) for trial in ended})
        assert proposal is not None
        assert list(proposal.system_attrs.values()) == [1]


class TestEvolution(SamplerContract):
    sampler = "evolution"

    def test_the_sampler_is_asked_once_there_are_results(self, found: tuple[list[Configuration], list[str]]) -> None:
        assert set(found[1][:POPULATION]) == {"uniform"}
        assert set(found[1][-8:]) == {"sampler"}


@pytest.mark.slow
class TestGaussianProcess(SamplerContract):
    sampler = "gp"


class TestRandom(SamplerContract):
    sampler = "random"

    def test_the_sampler_is_asked_once_there_are_results(self, found: tuple[list[Configuration], list[str]]) -> None:
        assert set(found[1]) == {"uniform"}


def _trial(number: int, configuration: Configuration, value: float, attrs: dict[str, int] | None = None) -> FrozenTrial:
    proposer = Proposer(SPACE, COUNTS, BUDGET, "random", AP, 0)
    trial = optuna.trial.create_trial(
        params=configuration,
        distributions=proposer.distributions(configuration),
        value=value,
        system_attrs=attrs or {},
    )
    trial.number = number
    return trial


def test_all_samplers_are_tested() -> None:
    assert {contract.sampler for contract in SamplerContract.__subclasses__()} == set(SAMPLERS)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_feasible_configuration_is_tried_once_and_then_none(sampler: str) -> None:
    space = load_space("v1_to_v2")
    counts = SpaceCounts(space)
    budget = Budget(min(counts.total(c) or 10**9 for c in space.enumerate()) + 10_000)
    proposer = Proposer(space, counts, budget, sampler, AP, 0)
    ledger = Ledger(optuna.storages.InMemoryStorage(), "study", AP)
    for number in range(proposer.feasible):
        past = ledger.trials()
        proposal = proposer.propose(number, past, [], {identity(trial.params) for trial in past})
        assert proposal is not None
        ledger.add(proposal.configuration, proposer.distributions(proposal.configuration), {}, {})
        ledger.tell(number, TrialState.COMPLETE, [float(counts.total(proposal.configuration) or 0)])
    seen = {identity(trial.params) for trial in ledger.trials()}
    assert seen == {identity(c) for c in space.enumerate() if counts.is_feasible(c, budget)}
    assert proposer.propose(proposer.feasible, ledger.trials(), [], seen) is None


def test_wider_is_further_and_additional_axes_count() -> None:
    base: Configuration = {"neck.channels": 36, "attention.name": "none"}
    reach = 48 - 24
    assert apart(SPACE, base, base) == 0
    assert apart(SPACE, base, {**base, "neck.channels": 40}) == pytest.approx(4 / reach)
    assert apart(SPACE, base, {**base, "neck.channels": 48}) == pytest.approx(12 / reach)
    assert apart(SPACE, base, {**base, "attention.name": "eca"}) == 1
    assert apart(SPACE, base, {**base, "attention.name": "se", "attention.reduction": 16}) == 2
    assert apart(SPACE, {**base, "attention.name": "se", "attention.reduction": 16}, base) == 2


def test_a_budget_below_everything_is_refused_with_the_smallest_count() -> None:
    with pytest.raises(BudgetError, match=rf"smallest configuration has {COUNTS.smallest:,}"):
        Proposer(SPACE, COUNTS, Budget(213_000), "tpe", AP, 0)


class TestEnqueued:
    """Configurations that the study gives are proposed first."""

    @pytest.fixture
    def given(self) -> list[Configuration]:
        rng = np.random.default_rng(1)
        return [COUNTS.sample(BUDGET, rng) for _ in range(2)]

    @pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
    def test_they_are_the_first_trials_and_the_others_stay(self, sampler: str, given: list[Configuration]) -> None:
        with_them = Proposer(SPACE, COUNTS, BUDGET, sampler, AP, 0, given)
        without = Proposer(SPACE, COUNTS, BUDGET, sampler, AP, 0)
        seen = {identity(configuration) for configuration in given}
        for number, configuration in enumerate(given):
            proposal = with_them.propose(number, [], [], set())
            assert proposal is not None
            assert (proposal.configuration, proposal.source) == (configuration, "enqueued")
        assert with_them.propose(2, [], [], seen) == without.propose(2, [], [], seen)

    def test_the_sampler_learns_from_them(self, given: list[Configuration]) -> None:
        proposer = Proposer(SPACE, COUNTS, BUDGET, "nsga2", AP, 0, given)
        first = proposer.propose(0, [], [], set())
        drawn = proposer.propose(2, [], [], set())
        assert first is not None
        assert drawn is not None
        assert first.system_attrs == drawn.system_attrs == {"NSGAIISampler:generation": 0}

    def test_one_outside_the_space_is_refused(self, given: list[Configuration]) -> None:
        with pytest.raises(InputError, match=r"axis 'neck.channels' offers \[24, .*, not 25"):
            Proposer(SPACE, COUNTS, BUDGET, "random", AP, 0, [{**given[0], "neck.channels": 25}])

    def test_one_over_the_budget_is_refused(self, given: list[Configuration]) -> None:
        with pytest.raises(BudgetError, match="over the budget"):
            Proposer(SPACE, COUNTS, Budget(COUNTS.smallest), "random", AP, 0, given)

    def test_a_repeated_one_is_refused(self, given: list[Configuration]) -> None:
        with pytest.raises(InputError, match="two of the 3 enqueued configurations are the same"):
            Proposer(SPACE, COUNTS, BUDGET, "random", AP, 0, [*given, given[0]])
