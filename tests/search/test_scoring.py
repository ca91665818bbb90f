"""Scoring candidates: the sequence depends on the scores only, and nothing is lost."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from optuna.trial import TrialState

from harness.core.budget import Budget
from harness.core.names import load_space
from harness.core.scores import FILE, Scored, append_score, load_scores
from harness.core.space import Configuration
from harness.counting import SpaceCounts
from harness.errors import DataError, HarnessError
from harness.search.candidates import Proposer
from harness.search.loop import DIRECTIONS
from harness.search.pool import Event
from harness.search.scoring import Scoring
from harness.search.storage import Ledger, open_storage
from harness.search.trials import Trials
from harness.training.score import Score

pytestmark = pytest.mark.slow

SPACE = load_space("architectures")
COUNTS = SpaceCounts(SPACE)


def planted(configuration: Configuration) -> float:
    wide = float(configuration["neck.channels"]) / 100
    return round(wide + random.Random(repr(sorted(configuration.items()))).uniform(0, 0.2), 4)


@dataclass
class Workers:
    """Workers that end in any order. ``fail``: number → kind of the event instead of a score, ``repeat`` times."""

    count: int = 2
    order: int = 0
    fail: dict[int, str] = field(default_factory=dict)
    repeat: int = 1
    interrupt: int | None = None
    started: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.order)
        self._jobs: dict[str, tuple[int, Configuration]] = {}

    @property
    def idle(self) -> int:
        return self.count - len(self._jobs)

    def start(self, label: str, job: tuple[int, Configuration]) -> None:
        self.started.append(job[0])
        self._jobs[label] = job

    def wait(self) -> list[Event]:
        if len(self.started) == self.interrupt:
            raise KeyboardInterrupt
        label = self._draw.choice(sorted(self._jobs))
        number, configuration = self._jobs.pop(label)
        kind = self.fail.get(number) if self.started.count(number) <= self.repeat else None
        if kind is not None:
            return [Event(kind, label, OSError(28, "disk full") if kind == "fatal" else "its reason")]
        ap = planted(configuration)
        return [Event("result", label, Score({"easy": ap, "medium": ap, "hard": ap, "mean": ap}, 0.5))]


def scoring(
    folder: Path, workers: Workers, trials: int = 24, sampler: str = "tpe", budget: Budget | None = None
) -> Scoring:
    ledger = Ledger(open_storage(f"sqlite:///{folder / 'study.db'}"), "scored", [DIRECTIONS["ap"]])
    proposer = Proposer(SPACE, COUNTS, budget or Budget(), sampler, [DIRECTIONS["ap"]], seed=0)
    return Scoring(
        folder,
        Trials(ledger, proposer, trials, window=4),
        cast(Any, workers),
        cast(Any, SimpleNamespace(stage=lambda *_: None, line=lambda _: None)),
        cast(Any, lambda number, configuration: (number, configuration)),
        lambda configuration: COUNTS.total(configuration) or 0,
        lambda scored: [scored.ap["mean"] or 0.0],
    )


def outcome(folder: Path) -> dict[int, tuple[Any, ...]]:
    return {n: (s.configuration, s.params, s.ap, s.reason) for n, s in sorted(load_scores(folder).items())}


def test_every_candidate_fits_is_new_and_is_told_its_score(tmp_path: Path) -> None:
    run = scoring(tmp_path, Workers())
    run.run()
    scores = load_scores(tmp_path)
    assert sorted(scores) == list(range(24))
    assert all(s.params <= Budget().max_params for s in scores.values())
    assert len({repr(sorted(s.configuration.items())) for s in scores.values()}) == 24
    ledger = Ledger(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "scored", [DIRECTIONS["ap"]])
    assert [t.value for t in ledger.trials()] == [scores[n].ap["mean"] for n in range(24)]
    assert {t.user_attrs["source"] for t in ledger.trials()} >= {"uniform", "sampler"}
    best = run.ranked()[:3]
    assert [one.ap["mean"] for one in best] == sorted((s.ap["mean"] for s in scores.values()), reverse=True)[:3]  # type: ignore[type-var]


def test_the_sequence_does_not_depend_on_workers_timing_or_interruptions(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("alone", "many", "interrupted")]
    for folder in folders:
        folder.mkdir()
    scoring(folders[0], Workers(count=1)).run()
    scoring(folders[1], Workers(count=3, order=5)).run()
    for stop in (3, 5, 4, 7):
        with pytest.raises(KeyboardInterrupt):
            scoring(folders[2], Workers(order=stop, interrupt=stop)).run()
    last = Workers()
    scoring(folders[2], last).run()
    assert outcome(folders[1]) == outcome(folders[2]) == outcome(folders[0])
    assert len(last.started) < 24, "what was scored is not scored again"


def test_a_candidate_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    run = scoring(tmp_path, Workers(fail={2: "failed"}), trials=8)
    run.run()
    assert (run.scores[2].ap, run.scores[2].reason) == ({}, "its reason")
    assert len(run.scores) == 8
    assert 2 not in [one.number for one in run.ranked()]
    ledger = Ledger(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "scored", [DIRECTIONS["ap"]])
    assert ledger.trials()[2].state == TrialState.FAIL


def test_a_killed_worker_scores_again_once(tmp_path: Path) -> None:
    workers = Workers(fail={1: "killed"})
    run = scoring(tmp_path, workers, trials=4)
    run.run()
    assert workers.started.count(1) == 2
    assert run.scores[1].ap
    again = tmp_path / "again"
    again.mkdir()
    run = scoring(again, Workers(fail={1: "killed"}, repeat=2), trials=4)
    with pytest.raises(HarnessError, match="0001: its reason, for the second time"):
        run.run()


def test_a_fatal_error_ends_the_run_and_the_next_one_resumes(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"):
        scoring(tmp_path, Workers(fail={3: "fatal"}), trials=6).run()
    run = scoring(tmp_path, Workers(), trials=6)
    run.run()
    assert len(run.scores) == 6


def test_it_ends_when_everything_that_fits_was_scored(tmp_path: Path) -> None:
    budget = Budget(COUNTS.smallest + 40)
    feasible = COUNTS.feasible(budget)
    assert 1 < feasible < 20
    run = scoring(tmp_path, Workers(), trials=40, sampler="random", budget=budget)
    run.run()
    assert run.trials.exhausted
    assert len(run.scores) == feasible


def test_a_line_that_was_not_written_whole_is_removed_and_a_broken_one_is_named(tmp_path: Path) -> None:
    append_score(tmp_path, Scored(0, {"neck.channels": 24}, 7, {"mean": 0.5}))
    with (tmp_path / FILE).open("a") as file:
        file.write('{"number": 1, "conf')
    assert list(load_scores(tmp_path)) == [0]
    append_score(tmp_path, Scored(1, {}, 8, reason="diverged"))
    assert [s.reason for s in load_scores(tmp_path).values()] == ["", "diverged"]
    with (tmp_path / FILE).open("a") as file:
        file.write("no score\n")
    with pytest.raises(DataError, match=rf"{FILE}, line 3, is no score"):
        load_scores(tmp_path)
    assert load_scores(tmp_path / "nothing") == {}
