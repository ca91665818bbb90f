"""Which schedule teaches V2 most on synthetic scenes in a minute of one core, without a teacher."""

from harness.core.budget import Budget
from harness.core.data import DataConfig
from harness.core.evaluation import SpeedConfig
from harness.core.protocol import StudyConfig
from harness.core.training import DistillConfig, TrainConfig

STUDY = StudyConfig(
    name="recipe_scenes",
    description="Schedules for V2 without a teacher on synthetic scenes at 128 pixels; minutes on two cores",
    space="recipe_scenes",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    data=DataConfig(size=128, train_images=1_000, search_images=400, val_images=400),
    train=TrainConfig(epochs=4, batch=16, lr=1e-2, evaluate_every=4),
    teacher=TrainConfig(epochs=12, batch=16, lr=1e-2, evaluate_every=4),
    distill=DistillConfig(alpha=0.0),
    speed=SpeedConfig(runs=3, warmup=1),
    trials=32,
    pruner="none",
    seeds=3,
)
