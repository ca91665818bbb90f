"""Runs the trainings of one protocol that have not ended, several at once, and keeps their records on disk."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.tabular.rows import ENDED
from harness.core.record import TrialRecord
from harness.errors import DataError, HarnessError
from harness.search.plan import Plan
from harness.search.pool import Event, Pool
from harness.search.progress import Progress
from harness.training.job import WEIGHTS
from harness.training.reuse import fingerprint


def resumed(record: TrialRecord, plan: Plan) -> TrialRecord:
    """Return the record that an earlier run left of a training, or the new ``record``, to be filled.

    Raises:
        DataError: the earlier record is of another training.
    """
    record.training = fingerprint(plan.job(record), plan.images)
    folder = plan.trial_folder(record.label)
    if not (folder / "record.json").exists():
        record.add_provenance(plan.provenance)
        return record
    earlier = TrialRecord.load(folder)
    if earlier.training != record.training:
        raise DataError(f"{folder} holds another training: remove that folder")
    return earlier


class Trainings:
    """Trainings of one protocol.

    Args:
        plan: the fixed settings.
        records: one per training, in the order in which they start; those that have ended are not trained again.
        pool: trains them.
        job: a record → what the pool is given to train it.
        progress: shows epochs and ended trainings.
        changed: called after a training has ended.
        what: the trainings in words.
    """

    def __init__(
        self,
        plan: Plan,
        records: Sequence[TrialRecord],
        pool: Pool,
        job: Callable[[TrialRecord], Any],
        progress: Progress,
        changed: Callable[[], None],
        what: str = "trainings",
    ) -> None:
        self._plan = plan
        self._pool = pool
        self._job = job
        self._progress = progress
        self._changed = changed
        self._what = what
        self._all = len(records)
        self._waiting = deque(record for record in records if record.state not in ENDED)
        self._epochs = sum(plan.config.train.epochs - len(record.epochs) for record in self._waiting)
        self._done = 0
        self._running: dict[str, tuple[TrialRecord, int]] = {}
        self._killed: set[str] = set()

    def run(self) -> None:
        """Train until all trainings have ended.

        Raises:
            HarnessError, OSError: an error that every later training would meet too; the same call resumes.
        """
        while self._waiting or self._running:
            while self._waiting and self._pool.idle:
                self._start(self._waiting.popleft())
            self._show()
            for event in self._pool.wait():
                self._handle(event)
        self._show()

    def _show(self) -> None:
        self._progress.stage(f"{self._all} {self._what}, epochs", self._done, self._epochs)

    def _start(self, record: TrialRecord) -> None:
        record.add_provenance(self._plan.provenance)
        self._keep(record)
        self._running[record.label] = record, len(record.epochs)
        self._pool.start(record.label, self._job(record))

    def _keep(self, record: TrialRecord) -> None:
        record.save(self._plan.trial_folder(record.label))

    def _handle(self, event: Event) -> None:
        record, known = self._running[event.label]
        if event.kind == "epoch":
            info = event.content
            # A resumed training first reports the epochs that its record has.
            if info["epoch"] > known:
                record.epochs = [*record.epochs[: info["epoch"] - 1], info]
                self._keep(record)
                self._done += 1
                self._show()
            self._pool.answer(event.label, go_on=True)
            return
        del self._running[event.label]
        if event.kind == "fatal":
            raise event.content
        if event.kind == "killed":
            self._restart(record, event.content)
            return
        if event.kind == "failed" and event.details:
            path = self._plan.trial_folder(event.label) / "error.txt"
            path.write_text(event.details, encoding="utf-8")
            raise HarnessError(f"{event.label}: {event.content}; traceback in {path}")
        self._finish(record, event)

    def _restart(self, record: TrialRecord, cause: str) -> None:
        """Continue a training whose worker was killed; the second time, end the run."""
        if record.label in self._killed:
            raise HarnessError(f"{record.label}: {cause}, for the second time; the same command resumes it")
        self._killed.add(record.label)
        self._progress.line(f"{record.label}: {cause}; it continues from its last checkpoint")
        self._waiting.appendleft(record)

    def _finish(self, record: TrialRecord, event: Event) -> None:
        if event.kind == "failed":
            record.state, record.reason = "failed", str(event.content)
            self._epochs -= self._plan.config.train.epochs - len(record.epochs)
        else:
            epochs = record.epochs  # The result's own epochs lack what the job added to them.
            event.content.fill(record)
            record.epochs = epochs
            record.size_mb = (self._plan.trial_folder(record.label) / WEIGHTS).stat().st_size / 1e6
        record.seconds["total"] = sum(record.seconds.values())
        self._keep(record)
        ap = record.search_ap.get("mean")
        said = record.reason if ap is None else f"search AP {100 * ap:.1f}"
        self._progress.line(f"{record.label}: {record.state}, {said}, {record.params:,} parameters")
        self._changed()
