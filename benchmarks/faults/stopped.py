"""A worker or the searching process is stopped for a while, as a debugger or a suspended machine does, and woken."""

import random
from contextlib import suppress

import psutil

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import pause, wait_for, workers


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Stop a process of a study at most ``most`` times."""
    study, times, ended = bench.study(), 0, False
    while not ended:
        with study.running() as process:
            while times < most and wait_for(lambda: workers(process), process):
                if not pause(rng.uniform(0, bench.undisturbed.seconds / 3), process):
                    break
                chosen = rng.choice([*workers(process), psutil.Process(process.pid)])
                with suppress(psutil.NoSuchProcess):
                    chosen.suspend()
                    times += 1
                    pause(rng.uniform(0.2, 2.0), process)
                    chosen.resume()
            ended = study.wait(process)
    return Happened(times, bench.compare(study), (study,))
