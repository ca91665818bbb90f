"""``python -m benchmarks.scale.case``: runs one study with simulated trainings, or resumes it, and prints figures.

A process of its own for each, so that memory and start-up are those of a new process.
"""

import io
import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from rich.console import Console

from benchmarks.scale.meter import CONNECT, REST, SEARCH, SENDER, WAIT, Meter
from benchmarks.scale.simulated import Simulated
from harness import cli
from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.errors import Preempted
from harness.search import finish
from harness.search.resources import Resources
from harness.search.run import run_study
from harness.tracking import MLflowTracker, open_tracker

EPOCHS = 4
"""Of a training: as many as the study ``default`` has."""

SPEED: dict[str, Any] = {
    "fps": 50.0,
    "latency_ms": 20.0,
    "latency_iqr_ms": 1.0,
    "ratio_to_v1": 1.25,
    "reference_fps": 40.0,
}
SPEED |= {"device": "cpu", "threads": 1, "size": 64, "runs": 3, "folded": True}
"""Planted: a measured speed is not the harness's own cost."""


@dataclass(frozen=True)
class Case:
    """A study whose trainings are simulated.

    Attributes:
        runs: folder of all studies, with images and teacher.
        name: of the study.
        trials, workers: how many.
        seconds: median simulated time of a training.
        storage, tracking: addresses; None are SQLite files in ``runs``.
        resumes: whether the study is there already; the process stops when its first training would start.
        reports: whether the report is written.
    """

    runs: str
    name: str
    trials: int
    workers: int
    seconds: float
    storage: str | None = None
    tracking: str | None = None
    resumes: bool = False
    reports: bool = True

    def config(self) -> StudyConfig:
        """Return the study; one that is resumed wants a trial more."""
        quick = load_study("quick")
        return replace(
            quick,
            name=self.name,
            trials=self.trials + self.resumes,
            train=replace(quick.train, epochs=EPOCHS),
            window=self.workers,
        )


def run(case: Case) -> dict[str, Any]:
    """Run a study to its end, or up to the first start of a training, and return what it took."""
    meter, trackers = Meter(), list[MLflowTracker]()

    def works() -> bool:
        return meter.sending or any(tracker._has_work() for tracker in trackers)

    def tracker(*given: Any) -> Any:
        opened = open_tracker(*given)
        trackers.extend([opened] if isinstance(opened, MLflowTracker) else [])
        return opened

    def pool(*_: Any) -> Simulated:
        return pool_

    pool_ = Simulated(case.workers, case.seconds, works)
    lines = io.StringIO()
    took: dict[str, float] = {}
    with ExitStack() as stack:
        stack.enter_context(meter.measuring(Simulated))
        for name, planted in (
            ("run.Processes", pool),
            ("run.open_tracker", tracker),
            ("resources.available_cores", lambda: case.workers),
            ("speeds.build", lambda _: None),
            ("speeds.measure", lambda *_: dict(SPEED)),
        ):
            stack.enter_context(patch(f"harness.search.{name}", planted))
        stack.enter_context(patch("harness.search.finish.importance", _clocked(took, "importance", finish)))
        import harness.reporting as reporting

        build = _clocked(took, "build_report", reporting) if case.reports else _no_report
        stack.enter_context(patch("harness.reporting.build_report", build))
        if case.resumes:
            stack.enter_context(patch.object(Simulated, "start", _stop))
        resources = Resources(
            Path(case.runs), case.workers, 1, storage=case.storage, tracking_uri=case.tracking, command="simulated"
        )
        process = psutil.Process()
        try:
            run_study(case.config(), resources, cli.Progress(console=Console(file=lines, width=200)))
        except _StartedError:
            return {"resume": time.time() - process.create_time(), "memory": _memory()}
    active = {name: seconds for name, seconds in meter.seconds.items() if name not in (WAIT, CONNECT)}
    cost, processor = (
        {name.replace(SEARCH, REST): round(1000 * found[name] / case.trials, 3) for name in active}
        for found in (meter.seconds, meter.processor)
    )
    own = sum(seconds for name, seconds in active.items() if name != SENDER)
    elapsed = own + meter.seconds[WAIT] + pool_.jumped
    lost = case.workers * elapsed - pool_.trained - pool_.unused
    assert pool_.began is not None
    return {
        "start": pool_.began - process.create_time(),
        "cost_ms": cost,
        "cost_ms_of_processor": processor,
        "total_ms": round(sum(cost.values()), 3),
        "total_ms_of_processor": round(sum(processor.values()), 3),
        "search_busy": own / elapsed,
        "sender_busy": meter.seconds[SENDER] / elapsed,
        "storage_busy": meter.seconds["storage"] / elapsed,
        "trials_a_second": case.trials / own,
        "elapsed": elapsed,
        "kept_waiting": lost / (lost + pool_.trained),
        "unused": pool_.unused / (case.workers * elapsed),
        "connect": meter.seconds[CONNECT],
        "report": took.get("build_report"),
        "importance": took.get("importance"),
        "memory": _memory(),
        "unsent": [line for line in lines.getvalue().splitlines() if "not sent yet" in line],
    }


class _StartedError(Preempted):
    """A training would start."""


def _stop(*_: Any) -> None:
    raise _StartedError


def _no_report(folder: Path) -> Path:
    report = folder / "report" / "report.md"
    report.parent.mkdir(exist_ok=True)
    report.touch()
    return report


def _clocked(found: dict[str, float], name: str, module: Any) -> Callable[..., Any]:
    """Return a function of a module, whose time is noted."""
    function = getattr(module, name)

    def clocked(*given: Any) -> Any:
        begun = time.perf_counter()
        result = function(*given)
        found[name] = time.perf_counter() - begun
        return result

    return clocked


def _memory() -> float:
    """Return the peak memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(run(Case(**json.loads(sys.argv[1])))))
