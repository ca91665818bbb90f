"""A trial's loss is not finite: it is recorded as failed, with every term, and the study goes on."""

import random

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import FaultError


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:  # noqa: ARG001 - each study has one
    """Let a trial of a study start from infinite weights."""
    study = bench.study(planted={"diverges": bench.failing, "infinite": str(bench.infinite)})
    study.finish()
    reason = study.records()[bench.failing].reason
    if "the loss is not finite" not in reason:
        raise FaultError(f"trial {bench.failing} does not say that its loss was not finite: {reason}")
    return Happened(1, bench.compare(study, bench.failing), (study,))
