"""``Simulated``: a pool of workers whose trainings take simulated time and no real time.

The clock is the real one, which also jumps: over the time in which the search has nothing to do because all its workers
train. So the harness's own work takes as long as it does, also while workers wait for it.
"""

import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from harness.core.digest import digest
from harness.search.pool import Event
from harness.training.job import WEIGHTS, Job, TrainResult

SPREAD = 0.25
"""Standard deviation of the logarithm of a training's time."""


@dataclass
class _Training:
    """A training: its job, the simulated time of one of its epochs, and those that it has ended."""

    job: Job
    seconds: float
    epochs: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False

    def event(self) -> Event:
        """Return what its worker reports next."""
        if len(self.epochs) < self.job.train.epochs and not self.stopped:
            self.epochs.append(_epoch(self.job, len(self.epochs) + 1, self.seconds))
            return Event("epoch", self.job.label, dict(self.epochs[-1]))
        return Event("result", self.job.label, _result(self.job, self.epochs, stopped=self.stopped))


class Simulated:
    """A ``harness.search.pool.Pool`` without processes.

    Args:
        workers: how many.
        seconds: median simulated time of a training.
        works: whether the harness still works in another thread, so that the clock must not jump yet.

    Attributes:
        began: real time of the first start, seconds since 1970; None before it.
        trained: simulated seconds of training.
        jumped: seconds over which the clock jumped.
        unused: worker-seconds without a job while the clock jumped: the window was full, or the search ended.
    """

    def __init__(self, workers: int, seconds: float, works: Callable[[], bool]) -> None:
        self._count, self._seconds, self._works = workers, seconds, works
        self._running: dict[str, _Training] = {}
        self._due: list[tuple[float, int, str]] = []
        self._order = count()
        self.began: float | None = None
        self.trained = self.jumped = self.unused = 0.0

    def ready(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    @property
    def idle(self) -> int:
        """Workers without a job."""
        return self._count - len(self._running)

    def start(self, label: str, job: Any) -> None:
        """Begin a training."""
        if self.began is None:
            self.began = time.time()
        drawn = random.Random(label).lognormvariate(0, SPREAD)
        self._running[label] = training = _Training(job, self._seconds * drawn / job.train.epochs)
        self._report(label, training.seconds)

    def answer(self, label: str, go_on: bool) -> None:
        """Train the next epoch, or end the training."""
        training = self._running[label]
        training.stopped = not go_on
        ended = training.stopped or len(training.epochs) == training.job.train.epochs
        self._report(label, 0.0 if ended else training.seconds)

    def wait(self, timeout: float | None = None) -> list[Event]:  # noqa: ARG002
        """Return the events that are due, or the next one."""
        at = self._due[0][0]
        while self._now() < at and self._works():
            time.sleep(0.0005)
        ahead = at - self._now()
        if ahead > 0:
            self.jumped += ahead
            self.unused += ahead * self.idle
        events = []
        while self._due and self._due[0][0] <= self._now():
            _, _, label = heapq.heappop(self._due)
            events.append(self._running[label].event())
            if events[-1].kind == "result":
                del self._running[label]
        return events

    def _now(self) -> float:
        return time.monotonic() + self.jumped

    def _report(self, label: str, seconds: float) -> None:
        """Let a worker report after so much training."""
        self.trained += seconds
        heapq.heappush(self._due, (self._now() + seconds, next(self._order), label))


def _epoch(job: Job, epoch: int, seconds: float) -> dict[str, Any]:
    """Return what a training reports after an epoch; its AP follows from the architecture and rises."""
    reached = random.Random(digest(job.arch.to_dict())).uniform(0.2, 0.8)
    losses = dict.fromkeys(("box", "class", "landmark", "total"), 3 / epoch)
    evaluated = job.train.evaluates(epoch)
    return {
        "epoch": epoch,
        "losses": losses,
        "ap": _ap(round(reached * (1 - 0.5**epoch), 4)) if evaluated else {},
        "lr": 1e-3,
        "seconds": seconds,
        "evaluate_seconds": 0.0,
    }


def _result(job: Job, history: list[dict[str, Any]], *, stopped: bool) -> TrainResult:
    if stopped:
        return TrainResult("pruned", history[-1]["ap"], history)
    result = TrainResult("complete", history[-1]["ap"], history)
    result.seconds.update(train=sum(epoch["seconds"] for epoch in history), evaluate=0.0)
    if job.grade:
        result.ap.update(result.search_ap)
        recall = np.linspace(0, 1, 101)
        curve = {"recall": recall.tolist(), "precision": (1 - 0.3 * recall**6).tolist()}
        result.curves.update(dict.fromkeys(("easy", "medium", "hard"), curve))
        save_file({"none": np.zeros(1, np.float32)}, job.folder / WEIGHTS)
    return result


def _ap(mean: float) -> dict[str, float | None]:
    return {"easy": min(1.0, mean + 0.1), "medium": mean, "hard": mean - 0.1, "mean": mean}
