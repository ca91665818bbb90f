"""Which distillation teaches V2 most on WIDER FACE at 320 pixels. Needs ``--data`` and ``--teacher``; for a GPU.

It has not been run to its end yet. One training of so small a network leaves most of a large GPU idle: use
``--workers``.
"""

from harness.core.protocol import Budget, DataConfig, StudyConfig, TrainConfig

_SCHEDULE = TrainConfig(
    epochs=26,
    batch=32,
    lr=8e-3,
    backbone_lr=0.1,
    frozen_stages=1,
    landmark_weight=0.1,
    ema=0.99,
    evaluate_every=26,
)

STUDY = StudyConfig(
    name="distillation_widerface",
    description="Distillations of V2 on WIDER FACE at 320 pixels; minutes on a GPU. Needs --data and --teacher",
    space="distillation",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=_SCHEDULE,
    teacher=_SCHEDULE,
    trials=7,
    window=8,
    sampler="random",
    pruner="none",
    references=("v2-alone",),
)
