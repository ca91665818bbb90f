"""WIDER FACE on two CPU cores: V2 with and without its teacher, and a search. Needs ``--data`` and a trained backbone.

The schedule is that of ``widerface_long``, with fewer epochs for the students.
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
    name="widerface_mini",
    description="V2 with and without a teacher, and a search, on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="v2_light",
    # Two networks' difference in mean AP has a standard error below a point: benchmarks/results/search_split.json.
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=replace(_SCHEDULE, epochs=8, evaluate_every=4),
    teacher=_SCHEDULE,
    distill=DistillConfig(landmark_weight=0.1, feature_weight=10.0),
    trials=12,
    pruner="none",
    references=("v2", "v2-alone"),
    seeds=3,
)
