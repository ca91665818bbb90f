"""The study of ``make study``: synthetic scenes, ten minutes on two CPU cores."""

from harness.core.protocol import DataConfig, SpeedConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="default",
    description="Students under the documented budget on synthetic scenes at 128 pixels; minutes on two cores",
    space="v2_light",
    # With 400 scenes, the standard error of a difference in mean AP (benchmarks/results/search_split.json) is smaller
    # than the difference between two seeds of one network, which this study measures. More scenes would take longer
    # than ten minutes.
    data=DataConfig(size=128, train_images=1_000, search_images=400, val_images=400),
    train=TrainConfig(epochs=3, batch=16, lr=1e-2),
    teacher=TrainConfig(epochs=12, batch=16, lr=1e-2),
    speed=SpeedConfig(runs=12),
    trials=11,
    seeds=3,  # V2 and the best student are trained with three seeds, to measure the seed variance.
    pruner="none",  # After one of three epochs, the AP is too noisy for pruning.
)
