"""WIDER FACE at 320 pixels; ``--data`` gives the folder of a copy.

The schedule is that of ``widerface_long``, for larger batches. It was found on a small copy, and has not been run on
the whole of WIDER FACE yet.
"""

from dataclasses import replace

from harness.core.data import DataConfig
from harness.core.protocol import StudyConfig
from harness.core.training import DistillConfig, TrainConfig

_SCHEDULE = TrainConfig(
    epochs=40,
    batch=32,
    lr=8e-3,
    backbone_lr=0.1,
    frozen_stages=1,
    landmark_weight=0.1,
    large_crops=2,
    ema=0.999,
    patience=10,
)

STUDY = StudyConfig(
    name="widerface",
    description="Students under the documented budget on WIDER FACE at 320 pixels; hours on a GPU. Needs --data",
    space="v2_light",
    data=DataConfig(
        source="widerface",
        size=320,
        train_images=0,
        val_images=0,
        # The difference in mean AP of two networks has a standard error below one point:
        # benchmarks/results/search_split.json.
        search_images=1_000,
        eval_side=640,
        landmark_images=500,
    ),
    train=replace(_SCHEDULE, epochs=12, patience=0),
    teacher=_SCHEDULE,
    distill=DistillConfig(landmark_weight=0.1, feature_weight=10.0),
    trials=40,
    references=("v2", "v2-alone"),
)
