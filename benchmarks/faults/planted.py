"""The study's command with faults inside its processes; ``HARNESS_FAULT`` says which, as JSON.

Trainings are real. Their checkpoints within an epoch are written after every step, because an epoch takes a second.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import psutil
import torch

from harness import cli, study
from harness.search.work import work as usual
from harness.training import loop, partway
from harness.training.job import Job, TrainResult

VARIABLE = "HARNESS_FAULT"


@dataclass(frozen=True)
class Planted:
    """What is planted.

    Attributes:
        steps: file to which every training step appends a line.
        clock: file with the seconds by which the clock is wrong.
        exhausts: label of the trial that asks for more memory than its process may have.
        diverges: label of the trial that starts from the weights in ``infinite``.
        report: whether the report is written, which takes as long as a tiny study.
    """

    steps: str = ""
    clock: str = ""
    exhausts: str = ""
    diverges: str = ""
    infinite: str = ""
    report: bool = False


PLANTED = Planted(**json.loads(os.environ.get(VARIABLE, "{}")))


def work(job: Any, on_epoch: Callable[[dict[str, Any]], bool]) -> Any:
    """Do what a worker does, with the planted faults."""
    partway.EVERY = 0.0
    with _wrong_clock():
        return _train(job, on_epoch) if isinstance(job, Job) else usual(job, on_epoch)


def _train(job: Job, on_epoch: Callable[[dict[str, Any]], bool]) -> TrainResult:
    def on_batch(step: int, _: int) -> None:
        if PLANTED.steps:
            with Path(PLANTED.steps).open("a", encoding="utf-8") as file:
                file.write(f"{job.label} {step}\n")
        if job.label == PLANTED.exhausts:
            _exhaust()

    if job.label == PLANTED.diverges:
        job = replace(job, init_backbone=Path(PLANTED.infinite))
    return loop.train(job, on_epoch, on_batch)


def _exhaust() -> None:
    """Ask for 8 GiB where the process may have 1 GiB more than it has."""
    usual_limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**30, usual_limits[1]))
    try:
        torch.ones(2**31)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, usual_limits)


@contextmanager
def _wrong_clock() -> Iterator[None]:
    """Let the clock of this process be wrong: the system's belongs to others too."""
    if not PLANTED.clock:
        yield
        return
    platform: Any = psutil._psplatform  # type: ignore[attr-defined]
    right, right_ns, booted = time.time, time.time_ns, platform.boot_time

    def wrong() -> float:
        return float(Path(PLANTED.clock).read_text(encoding="utf-8"))

    with (
        patch("time.time", lambda: right() + wrong()),
        patch("time.time_ns", lambda: right_ns() + round(wrong() * 1e9)),
        patch.object(platform, "boot_time", lambda: booted() + wrong()),
    ):
        yield


def _no_report(folder: Path) -> Path:
    report = folder / "report" / "report.md"
    report.parent.mkdir(exist_ok=True)
    report.touch()
    return report


if __name__ == "__main__":
    from benchmarks.faults import planted  # By its real name, so that the workers find it.

    with patch("harness.search.run.work", planted.work), _wrong_clock():
        if not PLANTED.report:  # Not even imported, which takes longest.
            reports: Any = SimpleNamespace(
                build_report=_no_report, publish_report=None, summary=lambda _: {}, terminal_table=str
            )
            sys.modules["harness.reporting.by_kind"] = reports
            sys.modules["harness.reporting.publish"] = cast(Any, SimpleNamespace(places=str))
        cli.run(study.main)
