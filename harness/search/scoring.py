"""``Scoring``: proposes candidates and scores them with shared weights, several at once.

As in ``loop``, candidate n is proposed from the scores of candidates 0 … n - window only, and scores are told in the
order of their numbers. So the sequence depends neither on the workers and their timing nor on interruptions.
"""

from collections.abc import Callable
from pathlib import Path

from optuna.trial import TrialState

from harness.core.scores import Scored, append_score, load_scores
from harness.core.space import Configuration
from harness.errors import HarnessError
from harness.search.candidates import Proposer, identity
from harness.search.plan import label
from harness.search.progress import Progress
from harness.search.storage import HISTORY, Ledger
from harness.search.workers import Event, Pool
from harness.training.score import ScoreJob

Objectives = Callable[[Scored], list[float]]
"""Returns the objective values of a candidate that was scored."""


class Scoring:
    """Scores candidates, up to a number of them.

    Args:
        folder: the study's folder, where every score is kept.
        ledger: the trials so far; every score is told to it.
        proposer: chooses configurations.
        pool: the workers.
        progress: displays how far it is.
        job: number and configuration → what a worker scores.
        objectives: what the ledger is told.
        trials: number of candidates.
        window: candidate n is proposed from the scores of candidates 0 … n - window.

    Attributes:
        scores: number → candidate that was scored, or failed to be.
        exhausted: whether all configurations that fit were proposed.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        proposer: Proposer,
        pool: Pool,
        progress: Progress,
        job: Callable[[int, Configuration], ScoreJob],
        objectives: Objectives,
        trials: int,
        window: int,
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._proposer = proposer
        self._pool = pool
        self._progress = progress
        self._job = job
        self._objectives = objectives
        self._wanted, self._window = trials, window
        self.scores = load_scores(folder)
        self.exhausted = False
        self._trials = ledger.trials()
        self._seen = {identity(trial.params) for trial in self._trials}
        self._told = sum(trial.state.is_finished() for trial in self._trials)
        self._waiting = [t.number for t in self._trials if t.number not in self.scores]
        self._running: dict[str, int] = {}
        self._killed: set[int] = set()

    def run(self) -> None:
        """Score until all candidates are told.

        Raises:
            HarnessError, OSError: an error that every later candidate would meet too; the study can be resumed.
        """
        self._tell()
        while self._fill() or self._running:
            self._show()
            for event in self._pool.wait():
                self._handle(event)
        self._show()

    def best(self, number: int) -> list[Scored]:
        """Return the candidates with the highest mean AP, best first; fewer parameters break a tie."""
        scored = [scored for scored in self.scores.values() if scored.ap.get("mean") is not None]
        return sorted(scored, key=lambda one: (-(one.ap["mean"] or 0.0), one.params, one.number))[:number]

    def _fill(self) -> bool:
        started = False
        while self._pool.idle and (self._waiting or self._propose()):
            number = self._waiting.pop(0)
            self._pool.start(label(number), self._job(number, self._trials[number].params))
            self._running[label(number)] = number
            started = True
        return started

    def _propose(self) -> bool:
        """Propose the next candidate if one is wanted and its history is complete; return whether there is one."""
        number = len(self._trials)
        if number >= self._wanted or number - self._told >= self._window or self.exhausted:
            return False
        history = max(0, number + 1 - self._window)
        proposal = self._proposer.propose(number, self._trials[:history], self._trials[history:], self._seen)
        if proposal is None:
            self.exhausted = True
            return False
        self._ledger.add(
            proposal.configuration,
            self._proposer.distributions(proposal.configuration),
            {HISTORY: history, "source": proposal.source, "rejected": proposal.rejected},
            proposal.system_attrs,
        )
        self._trials = self._ledger.trials()
        self._seen.add(identity(proposal.configuration))
        self._waiting.append(number)
        return True

    def _handle(self, event: Event) -> None:
        number = self._running.pop(event.label)
        if event.kind == "fatal":
            raise event.content
        if event.kind == "killed":
            if number in self._killed:
                raise HarnessError(f"{event.label}: {event.content}, for the second time; the same command resumes")
            self._killed.add(number)
            self._progress.line(f"{event.label}: {event.content}; it is scored again")
            self._waiting.insert(0, number)
            return
        configuration = self._trials[number].params
        params = self._proposer.counts.total(configuration)
        assert params is not None, "only what can be built is proposed"
        if event.kind == "failed":
            scored = Scored(number, configuration, params, reason=str(event.content))
            self._progress.line(f"{event.label}: could not be scored ({event.content})")
        else:
            scored = Scored(number, configuration, params, event.content.ap, seconds=event.content.seconds)
        append_score(self._folder, scored)
        self.scores[number] = scored
        self._tell()

    def _tell(self) -> None:
        """Tell the candidates that were scored, in the order of their numbers."""
        while self._told < len(self._trials) and self._told in self.scores:
            scored = self.scores[self._told]
            failed = scored.ap.get("mean") is None
            state = TrialState.FAIL if failed else TrialState.COMPLETE
            self._ledger.tell(self._told, state, None if failed else self._objectives(scored))
            self._told += 1
            self._trials = self._ledger.trials()

    def _show(self) -> None:
        best = self.best(1)
        what = f", best {label(best[0].number)}: AP {100 * (best[0].ap['mean'] or 0):.1f}" if best else ""
        self._progress.stage(f"candidates scored{what}", len(self.scores), self._wanted)
