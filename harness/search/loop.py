"""The search loop: proposes, trains and tells trials, several at once; the outcome does not depend on their timing.

A trial is pruned against the trials from whose results it was proposed (``trials``). Selection uses AP on the search
split; validation images are read at the end, for the references, the best student and its repeats.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import TrialState

from harness.core.protocol import OBJECTIVES
from harness.core.record import TrialRecord, load_records
from harness.core.scores import Scored
from harness.core.space import Configuration
from harness.errors import HarnessError
from harness.evaluation.fronts import spread
from harness.evaluation.objectives import costs, normalised
from harness.search.agreement import STATES
from harness.search.candidates import Proposer
from harness.search.plan import Plan, label
from harness.search.pool import Event, Pool
from harness.search.progress import Board, Progress, Running
from harness.search.pruning import Rule, Rules
from harness.search.scoring import Scoring, in_order
from harness.search.seeds import next_seeds
from harness.search.shared import NAME as SHARED_WEIGHTS
from harness.search.shared import SharedTraining, keep_slices
from harness.search.shortlist import differing, looked_at, unlisted
from harness.search.tally import Tally
from harness.search.timing import seconds_left
from harness.search.trials import Trials
from harness.tracking import Tracker
from harness.training.job import WEIGHTS, TrainResult
from harness.training.reuse import Finished, fingerprint
from harness.training.score import ScoreJob

_BETTER = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MINIMIZE)
DIRECTIONS = dict(zip(OBJECTIVES, _BETTER, strict=True))


@dataclass
class _Training:
    """A training that runs in a worker.

    Attributes:
        record: the record that it fills.
        rule: decides whether it is pruned; None outside the search.
        grading: whether the network is trained already and only its validation AP is computed.
        begun: time when its worker became free, seconds of ``time.monotonic``.
        spent: seconds that its record already holds from before.
        kills: number of times in a row that its worker was killed from outside before it ended a further epoch.
        reached: epochs that it has ended at most.
    """

    record: TrialRecord
    rule: Rule | None
    grading: bool
    begun: float
    spent: float
    kills: int = 0
    reached: int = 0


class Search:
    """Runs the search of one study, from the trials in its ledger up to ``config.trials`` trials.

    Args:
        plan: the fixed settings of the study.
        trials: proposes the candidates, and is told their results.
        proposer: the same one that ``trials`` has.
        pool: the workers.
        tracker: receives every epoch.
        progress: displays the state of the search.
        finished: trainings that are not repeated.

    Attributes:
        records: label → record of every reference and candidate; ``tally``: sums over them.
        changed: called after a trial is told.
        workers: number of trainings at once.
        trained: whether this run trained anything.
        idle_share: share of the workers' time without a trial, set when ``run`` ends.
    """

    def __init__(
        self,
        plan: Plan,
        trials: Trials,
        proposer: Proposer,
        pool: Pool,
        tracker: Tracker,
        progress: Progress,
        finished: Finished,
    ) -> None:
        self.plan = plan
        self.proposer = proposer
        self.pool = pool
        self.workers = pool.idle
        self.tracker = tracker
        self.progress = progress
        self.finished = finished
        self.changed: Callable[[], None] = lambda: None
        self.records = {record.label: record for record in load_records(plan.folder) if record.role != "teacher"}
        self.tally = Tally(self.records.values())
        self.trained = False
        self.idle_share = 0.0
        self.trials = trials
        self._ready: deque[str] = deque()
        self._running: dict[str, _Training] = {}
        self._busy = 0.0
        self._recovering = False
        self._rules = Rules(plan.config)
        sharing = plan.config.sharing
        self.scoring = None if sharing is None else self._scoring()
        self._shared = SharedTraining(plan, pool, progress)
        wanted = max(plan.config.trials, len(self.trials)) if sharing is None else sharing.finalists
        self._fixed = len(list(plan.references())) + (0 if sharing is None else len(list(plan.inheriting([]))))
        self.board = Board(plan.config.name, proposer.feasible, proposer.counts.size, wanted)
        if plan.config.ablation is not None:
            self.board = Board(plan.config.name, unit="trainings")

    def run(self) -> None:
        """Train until all trials are told, then grade the best student and train its repeats.

        Raises:
            HarnessError, OSError: an error that every later trial would meet too; the study can be resumed.
        """
        begun = time.monotonic()
        if self.scoring is None:
            self._recover()
        self._line_up(self.plan.references())
        self._line_up(self._arms())
        if self.scoring is None:
            self._line_up_interrupted()
            self._tell()
        elif self.plan.config.trials:
            self._shared.start()
        self._show()
        self._work()
        while due := [record for record in self._arms() if record.label not in self.records]:
            self._line_up(due)
            self._work()
        if self.scoring is not None and self.plan.config.trials:
            self._score(self.scoring)
            self._work()
        if self.best is not None:
            if not self.best.ap:
                self._ready.append(self.best.label)
            self._line_up(self.plan.repeats(self.best))
            self._work()
        self.idle_share = 1 - self._busy / max((time.monotonic() - begun) * self.workers, 1e-9)

    def _arms(self) -> Iterator[TrialRecord]:
        """Yield the trainings that an ablation wants, given those that are complete."""
        ablation = self.plan.config.ablation
        if ablation is not None:
            yield from self.plan.arms(next_seeds(ablation, list(self.records.values())))

    def _scoring(self) -> Scoring:
        plan = self.plan

        def job(number: int, configuration: Configuration) -> ScoreJob:
            return plan.scoring(label(number), plan.space.arch(configuration))

        def objectives(scored: Scored) -> list[float]:
            return self.objectives(plan.scored(scored))

        def params(configuration: Configuration) -> int:
            found = self.proposer.counts.total(configuration)
            assert found is not None, "only what can be built is proposed"
            return found

        return Scoring(plan.folder, self.trials, self.pool, self.progress, job, params, objectives)

    def _score(self, scoring: Scoring) -> None:
        """Score the candidates, and queue the best ones and the references for training from their slices."""
        before = len(scoring.scores)
        scoring.run()
        self.trained |= len(scoring.scores) > before
        due = list(self.plan.inheriting(self._finalists(scoring)))
        keep_slices([record for record in due if not record.repeat_of], self.plan, self.pool, self.progress)
        self._line_up(due)

    def _finalists(self, scoring: Scoring) -> list[Scored]:
        """Return the candidates that are trained to the end: the best of the short list, or by score without one.

        With several objectives, both the short list and the finalists span the best front.
        """
        sharing, several = self.plan.config.sharing, len(self.plan.config.objectives) > 1
        assert sharing is not None, "only scored candidates have finalists"
        ranked = scoring.ranked()
        if sharing.shortlist:
            listed = (
                self._spread(ranked, sharing.shortlist)
                if several
                else differing(ranked, sharing.shortlist, sharing.apart)
            )
            ranked = in_order(looked_at(listed, self.plan.folder, self.pool, self.progress, self.plan.look))
        return self._spread(ranked, sharing.finalists) if several else ranked[: sharing.finalists]

    def _spread(self, ranked: Sequence[Scored], number: int) -> list[Scored]:
        """Return the candidates that span the best front of the objectives."""
        points = normalised([self.plan.scored(one) for one in ranked], self.plan.config)
        return [ranked[position] for position in spread(points, number)]

    def _work(self) -> None:
        """Train until no training is running, queued or wanted."""
        while self._fill() or self._running or self._shared.running:
            for event in self.pool.wait():
                if event.label == SHARED_WEIGHTS:
                    self._shared.handle(event)
                else:
                    self._handle(event)
            self._show()

    def _line_up(self, wanted: Iterable[TrialRecord]) -> None:
        """Queue the trainings of ``wanted``, all outside the search, that are not complete."""
        for record in wanted:
            known = self.records.get(record.label)
            if known is not None and known.state == "complete":
                continue
            if known is not None:
                record.seconds, record.provenance, record.read_from = known.seconds, known.provenance, known.read_from
            self._take(record)
            self._ready.append(record.label)

    def _recover(self) -> None:
        """Make the records again of trials that had ended, where they were lost since.

        Such a training goes on from its checkpoint at its end, if that is there; a failed one is not repeated. One
        follows the other, because earlier trials decide where a trial is pruned.
        """
        self._recovering = True
        for trial in self.trials.all:
            name = label(trial.number)
            record = self.records.get(name) or self.plan.candidate(trial.number, trial.params)
            if not trial.state.is_finished() or (name in self.records and record.state != "running"):
                continue
            self._take(record)
            self.progress.line(f"{name}: its record was lost, and is made again")
            if trial.state == TrialState.FAIL:
                record.state, record.reason = "failed", "it failed; the record that said why was lost"
                self._keep(record)
            else:
                self._ready.append(name)
                self._work()
        self._recovering = False

    def _line_up_interrupted(self) -> None:
        """Queue the candidates that were running when an earlier run ended."""
        for trial in self.trials.all:
            name = label(trial.number)
            if trial.state.is_finished():
                continue
            if name not in self.records:
                self._take(self.plan.candidate(trial.number, trial.params))
            if self.records[name].state == "running":
                self._ready.append(name)

    def _take(self, record: TrialRecord) -> None:
        self.records[record.label] = record
        self.tally.note(record)

    def _fill(self) -> bool:
        """Start trainings on idle workers, and return whether any was started."""
        started = False
        while self.pool.idle:
            begun = time.monotonic()
            if not self._ready and not self._propose():
                break
            self._start(self._ready.popleft(), begun)
            started = True
        return started

    def _propose(self) -> bool:
        """Propose the next trial if the search trains its trials, and return whether there is one."""
        if self.scoring is not None or self._recovering:
            return False
        before = self.trials.exhausted
        trial = self.trials.propose()
        if trial is None:
            if self.trials.exhausted and not before:
                self.progress.line(f"all {self.proposer.feasible:,} configurations that fit the budget were tried")
            return False
        self._take(self.plan.candidate(trial.number, trial.params))
        self._ready.append(label(trial.number))
        return True

    def _start(self, name: str, begun: float, kills: int = 0, reached: int = 0) -> None:
        record, job = self.records[name], self.plan.job(self.records[name])
        grading = record.state == "complete"
        rule = None
        if not grading:
            if record.number is not None and self.scoring is None:
                before = self.trials.before(record.number)
                rule = self._rules.rule(record, before, lambda number: self.records[label(number)])
            # A resumed job reports its past epochs again, so the record starts over, except for its time.
            record.epochs, record.state, record.reason = [], "running", ""
            record.training = fingerprint(job, self.plan.images)
            earlier = self.finished.lend(record.training, job.folder)
            if earlier is not None:
                record.read_from, record.provenance = earlier.name, earlier.provenance
            elif not record.read_from:
                record.add_provenance(self.plan.provenance)
            self.trained = True
        self._running[name] = _Training(record, rule, grading, begun, record.seconds.get("total", 0.0), kills, reached)
        self._keep(record)
        self.pool.start(name, replace(job, grade=True) if grading else job)
        self.board.running[name] = Running(name, record.params, self.plan.config.train.epochs)

    def _keep(self, record: TrialRecord) -> None:
        training = self._running.get(record.label)
        if training is not None:
            # The seconds of an epoch that SIGTERM interrupted are in the checkpoint, and not in the record of before.
            known = record.seconds.get("train", 0.0) + record.seconds.get("evaluate", 0.0)
            record.seconds["total"] = max(training.spent + time.monotonic() - training.begun, known)
        self.tally.note(record)
        record.save(self.plan.trial_folder(record.label))
        self.tracker.trial(record)

    def _handle(self, event: Event) -> None:
        if event.kind == "fatal":
            raise event.content
        if event.kind == "epoch":
            self._epoch(self._running[event.label], event.content)
            return
        training = self._running[event.label]
        record = training.record
        fails = event.kind == "failed" or (event.exhausted and training.kills > 0)  # It would never end.
        if event.kind == "killed" and not fails:
            self._restart(training, event.content)
            return
        if fails:
            if training.grading:
                raise HarnessError(f"{record.label} could not be graded: {event.content}")
            record.state, record.reason = "failed", str(event.content)
            if event.details:
                (self.plan.trial_folder(event.label) / "error.txt").write_text(event.details, encoding="utf-8")
        else:
            self._finish(record, event.content)
        if self._recovering:
            self._require_same(record)
        self._keep(record)
        self._busy += time.monotonic() - training.begun
        del self._running[event.label]
        del self.board.running[event.label]
        self._say(record, graded=training.grading)
        self._tell()

    def _finish(self, record: TrialRecord, result: TrainResult) -> None:
        result.fill(record)
        weights = self.plan.trial_folder(record.label) / WEIGHTS
        record.size_mb = weights.stat().st_size / 1e6 if weights.exists() else 0.0
        if record.state == "pruned":
            record.reason = f"stopped after epoch {len(record.epochs)} by the {self.plan.config.pruner} rule"

    def _require_same(self, record: TrialRecord) -> None:
        """Refuse a repeated training that ended otherwise than the first one: later trials follow from the first.

        Raises:
            HarnessError: names the trial.
        """
        trial = self.trials.all[record.number or 0]
        completed = trial.state == TrialState.COMPLETE and record.state == "complete"
        if STATES[record.state] != trial.state or (completed and trial.values[0] != mean_ap(record)):
            raise HarnessError(
                f"{record.label}: trained again without its record, it does not end as the storage says, because the "
                "machine or the libraries differ: put the record back, or choose another --name"
            )

    def _restart(self, training: _Training, cause: str) -> None:
        """Continue a training whose worker was killed from outside; the second time in an epoch, end the run.

        Raises:
            HarnessError: it was killed before in this epoch. Its record says ``running``, so the same command trains it
                again.
        """
        name = training.record.label
        if training.kills:
            raise HarnessError(f"{name}: {cause}, for the second time; the same command trains it again")
        self.progress.line(f"{name}: {cause}; it continues from its last checkpoint")
        self._keep(training.record)
        self._busy += time.monotonic() - training.begun
        del self._running[name]
        self._start(name, time.monotonic(), training.kills + 1, training.reached)

    def _epoch(self, training: _Training, info: dict[str, Any]) -> None:
        record, value = training.record, info["ap"].get("mean")
        if training.grading:
            self.pool.answer(record.label, go_on=True)
            return
        record.epochs.append(info)
        if len(record.epochs) > training.reached:
            training.reached, training.kills = len(record.epochs), 0
        go_on = True
        if training.rule is not None and record.number is not None and value is not None:
            if len(self.plan.config.objectives) == 1:
                self.trials.report(record.number, info["epoch"], value)
            last = info["epoch"] == self.plan.config.train.epochs
            go_on = last or not training.rule.stops(info["epoch"], value)
        self._keep(record)
        running = self.board.running[record.label]
        running.epoch = info["epoch"]
        running.ap = running.ap if value is None else value
        self.pool.answer(record.label, go_on)

    def _tell(self) -> None:
        """Tell the trials that have ended, in the order of their numbers."""
        if self.scoring is not None:
            return  # Trials are told their scores.
        while self.trials.told < len(self.trials):
            record = self.records[label(self.trials.told)]
            if record.state == "running":
                return
            values = self.objectives(record) if record.state == "complete" else None
            self.trials.tell(STATES[record.state], values)
            self.changed()

    def objectives(self, record: TrialRecord) -> list[float]:
        """Return a complete record's objective values, in the order of the study's objectives.

        AP is that on the search split, latency the predicted one relative to V1's.
        """
        return [mean_ap(record), *costs(record, self.plan.config.objectives)]

    @property
    def best(self) -> TrialRecord | None:
        """The candidate trained to the end with the highest mean AP on the search split.

        Fewer parameters break a tie.
        """
        return self.tally.best

    def candidates(self) -> list[TrialRecord]:
        """Return the candidates' records by number."""
        return sorted((r for r in self.records.values() if r.number is not None), key=lambda r: r.label)

    def _say(self, record: TrialRecord, *, graded: bool) -> None:
        ap = (record.ap if graded else record.search_ap).get("mean")
        what = "" if ap is None else f", {'validation' if graded else 'search'} AP {100 * ap:.1f}"
        why = f" ({record.reason})" if record.reason else ""
        state = "graded" if graded else f"read from {record.read_from}" if record.read_from else record.state
        self.progress.line(f"{record.label}: {state}{why}{what}, {record.params:,} parameters")

    @property
    def trainings(self) -> int:
        """Number of trainings of the study: references, ablation's networks, candidates, and the best one's repeats."""
        config = self.plan.config
        if config.ablation is not None:
            return len(self.records)
        known = sum(self.tally.states(candidates=True).values())
        candidates = known if self.trials.exhausted else self.board.wanted
        return self._fixed + (candidates + config.seeds - 1 if config.trials else 0)

    def _show(self) -> None:
        config = self.plan.config
        self.tally.fill(self.board, ablation=config.ablation is not None)
        scores = {} if self.scoring is None else self.scoring.scores
        unscored = 0 if self.scoring is None else config.trials - len(scores)
        looks = unlisted(config, self.plan.folder)
        self.board.seconds_left = seconds_left(
            self.tally, self.trainings, config.train.epochs, scores.values(), unscored, looks, self.workers
        )
        self.progress.board(self.board)


def mean_ap(record: TrialRecord) -> float:
    """Return the mean AP on the search split of a network trained to the end.

    Raises:
        HarnessError: the record has none, because it was edited or has another version.
    """
    value = record.search_ap.get("mean")
    if value is None:
        raise HarnessError(f"the record of {record.label} has no AP on the search split: remove its folder")
    return value
