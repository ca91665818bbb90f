"""PostgreSQL is restarted, or crashes, while two studies keep their trials in it."""

import random
import signal
from contextlib import ExitStack

from benchmarks.faults.bench import Bench, Happened, SkippedError
from benchmarks.faults.outcome import Outcome
from benchmarks.faults.study import NAME, pause
from tests import postgres


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Restart the server of two studies at most ``most`` times."""
    if postgres.INITDB is None or postgres.POSTGRES is None:
        raise SkippedError(postgres.MISSING)
    times = 0
    with postgres.postgres() as server:
        studies = [bench.study(name=f"{NAME}-{number}", storage=server.url, may_refuse=True) for number in (1, 2)]
        left = list(studies)
        while left:
            with ExitStack() as stack:
                processes = {study.name: stack.enter_context(study.running()) for study in left}
                while times < most and pause(
                    rng.uniform(0, bench.undisturbed.seconds), rng.choice([*processes.values()])
                ):
                    server.kill(signal.SIGQUIT if rng.random() < 0.5 else signal.SIGINT)
                    server.start()
                    times += 1
                left = [study for study in left if not study.wait(processes[study.name])]
        outcome = sum((bench.compare(study) for study in studies), Outcome())
    return Happened(times, outcome, tuple(studies))
