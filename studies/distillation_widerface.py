"""Which distillation teaches V2 most on WIDER FACE at 320 pixels. Needs ``--data`` and ``--teacher``."""

from dataclasses import replace

from harness.core.protocol import Budget, DataConfig, DistillConfig, StudyConfig, TrainConfig

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
    name="distillation_widerface",
    description="Distillations of V2 on WIDER FACE at 320 pixels; an hour on two cores. Needs --data and --teacher",
    space="distillation",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=500, landmark_images=100),
    train=replace(_SCHEDULE, epochs=8, evaluate_every=8),
    teacher=_SCHEDULE,
    distill=DistillConfig(landmark_weight=0.1),
    trials=8,
    sampler="random",
    pruner="none",
    references=("v2-alone",),
    seeds=1,
)
