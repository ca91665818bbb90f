"""What ``make study`` runs: the embedded scenes, sized for two CPU cores and ten minutes."""

from harness.core.protocol import DataConfig, SpeedConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="default",
    description="Students under the documented budget on synthetic scenes at 128 pixels; minutes on two cores",
    space="v2_light",
    # Two networks' difference in mean AP has a standard error below a point: benchmarks/results/search_split.json.
    data=DataConfig(size=128, train_images=1_000, search_images=1_000, val_images=400),
    train=TrainConfig(epochs=3, batch=16, lr=1e-2),
    teacher=TrainConfig(epochs=12, batch=16, lr=1e-2),
    speed=SpeedConfig(runs=12),
    trials=11,
    pruner="none",  # A trial of three epochs says too little after its first one to be stopped there.
)
