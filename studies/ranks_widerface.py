"""Candidates trained long on WIDER FACE without a teacher, against which shorter schedules are held. Needs ``--data``.

The same command with ``--epochs N --name NAME`` trains the same candidates with another schedule, and ``python -m
harness.compare`` says how far the two orders agree. The first candidate is the best student of an earlier search
(``reports/widerface_mini_search/``).
"""

from dataclasses import replace

from harness.core.protocol import DataConfig, DistillConfig, StudyConfig, TrainConfig

_SCHEDULE = TrainConfig(
    epochs=34,
    batch=16,
    lr=8e-3,
    backbone_lr=0.1,
    frozen_stages=1,
    landmark_weight=0.1,
    large_crops=1,
    ema=0.998,
    evaluate_every=17,
)

STUDY = StudyConfig(
    name="ranks_widerface",
    description="Candidates without a teacher, to compare schedules, on WIDER FACE at 320 pixels. Needs --data",
    space="architectures",
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=replace(_SCHEDULE, epochs=25, evaluate_every=25),
    teacher=_SCHEDULE,
    distill=DistillConfig(alpha=0.0),
    trials=8,
    sampler="random",
    pruner="none",
    references=("v2-alone",),
    enqueued=(
        {
            "attention.name": "cbam_plus",
            "attention.reduction": 32,
            "neck.channels": 28,
            "neck.repeats": 1,
            "neck.reduction_factor": 1,
            "neck_attention.name": "none",
            "context.name": "none",
            "shuffle.name": "shuffle_conv",
            "shuffle.groups": 1,
            "head.trunk": "conv",
            "head.per_level": False,
        },
    ),
)
