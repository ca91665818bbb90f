"""Decoded images vanish within an epoch, or their file is cut off, which kills a process that has mapped it."""

import os
import random
import shutil
from contextlib import suppress

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import pause


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Damage the images of a study at most ``most`` times."""
    study, times, ended = bench.study(shares=False), 0, False
    while not ended:
        with study.running() as process:
            while times < most and pause(rng.uniform(0, bench.undisturbed.seconds / 2), process):
                cache = study.runs / "cache"
                if rng.random() < 0.5:
                    shutil.rmtree(cache, ignore_errors=True)
                else:
                    for pixels in cache.glob("synthetic-*/pixels.bin"):
                        with suppress(OSError):
                            os.truncate(pixels, 4_096)
                times += 1
            ended = study.wait(process)
    return Happened(times, bench.compare(study), (study,))
