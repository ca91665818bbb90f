"""The clock is set while a study runs, as a clock server or a woken machine does."""

import random

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import pause

MONTH = 30 * 86_400.0


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Set the clock of a study at most ``most`` times. Its runs are tracked, because they have times."""
    clock = bench.folder / f"clock-{rng.random()}"
    clock.write_text("0", encoding="utf-8")
    study = bench.study(planted={"clock": str(clock)}, tracking=f"sqlite:///{clock}.db")
    times, ended = 0, False
    while not ended:
        with study.running() as process:
            while times < most and pause(rng.uniform(0, bench.undisturbed.seconds / 3), process):
                set_to = clock.with_suffix(".new")
                set_to.write_text(repr(rng.choice((-1, 1)) * rng.uniform(1, MONTH)), encoding="utf-8")
                set_to.replace(clock)
                times += 1
            ended = study.wait(process)
    return Happened(times, bench.compare(study), (study,))
