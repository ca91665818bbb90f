"""The shared weights of a study: trained once, and cut into slices for the networks that are trained to the end."""

from collections.abc import Sequence

from harness.core.arch import ArchConfig
from harness.core.record import TrialRecord, write_json
from harness.core.scores import EPOCHS, SHARED
from harness.errors import HarnessError
from harness.search.batch import run_all
from harness.search.plan import INITIAL, Plan
from harness.search.pool import Event, Pool
from harness.search.progress import Progress
from harness.training.job import WEIGHTS
from harness.training.score import ScoreJob

NAME = "shared weights"
"""Label of their training."""


def ended(plan: Plan) -> bool:
    """Return whether the shared weights of a plan are trained."""
    return all((plan.folder / SHARED / name).exists() for name in (EPOCHS, WEIGHTS))


class SharedTraining:
    """The training of a study's shared weights in one worker, beside other trainings.

    Attributes:
        running: whether a worker has it.
    """

    def __init__(self, plan: Plan, pool: Pool, progress: Progress) -> None:
        self._plan, self._pool, self._progress = plan, pool, progress
        self._kills = 0
        self.running = False

    def start(self) -> None:
        """Give it to an idle worker, unless an earlier run has ended it."""
        if not ended(self._plan):
            self._pool.start(NAME, self._plan.shared)
            self.running = True

    def handle(self, event: Event) -> None:
        """Take an event of its worker.

        Raises:
            HarnessError: the training diverged, or its worker was killed twice.
        """
        if event.kind == "epoch":
            epoch, epochs = event.content["epoch"], self._plan.shared.job.train.epochs
            self._progress.line(f"{NAME}: epoch {epoch} of {epochs}, loss {event.content['losses']['total']:.2f}")
            self._pool.answer(NAME, go_on=True)
        elif event.kind == "result":
            write_json(self._plan.folder / SHARED / EPOCHS, event.content)
            self.running = False
        else:
            if event.kind == "fatal":
                raise event.content
            if event.kind != "killed" or self._kills:
                raise HarnessError(f"{event.label}: {event.content}; the same command resumes")
            self._kills += 1
            self.start()


def keep_slices(records: Sequence[TrialRecord], plan: Plan, pool: Pool, progress: Progress) -> None:
    """Write the slices that the trainings of ``records`` start from, where they are not written yet.

    Raises:
        HarnessError: a network cannot be cut out, or its worker was killed twice.
    """
    due = [record for record in records if not (plan.trial_folder(record.label) / INITIAL).exists()]
    waiting, left = list(due), len(due)

    def following() -> tuple[str, ScoreJob] | None:
        if not waiting:
            return None
        record = waiting.pop(0)
        target = plan.trial_folder(record.label) / INITIAL
        return record.label, plan.scoring(record.label, ArchConfig.from_dict(record.arch), keep=target)

    def ended(event: Event) -> None:
        nonlocal left
        if event.kind == "failed":
            raise HarnessError(f"{event.label}: {event.content}; the same command resumes")
        left -= 1

    def show() -> None:
        progress.stage("taking slices", len(due) - left, len(due))

    run_all(following, pool, progress, ended, show)
