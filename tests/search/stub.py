"""A search without training: the APs are planted, and every job is a coroutine of this process.

What a search does with results is tested here to the last detail, in any order in which workers may end and at every
point where it may be interrupted. That real trainings and real workers behave as these do is tested beside them.
"""

import io
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file

from harness import cli
from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord, load_records
from harness.errors import HarnessError, NonFiniteLossError
from harness.models.builder import build
from harness.models.costs import count
from harness.search.pool import Event
from harness.search.resources import Resources
from harness.search.run import run_study
from harness.training.grade import grade
from harness.training.job import WEIGHTS, Job, TrainResult
from harness.training.score import Score, ScoreJob
from harness.training.sharing import SharedJob

QUICK = replace(load_study("quick"), name="stub", trials=4, pruner="none")

Steps = Generator[dict[str, Any], bool, TrainResult | Score | list[dict[str, Any]]]


@dataclass
class Plan:
    """What the trainings of a test do.

    Attributes:
        ap: label → mean AP after each epoch; of all others it follows from architecture, distillation and seed.
        fail: (label, epoch) → an exception that ends the training there, or ``killed``. Happens once.
        interrupt: number of the event at which Ctrl-C is pressed; None never.
        order: seed of the order in which jobs side by side get on.
        jobs: label → the last job that was started.
        trained: labels of the trainings and gradings that were started; ``scored``: those of the scores.
        pool: the one that runs it.
    """

    ap: dict[str, list[float]] = field(default_factory=dict)
    fail: dict[tuple[str, int], Exception | str] = field(default_factory=dict)
    interrupt: int | None = None
    order: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    pool: "Pool | None" = None

    def mean(self, job: Job, epoch: int) -> float:
        """Return the AP on the search split after an epoch."""
        if job.label in self.ap:
            return self.ap[job.label][epoch - 1]
        reached = random.Random(repr((job.arch, job.distill, job.seed))).uniform(0.2, 0.8)
        return round(reached * (1 - 0.5**epoch), 4)

    def work(self, job: Job | SharedJob | ScoreJob) -> Steps:
        """Do what a worker does with a job."""
        if isinstance(job, ScoreJob):
            return self.score(job)
        return self.share(job) if isinstance(job, SharedJob) else self.train(job)

    def share(self, job: SharedJob) -> Steps:
        """Yield the epochs of a training of shared weights, and leave a file."""
        self.trained.append("shared weights")
        history = []
        for epoch in range(1, job.job.train.epochs + 1):
            history.append({"epoch": epoch, "losses": {"total": 1 / epoch}, "ap": {}})
            yield dict(history[-1])
        job.job.folder.mkdir(parents=True, exist_ok=True)
        save_file({"all": torch.zeros(1)}, job.job.folder / WEIGHTS)
        return history

    def score(self, job: ScoreJob) -> Steps:
        """Return a score that follows from the architecture, and leave the slices."""
        self.scored.append(job.label)
        failure = self.fail.pop((job.label, 0), None)
        if failure is not None:
            raise failure if isinstance(failure, Exception) else _KilledError(failure)
        if job.keep is not None:
            job.keep.parent.mkdir(parents=True, exist_ok=True)
            save_file({"slices": torch.zeros(1)}, job.keep)
        reached = round(random.Random(repr(job.arch)).uniform(0.2, 0.8), 4)
        return Score(dict.fromkeys(("easy", "medium", "hard", "mean"), reached), 0.1)
        yield {}  # A generator, as every other work.

    def train(self, job: Job) -> Generator[dict[str, Any], bool, TrainResult]:
        """Yield every epoch of a training, receive whether to continue, and leave the files of a real one."""
        self.trained.append(job.label)
        self.jobs[job.label] = job
        history: list[dict[str, Any]] = []
        for epoch in range(1, job.train.epochs + 1):
            failure = self.fail.pop((job.label, epoch), None)
            if failure is not None:
                raise failure if isinstance(failure, Exception) else _KilledError(failure)
            mean = self.mean(job, epoch)
            ap = {"easy": mean, "medium": mean, "hard": mean, "mean": mean} if job.train.evaluates(epoch) else {}
            losses = {"box": 1 / epoch, "total": 3 / epoch}
            history.append(
                {"epoch": epoch, "losses": losses, "ap": ap, "lr": 1e-3, "seconds": 0.5, "evaluate_seconds": 0.25}
            )
            if not (yield dict(history[-1])):
                return TrainResult("pruned", history[-1]["ap"], history)
        save_file({"parameters": torch.zeros(count(job.arch))}, job.folder / WEIGHTS)
        result = TrainResult("complete", history[-1]["ap"], history, seconds={"train": 1.0, "evaluate": 0.5})
        if not job.grade:
            return result
        with torch.device("meta"):
            graded = grade(job, build(job.arch))  # The fixture lets it find nothing.
        return replace(result, ap=graded.ap, curves=graded.curves, landmark=graded.landmark)


