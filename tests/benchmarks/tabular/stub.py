"""A table that is made without training: what a worker does with a job is planted, and what happens on the way."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tabular import make
from benchmarks.tabular.graded import Graded
from benchmarks.tabular.make import Maker
from benchmarks.tabular.protocol import protocol
from harness.search.progress import Board, Progress
from harness.search.resources import Resources
from harness.training.job import WEIGHTS, TrainResult
from tests.pool import Pool, Steps

EPOCHS = 2


COMMAND = "python -m benchmarks.tabular --quick"


class Shown(Progress):
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[tuple[str, int, int]] = []

    def stage(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total, what
        self.stages.append((what, done, total))

    def board(self, board: Board) -> None:  # noqa: ARG002
        raise AssertionError("a study shows its search")

    def line(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Disk:
    """What outlives an interruption: checkpoints. And what happens: an event number at which Ctrl-C is pressed."""

    checkpoints: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    trained: list[tuple[str, int]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    fail: dict[tuple[str, int], Exception] = field(default_factory=dict)
    interrupt: int | None = None

    def work(self, graded: Graded) -> Steps:
        """Yield every epoch of a training, from its checkpoint, and leave the files of a real one."""
        label = graded.job.label
        history = self.checkpoints.setdefault(label, [])
        assert len(graded.known) <= len(history) <= len(graded.known) + 1
        for epoch in range(1, EPOCHS + 1):
            failure = self.fail.pop((label, epoch), None)
            if failure is not None:
                raise failure
            if epoch > len(history):
                self.trained.append((label, epoch))
                history.append(epoch_of(label, epoch))
            assert (yield {**history[epoch - 1], "val": ap_of(label, epoch, "val")})
        (graded.job.folder / WEIGHTS).touch()
        return TrainResult("complete", history[-1]["ap"], history, seconds={"train": 1.0})

    def pool(self, *_: Any) -> Pool:
        """Return two workers of this process."""
        return Pool(self.work, 2, interrupt=self.interrupt, started=self.started)


def ap_of(label: str, epoch: int, split: str) -> dict[str, float | None]:
    mean = random.Random(f"{label} {epoch} {split}").random()
    return {"easy": mean, "medium": mean / 2, "hard": None if split == "val" else mean / 3, "mean": mean}


def epoch_of(label: str, epoch: int) -> dict[str, Any]:
    losses = {"box": 1.23456789 / epoch, "total": 3.0}
    return {"epoch": epoch, "losses": losses, "ap": ap_of(label, epoch, "search"), "lr": 1e-3, "seconds": 1.23456}


def resources(runs: Path) -> Resources:
    return Resources(runs, workers=1, threads=1, tracking_uri="none")


def made(
    runs: Path,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    configurations: int = 2,
    seen: Callable[[Path], None] = lambda _: None,
) -> tuple[Path, Shown]:
    """Make a table, or continue it, and return its file; ``seen`` is called whenever it was written."""
    monkeypatch.setattr(make, "Processes", disk.pool)
    shown, out = Shown(), runs / "table.json"
    maker = Maker(protocol("quick", configurations, 2), resources(runs), shown, COMMAND)
    write = maker.write

    def written(path: Path) -> None:
        write(path)
        seen(path)

    monkeypatch.setattr(maker, "write", written)
    with maker.opened(out):
        maker.train(out)
    return out, shown
