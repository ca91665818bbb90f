"""WIDER FACE at 320 pixels on two CPU cores: V2 with and without its teacher, and a search. Needs ``--data``.

Batches are small, because a short schedule needs many steps. Three seeds show the seed variance.
"""

from harness.core.protocol import DataConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="widerface_mini",
    description="V2 with and without a teacher, and a search, on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="v2_light",
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=TrainConfig(epochs=3, batch=4, lr=2e-3),
    teacher=TrainConfig(epochs=12, batch=8, lr=2e-3, ema=0.998, patience=4),
    trials=12,
    pruner="none",
    references=("v2", "v2-alone"),
    seeds=3,
)