class _KilledError(Exception):
    """A worker was killed from outside."""


@dataclass
class _Worker:
    label: str
    steps: Steps
    answer: bool | None = None
    waiting: bool = False


class Pool:
    """A ``harness.search.pool.Pool`` whose ``wait`` gets one job, drawn by the plan's order, one epoch further."""

    def __init__(self, plan: Plan, count: int) -> None:
        plan.pool = self
        self._plan = plan
        self._count = count
        self._draw = random.Random(plan.order)
        self._workers: dict[str, _Worker] = {}
        self._events = 0

    def ready(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def idle(self) -> int:
        return self._count - len(self._workers)

    def start(self, label: str, job: Job | SharedJob | ScoreJob) -> None:
        assert self.idle
        self._workers[label] = _Worker(label, self._plan.work(job))

    def answer(self, label: str, go_on: bool) -> None:
        worker = self._workers[label]
        assert worker.waiting
        worker.waiting, worker.answer = False, go_on

    def wait(self, timeout: float | None = None) -> list[Event]:  # noqa: ARG002
        if self._events == self._plan.interrupt:
            raise KeyboardInterrupt
        self._events += 1
        able = sorted(label for label, worker in self._workers.items() if not worker.waiting)
        worker = self._workers[self._draw.choice(able)]
        try:
            info = next(worker.steps) if worker.answer is None else worker.steps.send(worker.answer)
            worker.waiting = True
            return [Event("epoch", worker.label, info)]
        except StopIteration as ended:
            event = Event("result", worker.label, ended.value)
        except _KilledError as error:
            event = Event("killed", worker.label, str(error))
        except NonFiniteLossError as error:
            event = Event("failed", worker.label, str(error))
        except (HarnessError, OSError) as error:
            event = Event("fatal", worker.label, error)
        except Exception as error:
            event = Event("failed", worker.label, str(error), "Traceback")
        del self._workers[worker.label]
        return [event]


@dataclass
class Stub:
    """Runs studies below ``runs`` without training.

    Attributes:
        lines: the lines that the last run printed.
    """

    runs: Path
    use: Callable[[Plan], None]
    lines: list[str] = field(default_factory=list)

    def study(
        self, plan: Plan | None = None, *, workers: int = 2, resources: dict[str, Any] | None = None, **changes: Any
    ) -> Path:
        """Run or continue a study like ``QUICK`` and return its folder."""
        self.use(plan or Plan())
        config: StudyConfig = replace(QUICK, **changes)
        given: dict[str, Any] = {"runs": self.runs, "workers": workers, "threads": 1, "tracking_uri": "none"}
        output = io.StringIO()
        try:
            run_study(
                config, Resources(**given | (resources or {})), cli.Progress(console=Console(file=output, width=400))
            )
        finally:
            self.lines = output.getvalue().splitlines()
        return self.runs / config.name


def records(folder: Path) -> dict[str, TrialRecord]:
    """Return a study's records by label."""
    return {record.label: record for record in load_records(folder)}


def outcome(folder: Path) -> dict[str, Any]:
    """Return what must not depend on how a study was run."""
    return {
        r.label: (r.state, r.seed, r.configuration, [(e["losses"], e["ap"]) for e in r.epochs], r.search_ap, r.ap)
        for r in load_records(folder)
    }
