"""A worker is killed at random moments; the searching process starts another one."""

import random
from contextlib import suppress

import psutil

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import pause, wait_for, workers


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Kill the workers of a study at most ``most`` times, each after a part of the time of a worker's life."""
    study, times, ended = bench.study(), 0, False
    while not ended:
        with study.running() as process:
            while times < most and wait_for(lambda: workers(process), process):
                if not pause(rng.uniform(0, bench.undisturbed.seconds), process):
                    break
                for worker in workers(process):
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
                        times += 1
            ended = study.wait(process)
    return Happened(times, bench.compare(study), (study,))
