"""WIDER FACE on two CPU cores: V2 with and without its teacher, and a search. Needs ``--data`` and a trained backbone.

The schedule is the best one of ``recipe_widerface``, with more epochs and a moving average.
"""

from dataclasses import replace

from harness.core.protocol import DataConfig, StudyConfig, TrainConfig

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
    name="widerface_mini",
    description="V2 with and without a teacher, and a search, on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="v2_light",
    # Two networks' difference in mean AP has a standard error below a point: benchmarks/results/search_split.json.
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=replace(_SCHEDULE, evaluate_every=5),
    teacher=_SCHEDULE,
    trials=12,
    pruner="none",
    references=("v2", "v2-alone"),
    seeds=3,
)
