"""A trial asks for more memory than there is: it is recorded as failed, and the study goes on."""

import random

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import FaultError


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:  # noqa: ARG001 - each study has one
    """Let a trial of a study exhaust its process's memory."""
    study = bench.study(planted={"exhausts": bench.failing})
    study.finish()
    reason = study.records()[bench.failing].reason
    if "alloc" not in reason and "memory" not in reason:
        raise FaultError(f"trial {bench.failing} does not say that memory was exhausted: {reason}")
    return Happened(1, bench.compare(study, bench.failing), (study,))
