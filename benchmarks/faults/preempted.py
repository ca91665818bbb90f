"""SIGTERM announces that the machine is taken away: trainings write checkpoints, and all processes leave in seconds."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import FaultError, pause, wait_for

GRACE = 25.0
"""Seconds in which everything must have left: clusters give 30."""


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Preempt a study at most ``most`` times while it trains; it repeats no training step afterwards."""
    steps = bench.folder / f"steps-{rng.random()}"
    study = bench.study(planted={"steps": str(steps)})
    times, ended, slowest = 0, False, 0.0
    while not ended:
        with study.running() as process:
            before = _lines(steps)
            if times < most and wait_for(lambda: _lines(steps) > before, process):  # noqa: B023 - called at once
                pause(rng.uniform(0, bench.undisturbed.seconds / 4), process)
            if times < most and process.poll() is None:
                begun = time.monotonic()
                # Some schedulers tell the first process, others all.
                os.killpg(process.pid, signal.SIGTERM) if rng.random() < 0.5 else process.terminate()
                ended = study.wait(process)
                slowest = max(slowest, time.monotonic() - begun)
                times += 1
                continue
            ended = study.wait(process)
    again = sum(number - 1 for number in Counter(steps.read_text(encoding="utf-8").splitlines()).values())
    study.notes = {"seconds to leave": slowest, "steps trained again": again}
    if slowest > GRACE:
        raise FaultError(f"it took {slowest:.1f} s to leave after SIGTERM")
    if again > times:
        raise FaultError(f"{again:,} steps were trained again after {times:,} preemptions")
    return Happened(times, bench.compare(study), (study,))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
