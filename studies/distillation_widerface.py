"""Which distillation teaches V2 most on WIDER FACE at 320 pixels. Needs ``--data`` and ``--teacher``."""

from dataclasses import replace

from harness.core.budget import Budget
from harness.core.training import DistillConfig
from studies.widerface_long import STUDY as LONG

STUDY = replace(
    LONG,
    name="distillation_widerface",
    description="Distillations of V2 on WIDER FACE at 320 pixels; an hour on two cores. Needs --data and --teacher",
    space="distillation",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    data=replace(LONG.data, search_images=500),
    train=replace(LONG.train, epochs=8, evaluate_every=8),
    distill=DistillConfig(landmark_weight=0.1),
    trials=8,
    sampler="random",
    references=("v2-alone",),
    seeds=1,
)
