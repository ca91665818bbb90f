"""A search without training: the APs are planted, and every job is a coroutine of this process (``tests.pool``).

What a search does with results is tested here to the last detail, in any order in which workers may end and at every
point where it may be interrupted. That real trainings and real workers behave as these do is tested beside them.
"""

import io
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial
from rich.console import Console
from safetensors.torch import save_file

from harness import cli
from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord, load_records
from harness.models.builder import build
from harness.models.costs import count
from harness.search.resources import Resources
from harness.search.run import run_study
from harness.training.grade import grade
from harness.training.job import WEIGHTS, Job, TrainResult
from harness.training.look import LookJob
from harness.training.score import Score, ScoreJob
from harness.training.sharing import SharedJob
from tests.pool import KilledError, Steps

QUICK = replace(load_study("quick"), name="stub", trials=4, pruner="none")

SEARCH: dict[str, Any] = {"trials": 14, "pruner": "halving"}
"""Long enough that the sampler is asked: the first trials are drawn uniformly."""

DOMINATED: dict[str, Any] = {"trials": 26, "sampler": "random", "objectives": ("ap", "params", "latency")}
"""Uniform draws, so that a study with and one without early stopping have the same candidates."""


@dataclass
class Plan:
    """What the trainings of a test do.

    Attributes:
        ap: label → mean AP after each epoch; of all others it follows from architecture, distillation and seed.
        fail: (label, epoch) → an exception that ends the training there, or the cause why it is killed; the epoch of a
            score is 0, that of the short list -1. Happens once.
        kills: label → how often its worker is killed in the first epoch.
        exhausted: labels whose workers are killed because memory is exhausted.
        interrupt: number of the event at which Ctrl-C is pressed, or with ``preempts`` SIGTERM comes; None never.
        order: seed of the order in which jobs side by side get on.
        jobs: label → the last job that was started.
        trained: labels of the trainings and gradings that were started; ``scored``: those of the scores; ``looks``:
            label → the job of the short list.
    """

    ap: dict[str, list[float]] = field(default_factory=dict)
    fail: dict[tuple[str, int], Exception | str] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    exhausted: set[str] = field(default_factory=set)
    interrupt: int | None = None
    preempts: bool = False
    order: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    looks: dict[str, LookJob] = field(default_factory=dict)

    def mean(self, job: Job, epoch: int) -> float:
        """Return the AP on the search split after an epoch."""
        if job.label in self.ap:
            return self.ap[job.label][epoch - 1]
        reached = random.Random(repr((job.arch, job.distill, job.seed))).uniform(0.2, 0.8)
        return round(reached * (1 - 0.5**epoch), 4)

    def work(self, job: Job | SharedJob | ScoreJob | LookJob) -> Steps:
        """Do what a worker does with a job."""
        if isinstance(job, LookJob):
            return self.look(job)
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
            raise failure if isinstance(failure, Exception) else KilledError(failure)
        if job.keep is not None:
            job.keep.parent.mkdir(parents=True, exist_ok=True)
            save_file({"slices": torch.zeros(1)}, job.keep)
        reached = round(random.Random(repr(job.arch)).uniform(0.2, 0.8), 4)
        return Score(dict.fromkeys(("easy", "medium", "hard", "mean"), reached), 0.1)
        yield {}  # A generator, as every other work.

    def look(self, job: LookJob) -> Steps:
        """Return the AP after one epoch, as ``train`` has it."""
        label = job.training.label
        self.looks[label] = job
        failure = self.fail.pop((label, -1), None)
        if failure is not None:
            raise failure if isinstance(failure, Exception) else KilledError(failure)
        return Score(dict.fromkeys(("easy", "medium", "hard", "mean"), self.mean(job.training, 1)), 0.2)
        yield {}  # A generator, as every other work.

    def train(self, job: Job) -> Generator[dict[str, Any], bool, TrainResult]:
        """Yield every epoch of a training, receive whether to continue, and leave the files of a real one."""
        self.trained.append(job.label)
        self.jobs[job.label] = job
        history: list[dict[str, Any]] = []
        for epoch in range(1, job.train.epochs + 1):
            if self.kills.get(job.label, 0):
                self.kills[job.label] -= 1
                raise KilledError("killed", exhausted=job.label in self.exhausted)
            failure = self.fail.pop((job.label, epoch), None)
            if failure is not None:
                raise failure if isinstance(failure, Exception) else KilledError(failure)
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


def rising(count: int, **others: list[float]) -> dict[str, list[float]]:
    """Return planted APs after two epochs, each trial's a little above the one before."""
    return {f"{n:04d}": [0.4 + n / 100, 0.5 + n / 100] for n in range(count)} | others


def trials(folder: Path) -> list[FrozenTrial]:
    """Return a study's trials in its database."""
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}").trials


def records(folder: Path) -> dict[str, TrialRecord]:
    """Return a study's records by label."""
    return {record.label: record for record in load_records(folder)}


def outcome(folder: Path) -> dict[str, Any]:
    """Return what must not depend on how a study was run."""
    return {
        r.label: (r.state, r.seed, r.configuration, [(e["losses"], e["ap"]) for e in r.epochs], r.search_ap, r.ap)
        for r in load_records(folder)
    }
