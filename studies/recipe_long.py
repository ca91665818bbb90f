"""What a schedule of 14 epochs teaches V2 on WIDER FACE images. Needs ``--data`` and a trained backbone."""

from dataclasses import replace

from harness.core.protocol import Budget, DataConfig, DistillConfig, StudyConfig, TrainConfig

_SCHEDULE = TrainConfig(
    epochs=40,
    batch=8,
    lr=4e-3,
    backbone_lr=0.1,
    frozen_stages=1,
    landmark_weight=0.1,
    ema=0.998,
    evaluate_every=10,
)

STUDY = StudyConfig(
    name="recipe_long",
    description="Longer schedules for V2 on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="recipe_long",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    data=DataConfig(
        source="widerface",
        size=320,
        train_images=0,
        val_images=0,
        search_images=700,
        # The images of a copy may be shrunk for training. At this side, the search split has faces as large as
        # validation images do, so that it shows what large crops are good for.
        eval_side=1024,
        landmark_images=100,
    ),
    train=replace(_SCHEDULE, epochs=14, evaluate_every=7),
    teacher=_SCHEDULE,
    distill=DistillConfig(landmark_weight=0.1),
    trials=8,
    sampler="random",
    pruner="none",
    references=("v2-alone",),
)
