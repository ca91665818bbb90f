"""What ``make study`` runs: synthetic scenes, sized for ten minutes on two CPU cores."""

from harness.core.protocol import DataConfig, SpeedConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="default",
    description="Students under the documented budget on synthetic scenes at 128 pixels; minutes on two cores",
    space="v2_light",
    # A difference in mean AP over 400 scenes has a smaller standard error (benchmarks/results/search_split.json) than
    # two trainings of one network, which this study measures; more scenes would take the ten minutes.
    data=DataConfig(size=128, train_images=1_000, search_images=400, val_images=400),
    train=TrainConfig(epochs=3, batch=16, lr=1e-2),
    teacher=TrainConfig(epochs=12, batch=16, lr=1e-2),
    speed=SpeedConfig(runs=12),
    trials=11,
    seeds=3,  # V2 and the best student are trained three times: how far trainings of one network lie apart.
    pruner="none",  # After one epoch of three, the AP is too noisy to stop a trial by.
)
