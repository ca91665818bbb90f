"""Designs from scenes, V2 and V1 on WIDER FACE on two CPU cores. Needs ``--data``.

The candidates are the best students of the study ``default`` with the seeds 0 and 1, and two networks drawn by hand
from its space (``LOG.md``). Their backbones' last stages give parameters to neck and heads. Do they hold on
photographs?

The schedule is that of ``widerface_long``, without a teacher: there, a student learns more without one in the same time
(``reports/widerface_long/``). Candidates are trained for as many epochs as the references: ranked after 3 or 8 epochs,
they have another order than after 25 (``reports/ranks_widerface/``). Long trainings leave time for few candidates.
"""

from dataclasses import replace

from harness.core.training import DistillConfig
from studies.widerface_long import STUDY as LONG

_BEST_OF_SEED_0 = {
    "backbone.width_p5": 192,
    "backbone.depth_p5": 1,
    "attention.name": "cbam_plus",
    "attention.reduction": 32,
    "neck.channels": 64,
    "neck.repeats": 1,
    "neck.reduction_factor": 1,
    "neck_attention.name": "se",
    "neck_attention.reduction": 4,
    "context.name": "none",
    "shuffle.name": "none",
    "head.trunk": "conv",
    "head.per_level": True,
}
_BEST_OF_SEED_1 = {
    "backbone.width_p5": 96,
    "backbone.depth_p5": 1,
    "attention.name": "eca",
    "neck.channels": 72,
    "neck.repeats": 1,
    "neck.reduction_factor": 4,
    "neck_attention.name": "cbam_plus",
    "neck_attention.reduction": 32,
    "neck_attention.shared_gate": False,
    "context.name": "ssh_grouped",
    "context.groups": 1,
    "context.reduction": 2,
    "shuffle.name": "none",
    "head.trunk": "none",
    "head.per_level": False,
}
_DRAWN = {
    "backbone.width_p5": 96,
    "backbone.depth_p5": 1,
    "attention.name": "cbam_plus",
    "attention.reduction": 16,
    "neck.channels": 64,
    "neck.repeats": 2,
    "neck.reduction_factor": 1,
    "neck_attention.name": "cbam_plus",
    "neck_attention.reduction": 32,
    "neck_attention.shared_gate": False,
    "context.name": "none",
    "shuffle.name": "none",
    "head.trunk": "conv",
    "head.per_level": False,
}

STUDY = replace(
    LONG,
    name="widerface_mini",
    description="Designs from scenes beside V2, without a teacher, on WIDER FACE at 320 pixels. Needs --data",
    space="v2_p5",
    # Two networks' difference in mean AP has a standard error below a point: benchmarks/results/search_split.json.
    data=replace(LONG.data, search_images=700),
    train=replace(LONG.train, epochs=25, evaluate_every=25),
    distill=DistillConfig(alpha=0.0),
    trials=4,
    enqueued=(_DRAWN, _BEST_OF_SEED_0, _BEST_OF_SEED_1, {**_DRAWN, "backbone.width_p5": 192}),
    references=("v2-alone",),
    seeds=2,
)
