"""V1, and V2 with and without a teacher, on nearly all images of a small WIDER FACE copy. Needs ``--data``.

Nothing is searched, so that few images are held out for selection: they only draw the learning curves.
"""

from dataclasses import replace

from harness.core.data import DataConfig
from harness.core.protocol import StudyConfig
from harness.core.training import DistillConfig, TrainConfig

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
    name="widerface_long",
    description="V1, and V2 with and without a teacher, trained long on WIDER FACE at 320 pixels. Needs --data",
    space="v2_light",
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=100, landmark_images=100),
    train=replace(_SCHEDULE, epochs=24, evaluate_every=4),
    teacher=_SCHEDULE,
    distill=DistillConfig(landmark_weight=0.1, feature_weight=10.0),
    trials=0,
    pruner="none",
    references=("v2", "v2-alone"),
    seeds=3,
)
