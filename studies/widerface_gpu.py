"""WIDER FACE on one data-centre GPU: V1, V2 alone and distilled to convergence, and a search. Needs ``--data``.

Trainings resume after their last complete epoch, so that the study can be run in pieces. It has not been run yet.
"""

from dataclasses import replace

from harness.core.data import DataConfig
from harness.core.protocol import StudyConfig
from harness.core.training import TrainConfig

_SCHEDULE = TrainConfig(
    epochs=150,
    batch=32,
    lr=8e-3,
    backbone_lr=0.1,
    landmark_weight=0.1,
    ignore_unmatched=True,
    ema=0.998,
    evaluate_every=50,
)

STUDY = StudyConfig(
    name="widerface_gpu",
    description="V1 and V2 to convergence and 12 students, on WIDER FACE at 640 pixels; for a GPU. Needs --data",
    space="v2_light",
    data=DataConfig(source="widerface", size=640, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=_SCHEDULE,
    teacher=replace(_SCHEDULE, epochs=100, evaluate_every=25),
    trials=12,
    pruner="none",
    references=("v2", "v2-alone"),
    seeds=2,
)
