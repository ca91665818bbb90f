"""Candidates trained long on synthetic scenes without a teacher, against which shorter schedules are held.

The same command with ``--epochs N --name NAME`` trains the same candidates with another schedule, and ``python -m
harness.compare`` says how far the two orders agree.
"""

from dataclasses import replace

from harness.core.evaluation import SpeedConfig
from harness.core.training import DistillConfig
from studies.default import STUDY as DEFAULT

STUDY = replace(
    DEFAULT,
    name="ranks_scenes",
    description="Candidates without a teacher, to compare schedules, on synthetic scenes at 128 pixels",
    space="architectures",
    train=replace(DEFAULT.train, epochs=25, evaluate_every=25),
    distill=DistillConfig(alpha=0.0),
    speed=SpeedConfig(runs=3, warmup=1),
    trials=8,
    sharing=None,
    sampler="random",
    references=("v2-alone",),
    seeds=1,
)
