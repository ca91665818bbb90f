"""WIDER FACE on two CPU cores in an evening: V2 with and without a teacher, and a search. Needs ``--data``.

Batches are small, because a short schedule needs many steps. Three seeds are trained, to measure the seed variance.
"""

from harness.core.protocol import DataConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="widerface_mini",
    description="V2 with and without a teacher, and a search, on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="v2_light",
    # The difference in mean AP of two networks has a standard error below one point:
    # benchmarks/results/search_split.json.
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=TrainConfig(epochs=3, batch=4, lr=2e-3),
    teacher=TrainConfig(epochs=12, batch=8, lr=2e-3, ema=0.998, patience=4),
    trials=12,
    pruner="none",
    references=("v2", "v2-alone"),
    seeds=3,
)
