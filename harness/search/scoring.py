"""``Scoring``: proposes candidates and scores them with shared weights, several at once.

Candidates are trials as in ``loop``: each is told its score instead of the AP of a full training.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path

from optuna.trial import TrialState

from harness.core.scores import Scored, append_score, load_scores
from harness.core.space import Configuration
from harness.search.batch import run_all
from harness.search.plan import label
from harness.search.pool import Event, Pool
from harness.search.progress import Progress
from harness.search.trials import Trials
from harness.training.score import ScoreJob

Objectives = Callable[[Scored], list[float]]
"""Returns the objective values of a candidate that was scored."""


class Scoring:
    """Scores candidates, up to a number of them.

    Args:
        folder: the study's folder, where every score is kept.
        trials: proposes the candidates, and is told their scores; an attribute too.
        pool: the workers.
        progress: displays how far it is.
        job: number and configuration → what a worker scores.
        params: configuration → number of parameters.
        objectives: what is told.

    Attributes:
        scores: number → candidate that was scored, or failed to be.
    """

    def __init__(
        self,
        folder: Path,
        trials: Trials,
        pool: Pool,
        progress: Progress,
        job: Callable[[int, Configuration], ScoreJob],
        params: Callable[[Configuration], int],
        objectives: Objectives,
    ) -> None:
        self._folder = folder
        self.trials = trials
        self._pool = pool
        self._progress = progress
        self._job, self._params, self._objectives = job, params, objectives
        self.scores = load_scores(folder)
        self._best = reduce(_better, self.scores.values(), None)
        self._waiting = [t.number for t in trials.all if t.number not in self.scores]

    def run(self) -> None:
        """Score until all candidates are told.

        Raises:
            HarnessError, OSError: an error that every later candidate would meet too; the study can be resumed.
        """
        self._tell()
        run_all(self._next, self._pool, self._progress, self._ended, self._show)

    def ranked(self) -> list[Scored]:
        """Return the candidates that have a score, best first."""
        return in_order([scored for scored in self.scores.values() if scored.ap.get("mean") is not None])

    def _next(self) -> tuple[str, ScoreJob] | None:
        """Return the next candidate's job, if one can be proposed before another one ends."""
        if not self._waiting:
            trial = self.trials.propose()
            if trial is None:
                return None
            self._waiting.append(trial.number)
        number = self._waiting.pop(0)
        return label(number), self._job(number, self.trials.all[number].params)

    def _ended(self, event: Event) -> None:
        number = int(event.label)
        configuration = self.trials.all[number].params
        params = self._params(configuration)
        if event.kind == "failed":
            scored = Scored(number, configuration, params, reason=str(event.content))
            self._progress.line(f"{event.label}: could not be scored ({event.content})")
        else:
            scored = Scored(number, configuration, params, event.content.ap, seconds=event.content.seconds)
        append_score(self._folder, scored)
        self.scores[number] = scored
        self._best = _better(self._best, scored)
        self._tell()

    def _tell(self) -> None:
        """Tell the candidates that were scored, in the order of their numbers."""
        while self.trials.told < len(self.trials) and self.trials.told in self.scores:
            scored = self.scores[self.trials.told]
            if scored.ap.get("mean") is None:
                self.trials.tell(TrialState.FAIL, None)
            else:
                self.trials.tell(TrialState.COMPLETE, self._objectives(scored))

    def _show(self) -> None:
        best = self._best
        what = f", best {label(best.number)}: AP {100 * (best.ap['mean'] or 0):.1f}" if best else ""
        self._progress.stage(f"candidates scored{what}", len(self.scores), self.trials.wanted)


def in_order(scored: Sequence[Scored]) -> list[Scored]:
    """Return candidates by mean AP, best first; fewer parameters break a tie."""
    return sorted(scored, key=_rank)


def _rank(one: Scored) -> tuple[float, int, int]:
    return -(one.ap["mean"] or 0.0), one.params, one.number


def _better(best: Scored | None, other: Scored) -> Scored | None:
    """Return the better of two candidates, of which the second may have no score."""
    if other.ap.get("mean") is None:
        return best
    return other if best is None else min(best, other, key=_rank)
