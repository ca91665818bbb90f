"""Photographs on two CPU cores in an evening: V2 with and without its teacher, and a search. Needs ``--data``.

Small batches, because a short schedule learns by its number of steps; three seeds, because one is an anecdote.
"""

from harness.core.protocol import DataConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="widerface_mini",
    description="V2 with and without a teacher, and a search, on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="v2_light",
    # Two networks' difference in mean AP has a standard error below a point: benchmarks/results/search_split.json.
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=TrainConfig(epochs=3, batch=4, lr=2e-3),
    teacher=TrainConfig(epochs=12, batch=8, lr=2e-3, ema=0.998, patience=4),
    trials=12,
    pruner="none",
    references=("v2", "v2-alone"),
    seeds=3,
)
