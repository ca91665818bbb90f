"""Which distillation teaches V2 most on synthetic scenes: every configuration of its space, and V2 alone."""

from dataclasses import replace

from harness.core.budget import Budget
from harness.core.evaluation import SpeedConfig
from studies.default import STUDY as DEFAULT

STUDY = replace(
    DEFAULT,
    name="distillation_scenes",
    description="Distillations of V2 on synthetic scenes at 128 pixels; minutes on two cores",
    space="distillation",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    train=replace(DEFAULT.train, evaluate_every=4),
    speed=SpeedConfig(runs=3, warmup=1),
    trials=16,
    sharing=None,
    sampler="random",
    references=("v2-alone",),
)
