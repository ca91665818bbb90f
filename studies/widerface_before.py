"""V2 with the schedule that ``widerface_mini`` had at first, for comparison with ``widerface_long``. Needs ``--data``.

It has 12 epochs instead of 3, so that a training takes about as long as one of ``widerface_long``.
"""

from harness.core.data import DataConfig
from harness.core.protocol import StudyConfig
from harness.core.training import TrainConfig

STUDY = StudyConfig(
    name="widerface_before",
    description="V2 on WIDER FACE with an earlier schedule, to compare with widerface_long. Needs --data",
    space="v2_light",
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=100, landmark_images=100),
    train=TrainConfig(epochs=12, batch=4, lr=2e-3, evaluate_every=2),
    teacher=TrainConfig(epochs=12, batch=8, lr=2e-3, ema=0.998, patience=4),
    trials=0,
    pruner="none",
    references=("v2-alone",),
    seeds=1,
)
