"""The searching process is killed at random moments, and its command is started again."""

import random

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import pause


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Kill a study at most ``most`` times, each after a part of the time that it takes undisturbed, report included."""
    study, times, ended = bench.study(planted={"report": True}), 0, False
    while not ended:
        with study.running() as process:
            if times < most and pause(rng.uniform(0, 1.6 * bench.undisturbed.seconds), process):
                process.kill()
                times += 1
            ended = study.wait(process)
    return Happened(times, bench.compare(study), (study,))
